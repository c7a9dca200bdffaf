// SPDX-License-Identifier: GPL-2.0
//! A gate as a PV guest tells Xen of it: `struct trap_info` of xen/include/public/arch-x86/xen.h.

use crate::Gate;

/// Xen is to turn events off when it calls the handler, as an interrupt gate does.
const EVENTS_OFF: u8 = 4;

/// A handler of a PV guest. `HYPERVISOR_set_trap_table` takes an array of these, which [`END`] ends, and
/// leaves all vectors alone that are not in it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapInfo {
    /// The exception.
    pub vector: u8,
    /// The privilege level that may raise it by an instruction, and the flag that keeps events off.
    pub flags: u8,
    /// The code segment of the handler.
    pub cs: u16,
    /// The handler.
    pub address: u64,
}

/// Behind the last one: Xen stops at an address of 0.
pub const END: TrapInfo = TrapInfo {
    vector: 0,
    flags: 0,
    cs: 0,
    address: 0,
};

const _: () = assert!(size_of::<TrapInfo>() == 16 && core::mem::offset_of!(TrapInfo, address) == 8);

impl TrapInfo {
    /// As Linux makes it of a gate (cvt_gate_to_trap() in arch/x86/xen/enlighten_pv.c), with another handler.
    pub fn new(vector: u8, gate: &Gate, address: u64) -> Self {
        let events_off = if gate.kind == crate::INTERRUPT_GATE {
            EVENTS_OFF
        } else {
            0
        };
        Self {
            vector,
            flags: gate.dpl | events_off,
            cs: gate.segment,
            address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_gate_says() {
        let mut gate = Gate {
            target: 0xffff_ffff_8100_0000,
            segment: 0x10,
            ist: 0,
            kind: crate::INTERRUPT_GATE,
            dpl: 3,
            is_present: true,
        };
        let info = TrapInfo::new(3, &gate, 7);
        assert_eq!(
            (info.vector, info.flags, info.cs, info.address),
            (3, 7, 0x10, 7)
        );
        gate.dpl = 0;
        assert_eq!(TrapInfo::new(14, &gate, 7).flags, 4);
        gate.kind = 0xf;
        assert_eq!(TrapInfo::new(14, &gate, 7).flags, 0);
    }
}
