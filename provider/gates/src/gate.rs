// SPDX-License-Identifier: GPL-2.0
//! A gate in 64-bit mode: Intel SDM volume 3, section 6.14.1; AMD APM volume 2, section 4.8.4.

use crate::{Vector, GATE_SIZE};
use core::fmt;
use core::ops::Range;

/// The type of a gate that turns interrupts off.
pub const INTERRUPT_GATE: u8 = 0xe;

/// Where the kernel's own code may lie: `__START_KERNEL_map` to `MODULES_VADDR` (arch/x86/include/asm/
/// page_64_types.h, pgtable_64_types.h). A jump of 32 bits leads there from any module.
pub const KERNEL_TEXT: Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_c000_0000;

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Where it leads.
    pub target: u64,
    /// The code segment there.
    pub segment: u16,
    /// The stack of the interrupt stack table, or 0: none.
    pub ist: u8,
    /// The type: [`INTERRUPT_GATE`] or another.
    pub kind: u8,
    /// Who may use it by an instruction.
    pub dpl: u8,
    /// Whether it is one.
    pub is_present: bool,
}

/// Why a gate is not the one that Linux makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// There is none.
    NotPresent,
    /// Bits are set that have no meaning.
    Reserved,
    /// No interrupt gate.
    Kind(u8),
    /// Another privilege level.
    Dpl(u8),
    /// It has a stack of its own.
    Ist(u8),
    /// Another code segment.
    Segment(u16),
    /// It leads to somewhere else than the kernel's code.
    Target(u64),
}

impl Gate {
    /// From its bytes; None: bits without a meaning are set.
    pub fn decode(bytes: &[u8; GATE_SIZE]) -> Option<Self> {
        let [l0, l1, s0, s1, ist, kind, m0, m1, h0, h1, h2, h3, r0, r1, r2, r3] = *bytes;
        if ist & !7 != 0 || kind & 0x10 != 0 || [r0, r1, r2, r3] != [0; 4] {
            return None;
        }
        Some(Self {
            target: u64::from_le_bytes([l0, l1, m0, m1, h0, h1, h2, h3]),
            segment: u16::from_le_bytes([s0, s1]),
            ist,
            kind: kind & 0xf,
            dpl: (kind >> 5) & 3,
            is_present: kind & 0x80 != 0,
        })
    }

    /// Its bytes. Fields that are wider than their bits are cut.
    pub fn encode(&self) -> [u8; GATE_SIZE] {
        let [l0, l1, m0, m1, h0, h1, h2, h3] = self.target.to_le_bytes();
        let [s0, s1] = self.segment.to_le_bytes();
        let kind = (self.kind & 0xf) | ((self.dpl & 3) << 5) | (u8::from(self.is_present) << 7);
        [
            l0,
            l1,
            s0,
            s1,
            self.ist & 7,
            kind,
            m0,
            m1,
            h0,
            h1,
            h2,
            h3,
            0,
            0,
            0,
            0,
        ]
    }

    /// The same gate, to another place.
    #[must_use]
    pub fn leading_to(mut self, target: u64) -> Self {
        self.target = target;
        self
    }

    /// The gate in `bytes`, if it is what Linux makes for `vector`, with that code segment. Where it leads
    /// must lie in the kernel's code; that it is the right handler is for the caller to see.
    pub fn check(bytes: &[u8; GATE_SIZE], vector: &Vector, segment: u16) -> Result<Self, Foreign> {
        let gate = Self::decode(bytes).ok_or(Foreign::Reserved)?;
        if !gate.is_present {
            Err(Foreign::NotPresent)
        } else if gate.kind != INTERRUPT_GATE {
            Err(Foreign::Kind(gate.kind))
        } else if gate.dpl != vector.dpl {
            Err(Foreign::Dpl(gate.dpl))
        } else if gate.ist != 0 {
            Err(Foreign::Ist(gate.ist))
        } else if gate.segment != segment {
            Err(Foreign::Segment(gate.segment))
        } else if !KERNEL_TEXT.contains(&gate.target) {
            Err(Foreign::Target(gate.target))
        } else {
            Ok(gate)
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => write!(f, "the kernel has no gate there"),
            Self::Reserved => write!(f, "bits without a meaning are set"),
            Self::Kind(kind) => write!(f, "type {kind:#x}, not an interrupt gate"),
            Self::Dpl(dpl) => write!(f, "privilege level {dpl}"),
            Self::Ist(ist) => write!(f, "a stack of its own, {ist}"),
            Self::Segment(segment) => write!(f, "code segment {segment:#x}"),
            Self::Target(_) => write!(f, "it does not lead to the kernel's code"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CS: u16 = 0x10;

    fn int3() -> Gate {
        Gate {
            target: 0xffff_ffff_8210_1b40,
            segment: CS,
            ist: 0,
            kind: INTERRUPT_GATE,
            dpl: 3,
            is_present: true,
        }
    }

    #[test]
    fn bytes_are_those_of_the_manual() {
        let bytes = [
            0x40, 0x1b, 0x10, 0x00, 0x00, 0xee, 0x10, 0x82, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        ];
        assert_eq!(int3().encode(), bytes);
        assert_eq!(Gate::decode(&bytes), Some(int3()));
    }

    #[test]
    fn every_field_comes_back() {
        for bit in 0..128_u32 {
            let bytes = (1_u128 << bit).to_le_bytes();
            match Gate::decode(&bytes) {
                Some(gate) => assert_eq!(gate.encode(), bytes, "bit {bit}"),
                None => assert!(matches!(bit, 35..=39 | 44 | 96..), "bit {bit}"),
            }
        }
    }

    #[test]
    fn in_place_only_the_lower_half_changes() {
        let module = int3().leading_to(0xffff_ffff_c0a0_0010);
        assert_eq!(module.encode()[8..], int3().encode()[8..]);
    }

    #[test]
    fn linux_gate_passes_and_others_say_why() {
        let vector = Vector::by_number(3).unwrap();
        let check = |gate: Gate| Gate::check(&gate.encode(), &vector, CS);
        assert_eq!(check(int3()), Ok(int3()));
        let with = |change: fn(&mut Gate)| {
            let mut gate = int3();
            change(&mut gate);
            check(gate).unwrap_err()
        };
        assert_eq!(with(|g| g.is_present = false), Foreign::NotPresent);
        assert_eq!(with(|g| g.kind = 0xf), Foreign::Kind(0xf));
        assert_eq!(with(|g| g.dpl = 0), Foreign::Dpl(0));
        assert_eq!(with(|g| g.ist = 2), Foreign::Ist(2));
        assert_eq!(with(|g| g.segment = 0xe033), Foreign::Segment(0xe033));
        let module = 0xffff_ffff_c000_0000;
        assert_eq!(
            with(|g| g.target = 0xffff_ffff_c000_0000),
            Foreign::Target(module)
        );
        let mut bytes = int3().encode();
        bytes[12] = 1;
        assert_eq!(Gate::check(&bytes, &vector, CS), Err(Foreign::Reserved));
    }
}
