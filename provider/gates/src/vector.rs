// SPDX-License-Identifier: GPL-2.0
//! The exceptions of x86-64.

/// An exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Its number.
    pub number: u8,
    /// As the kernel calls its handler, less `exc_`: arch/x86/include/asm/idtentry.h.
    pub name: &'static str,
    /// The symbol that Linux has in its gate.
    pub symbol: &'static str,
    /// Whether the processor pushes an error code.
    pub has_error_code: bool,
    /// Who may get there by an instruction: 3 for everybody.
    pub dpl: u8,
    /// None: its gate may be hooked. Else why not.
    pub refused: Option<&'static str>,
}

const fn vector(number: u8, name: &'static str, symbol: &'static str) -> Vector {
    Vector {
        number,
        name,
        symbol,
        has_error_code: false,
        dpl: 0,
        refused: None,
    }
}

impl Vector {
    const fn with_error_code(mut self) -> Self {
        self.has_error_code = true;
        self
    }

    const fn for_everybody(mut self) -> Self {
        self.dpl = 3;
        self
    }

    const fn refused(mut self, reason: &'static str) -> Self {
        self.refused = Some(reason);
        self
    }

    /// The exception of that number.
    pub fn by_number(number: u8) -> Option<Self> {
        VECTORS.iter().find(|v| v.number == number).copied()
    }

    /// The exception of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        VECTORS.iter().find(|v| v.name == name).copied()
    }

    /// Those whose gates may be hooked.
    pub fn hookable() -> impl Iterator<Item = Self> {
        VECTORS.iter().copied().filter(|v| v.refused.is_none())
    }
}

/// All of them, by number. Error codes: Intel SDM volume 3, chapter 6, table 6-1.
pub const VECTORS: [Vector; 23] = [
    vector(0, "divide_error", "asm_exc_divide_error"),
    vector(1, "debug", "asm_exc_debug")
        .refused("a watchpoint on a counter would raise it again, on the same stack"),
    vector(2, "nmi", "asm_exc_nmi")
        .refused("what a stub pushes overwrites the kernel's mark of a running NMI"),
    vector(3, "int3", "asm_exc_int3").for_everybody(),
    vector(4, "overflow", "asm_exc_overflow").for_everybody(),
    vector(5, "bounds", "asm_exc_bounds"),
    vector(6, "invalid_op", "asm_exc_invalid_op"),
    vector(7, "device_not_available", "asm_exc_device_not_available"),
    vector(8, "double_fault", "asm_exc_double_fault")
        .with_error_code()
        .refused("the kernel's last resort"),
    vector(
        9,
        "coproc_segment_overrun",
        "asm_exc_coproc_segment_overrun",
    ),
    vector(10, "invalid_tss", "asm_exc_invalid_tss").with_error_code(),
    vector(11, "segment_not_present", "asm_exc_segment_not_present").with_error_code(),
    vector(12, "stack_segment", "asm_exc_stack_segment").with_error_code(),
    vector(13, "general_protection", "asm_exc_general_protection").with_error_code(),
    vector(14, "page_fault", "asm_exc_page_fault").with_error_code(),
    vector(
        15,
        "spurious_interrupt_bug",
        "asm_exc_spurious_interrupt_bug",
    ),
    vector(16, "coprocessor_error", "asm_exc_coprocessor_error"),
    vector(17, "alignment_check", "asm_exc_alignment_check").with_error_code(),
    vector(18, "machine_check", "asm_exc_machine_check")
        .refused("it may come at any instruction, a stub's too"),
    vector(
        19,
        "simd_coprocessor_error",
        "asm_exc_simd_coprocessor_error",
    ),
    vector(
        20,
        "virtualization_exception",
        "asm_exc_virtualization_exception",
    )
    .refused("it may come before the kernel can take a second one"),
    vector(21, "control_protection", "asm_exc_control_protection").with_error_code(),
    vector(29, "vmm_communication", "asm_exc_vmm_communication")
        .with_error_code()
        .refused("it may come at any instruction, a stub's too"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_symbols_and_each_is_there_once() {
        for (at, vector) in VECTORS.iter().enumerate() {
            assert_eq!(vector.symbol, format!("asm_exc_{}", vector.name));
            assert_eq!(Vector::by_name(vector.name), Some(*vector));
            assert_eq!(Vector::by_number(vector.number), Some(*vector));
            assert!(VECTORS[..at].iter().all(|v| v.number < vector.number));
        }
        assert_eq!(Vector::by_number(32), None);
        assert_eq!(Vector::by_name("exc_int3"), None);
    }

    #[test]
    fn what_is_on_a_stack_of_its_own_or_the_last_resort_is_refused() {
        let refused = VECTORS.iter().filter(|v| v.refused.is_some());
        let refused: Vec<u8> = refused.map(|v| v.number).collect();
        assert_eq!(refused, [1, 2, 8, 18, 20, 29]);
        assert_eq!(Vector::hookable().count(), 17);
    }
}
