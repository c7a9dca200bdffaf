// SPDX-License-Identifier: GPL-2.0
//! DIF, the byte code of predicates and actions: limits, types, variables, instructions.

use crate::opcode::Opcode;

/// The version of DIF that is taken.
pub const VERSION: u32 = 2;
/// Integer registers; the first reads as 0.
pub const INTEGER_REGISTERS: usize = 8;
/// Tuple registers that clients are told of.
pub const TUPLE_REGISTERS: usize = 8;

/// The lowest array variable that a program declares.
pub const ARRAY_USER_BASE: u16 = 0x80;
/// The highest array variable.
pub const ARRAY_MAX: u16 = 0xff;
/// The lowest scalar or associative variable.
pub const OTHER_MIN: u16 = 0x100;
/// The lowest scalar or associative variable that a program declares.
pub const OTHER_USER_BASE: u16 = 0x500;

/// `kind` of a [`DifType`]: a C type.
pub const TYPE_CTF: u8 = 0;
/// `kind` of a [`DifType`]: a D string.
pub const TYPE_STRING: u8 = 1;

/// `flags` of a [`DifType`]: the value is the data's address, not the data.
pub const TYPE_BY_REF: u8 = 1;

/// `kind` of a [`Variable`]: an associative array.
pub const KIND_ARRAY: u8 = 0;
/// `kind` of a [`Variable`]: a scalar.
pub const KIND_SCALAR: u8 = 1;

/// `scope` of a [`Variable`]: global.
pub const SCOPE_GLOBAL: u8 = 0;
/// `scope` of a [`Variable`]: `self->`.
pub const SCOPE_THREAD: u8 = 1;
/// `scope` of a [`Variable`]: `this->`.
pub const SCOPE_LOCAL: u8 = 2;

/// `flags` of a [`Variable`]: this object reads it.
pub const VARIABLE_READ: u16 = 1;
/// `flags` of a [`Variable`]: this object writes it.
pub const VARIABLE_WRITTEN: u16 = 2;

plain! {
    /// A type of DIF: `dtrace_diftype`.
    pub struct DifType: 8 {
        /// [`TYPE_CTF`] or [`TYPE_STRING`].
        0 kind: u8,
        /// The CTF kind; not looked at.
        1 ctf_kind: u8,
        /// [`TYPE_BY_REF`].
        2 flags: u8,
        /// 0
        3 pad: u8,
        /// Bytes.
        4 size: u32,
    }
}

impl DifType {
    /// A signed integer of 64 bits.
    pub const INT64: Self = Self::integer(8);

    /// An integer of so many bytes.
    pub const fn integer(size: u32) -> Self {
        // CTF's kind of an integer is 1.
        Self {
            kind: TYPE_CTF,
            ctf_kind: 1,
            flags: 0,
            pad: 0,
            size,
        }
    }

    /// A string of so many bytes, its NUL included; 0: the option `strsize` says.
    pub const fn string(size: u32) -> Self {
        // To CTF it is a pointer to char; libdtrace names no kind.
        Self {
            kind: TYPE_STRING,
            ctf_kind: 0,
            flags: TYPE_BY_REF,
            pad: 0,
            size,
        }
    }

    /// Whether the value is the data's address.
    pub const fn is_by_ref(self) -> bool {
        self.flags & TYPE_BY_REF != 0
    }
}

plain! {
    /// A variable that a DIF object names: `dtrace_difv`.
    pub struct Variable: 20 {
        /// Offset of its name in the object's string table.
        0 name: u32,
        /// Its number.
        4 id: u32,
        /// [`KIND_ARRAY`] or [`KIND_SCALAR`].
        8 kind: u8,
        /// [`SCOPE_GLOBAL`], [`SCOPE_THREAD`] or [`SCOPE_LOCAL`].
        9 scope: u8,
        /// [`VARIABLE_READ`], [`VARIABLE_WRITTEN`].
        10 flags: u16,
        /// Its type.
        12 variable_type: DifType,
    }
}

/// One instruction: the opcode in the upper byte, then operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction(pub u32);

impl Instruction {
    /// Three operands of a byte each.
    pub const fn new(opcode: Opcode, r1: u8, r2: u8, rd: u8) -> Self {
        Self(u32::from_be_bytes([opcode.raw(), r1, r2, rd]))
    }

    /// An index of 16 bits and a register.
    pub const fn with_index(opcode: Opcode, index: u16, rd: u8) -> Self {
        let [high, low] = index.to_be_bytes();
        Self::new(opcode, high, low, rd)
    }

    /// A branch; `None` if the label is beyond 24 bits.
    pub const fn branch(opcode: Opcode, label: u32) -> Option<Self> {
        if label > 0xff_ffff {
            return None;
        }
        Some(Self(((opcode.raw() as u32) << 24) | label))
    }

    /// The upper byte.
    pub const fn raw_opcode(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The opcode, if there is such a one.
    pub const fn opcode(self) -> Option<Opcode> {
        Opcode::from_raw(self.raw_opcode())
    }

    /// Bits 16 to 23: first register, array variable (`ldga`, `ldta`), type (`pushtr`, `pushtv`).
    pub const fn r1(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Bits 8 to 15: second register; the size's register (`pushtr`, `pushtv`).
    pub const fn r2(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Bits 0 to 7: the register of the result, or of what is stored or pushed.
    pub const fn rd(self) -> u8 {
        self.0 as u8
    }

    /// Bits 8 to 23: index of an integer, string offset, variable or subroutine.
    pub const fn index(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// Bits 0 to 23: the instruction to branch to, from the object's first.
    pub const fn label(self) -> u32 {
        self.0 & 0xff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_they_should() {
        let add = Instruction::new(Opcode::Add, 1, 2, 3);
        assert_eq!(add.0, 0x0701_0203);
        assert_eq!(
            (add.opcode(), add.r1(), add.r2(), add.rd()),
            (Some(Opcode::Add), 1, 2, 3)
        );
        let load = Instruction::with_index(Opcode::Ldgs, 0x118, 1);
        assert_eq!(load.0, 0x2901_1801);
        assert_eq!((load.index(), load.rd()), (0x118, 1));
        assert_eq!(
            Instruction::branch(Opcode::Ba, 0x12_3456).map(|i| i.0),
            Some(0x1112_3456)
        );
        assert_eq!(Instruction::branch(Opcode::Ba, 1 << 24), None);
        assert_eq!(Instruction(0).opcode(), None);
    }
}
