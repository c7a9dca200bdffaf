// SPDX-License-Identifier: GPL-2.0
//! What an exception leaves, as a probe's arguments.

use crate::vector::Vector;

/// The interrupted code's state, and what the processor tells of the exception. The layout is that of
/// `struct dtrace_idt_frame` in `shim.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its instruction: of a trap the next one, of a fault the one to be done again.
    pub ip: u64,
    /// Its stack.
    pub sp: u64,
    /// RFLAGS.
    pub flags: u64,
    /// Its code segment. A paravirtual kernel's has privilege 0 in it, as Xen tells it.
    pub cs: u64,
    /// 1: user code. 0: the kernel.
    pub user: u64,
}

/// The types of arg0 to arg7.
const TYPES: [&str; 8] = [
    "uint64_t",
    "uintptr_t",
    "uintptr_t",
    "uint64_t",
    "uint64_t",
    "int",
    "uintptr_t",
    "int",
];

/// The C type of argument `index`.
pub fn argument_type(index: u32) -> Option<&'static str> {
    TYPES.get(index as usize).copied()
}

impl Frame {
    /// arg0 to arg7: error code (0 where the vector has none), ip, sp, flags, cs, user, detail, vector.
    /// The detail is the address (CR2) of a page fault, DR6 of a debug exception, else 0.
    pub fn arguments(&self, vector: Vector, error: u64, detail: u64) -> [u64; 10] {
        let error = match vector.has_error_code() {
            true => error,
            false => 0,
        };
        [
            error,
            self.ip,
            self.sp,
            self.flags,
            self.cs,
            self.user,
            detail,
            vector.place() as u64,
            0,
            0,
        ]
    }

    /// Of an interrupt: its tracepoint tells its vector and nothing else.
    pub fn of_interrupt(number: u64) -> [u64; 10] {
        [0, 0, 0, 0, 0, 0, 0, number, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        ip: 1,
        sp: 2,
        flags: 3,
        cs: 0x33,
        user: 1,
    };

    #[test]
    fn arguments_lie_where_the_documentation_says() {
        let page_fault = Vector::named(b"page_fault").unwrap();
        let args = FRAME.arguments(page_fault, 6, 0x1000);
        assert_eq!(args, [6, 1, 2, 3, 0x33, 1, 0x1000, 14, 0, 0]);
        assert_eq!(Frame::of_interrupt(0xec)[7], 0xec);
        assert_eq!(argument_type(7), Some("int"));
        assert_eq!(argument_type(8), None);
    }

    #[test]
    fn a_vector_without_an_error_code_has_none() {
        let int3 = Vector::named(b"int3").unwrap();
        assert_eq!(FRAME.arguments(int3, u64::MAX, 0)[0], 0);
    }
}
