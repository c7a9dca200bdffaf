// SPDX-License-Identifier: GPL-2.0
//! DIF's instruction set: 32-bit words into [`Instruction`]s.
//!
//! Decoding checks what one word can show: the opcode is known, registers exist, `%r0` is not
//! written. Opcodes and fields: `dif_defines.h` of Oracle's Linux kernel (UPL-1.0).

use core::fmt;
use dtrace_interface::dif::{Instruction as Word, INTEGER_REGISTERS};
use dtrace_interface::opcode::Opcode;

/// Integer registers of a program; `%r0` reads as zero.
pub const REGISTERS: usize = INTEGER_REGISTERS;

/// An integer register, below [`REGISTERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(u8);

impl Register {
    /// `%r0`: zero, and never written.
    pub const ZERO: Self = Self(0);

    fn new(number: u8) -> Result<Self, Undecodable> {
        match usize::from(number) < REGISTERS {
            true => Ok(Self(number)),
            false => Err(Undecodable::Register(number)),
        }
    }

    fn written(number: u8) -> Result<Self, Undecodable> {
        match number {
            0 => Err(Undecodable::WritesR0),
            _ => Self::new(number),
        }
    }

    /// Its number, below [`REGISTERS`].
    #[inline(always)]
    pub fn number(self) -> usize {
        usize::from(self.0) & (REGISTERS - 1)
    }
}

/// Instructions of two operands and a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Or,
    Xor,
    And,
    ShiftLeft,
    ShiftRight,
    ShiftRightSigned,
    Subtract,
    Add,
    Multiply,
    DivideSigned,
    DivideUnsigned,
    RemainderSigned,
    RemainderUnsigned,
}

/// When a branch is taken, by the last comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Condition {
    Always,
    Equal,
    NotEqual,
    Greater,
    GreaterUnsigned,
    GreaterEqual,
    GreaterEqualUnsigned,
    Less,
    LessUnsigned,
    LessEqual,
    LessEqualUnsigned,
}

/// Whose memory a load reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The kernel's, the program's own scratch, strings and variables among it.
    Kernel,
    /// The running process's.
    User,
}

/// Size of a load or store, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Width {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    /// In bytes: 1, 2, 4 or 8.
    #[inline(always)]
    pub fn bytes(self) -> usize {
        self as usize
    }
}

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One for all CPUs.
    Global,
    /// One for each thread (`self->`).
    Thread,
    /// One for each run of a clause (`this->`).
    Local,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Global => "global",
            Scope::Thread => "thread-local",
            Scope::Local => "clause-local",
        })
    }
}

/// One instruction, its fields as named in the header: r1, r2 read, rd written, rs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Instruction {
    Binary {
        op: Binary,
        r1: Register,
        r2: Register,
        rd: Register,
    },
    Not {
        r1: Register,
        rd: Register,
    },
    Move {
        r1: Register,
        rd: Register,
    },
    Compare {
        r1: Register,
        r2: Register,
    },
    CompareStrings {
        r1: Register,
        r2: Register,
    },
    Test {
        r1: Register,
    },
    Branch {
        condition: Condition,
        target: u32,
    },
    Load {
        space: Space,
        width: Width,
        signed: bool,
        r1: Register,
        rd: Register,
    },
    Store {
        width: Width,
        r1: Register,
        rd: Register,
    },
    Return {
        rd: Register,
    },
    Nop,
    SetInteger {
        index: u16,
        rd: Register,
    },
    SetString {
        offset: u16,
        rd: Register,
    },
    LoadArray {
        scope: Scope,
        variable: u8,
        index: Register,
        rd: Register,
    },
    LoadScalar {
        scope: Scope,
        variable: u16,
        rd: Register,
    },
    StoreScalar {
        scope: Scope,
        variable: u16,
        rs: Register,
    },
    LoadAssociative {
        scope: Scope,
        variable: u16,
        rd: Register,
    },
    StoreAssociative {
        scope: Scope,
        variable: u16,
        rs: Register,
    },
    Call {
        subroutine: u16,
        rd: Register,
    },
    PushReference {
        kind: u8,
        size: Register,
        rs: Register,
    },
    PushValue {
        kind: u8,
        size: Register,
        rs: Register,
    },
    Pop,
    Flush,
    Allocate {
        r1: Register,
        rd: Register,
    },
    /// Copies as many bytes as `r2` says from `r1` to `rd`, which is an address here, not written.
    Copy {
        r1: Register,
        r2: Register,
        rd: Register,
    },
    Translate {
        index: u16,
        rd: Register,
    },
    TranslateArgument {
        index: u16,
        rd: Register,
    },
}

/// Why a word is no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// No such opcode.
    Opcode(u8),
    /// No such register.
    Register(u8),
    /// `%r0` would be written.
    WritesR0,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::Opcode(number) => write!(f, "unknown opcode {number}"),
            Undecodable::Register(number) => write!(f, "no register %r{number}"),
            Undecodable::WritesR0 => write!(f, "writes %r0"),
        }
    }
}

impl Instruction {
    /// What `word` says. Any context.
    pub fn decode(word: u32) -> Result<Self, Undecodable> {
        let word = Word(word);
        let (first, second, third) = (word.r1(), word.r2(), word.rd());
        let (number, target) = (word.index(), word.label());
        let r1 = || Register::new(first);
        let r2 = || Register::new(second);
        let rs = || Register::new(third);
        let rd = || Register::written(third);
        let binary = |op| {
            Ok(Self::Binary {
                op,
                r1: r1()?,
                r2: r2()?,
                rd: rd()?,
            })
        };
        let branch = |condition| Ok(Self::Branch { condition, target });
        let load = |space, width, signed| {
            Ok(Self::Load {
                space,
                width,
                signed,
                r1: r1()?,
                rd: rd()?,
            })
        };
        let store = |width| {
            Ok(Self::Store {
                width,
                r1: r1()?,
                rd: rs()?,
            })
        };
        let load_scalar = |scope| {
            Ok(Self::LoadScalar {
                scope,
                variable: number,
                rd: rd()?,
            })
        };
        let store_scalar = |scope| {
            Ok(Self::StoreScalar {
                scope,
                variable: number,
                rs: rs()?,
            })
        };
        let load_array = |scope| {
            Ok(Self::LoadArray {
                scope,
                variable: first,
                index: r2()?,
                rd: rd()?,
            })
        };
        let load_associative = |scope| {
            Ok(Self::LoadAssociative {
                scope,
                variable: number,
                rd: rd()?,
            })
        };
        let store_associative = |scope| {
            Ok(Self::StoreAssociative {
                scope,
                variable: number,
                rs: rs()?,
            })
        };
        use Space::{Kernel, User};
        use Width::{Eight, Four, One, Two};
        let Some(opcode) = word.opcode() else {
            return Err(Undecodable::Opcode(word.raw_opcode()));
        };
        match opcode {
            Opcode::Or => binary(Binary::Or),
            Opcode::Xor => binary(Binary::Xor),
            Opcode::And => binary(Binary::And),
            Opcode::Sll => binary(Binary::ShiftLeft),
            Opcode::Srl => binary(Binary::ShiftRight),
            Opcode::Sra => binary(Binary::ShiftRightSigned),
            Opcode::Sub => binary(Binary::Subtract),
            Opcode::Add => binary(Binary::Add),
            Opcode::Mul => binary(Binary::Multiply),
            Opcode::Sdiv => binary(Binary::DivideSigned),
            Opcode::Udiv => binary(Binary::DivideUnsigned),
            Opcode::Srem => binary(Binary::RemainderSigned),
            Opcode::Urem => binary(Binary::RemainderUnsigned),
            Opcode::Not => Ok(Self::Not {
                r1: r1()?,
                rd: rd()?,
            }),
            Opcode::Mov => Ok(Self::Move {
                r1: r1()?,
                rd: rd()?,
            }),
            Opcode::Cmp => Ok(Self::Compare {
                r1: r1()?,
                r2: r2()?,
            }),
            Opcode::Scmp => Ok(Self::CompareStrings {
                r1: r1()?,
                r2: r2()?,
            }),
            Opcode::Tst => Ok(Self::Test { r1: r1()? }),
            Opcode::Ba => branch(Condition::Always),
            Opcode::Be => branch(Condition::Equal),
            Opcode::Bne => branch(Condition::NotEqual),
            Opcode::Bg => branch(Condition::Greater),
            Opcode::Bgu => branch(Condition::GreaterUnsigned),
            Opcode::Bge => branch(Condition::GreaterEqual),
            Opcode::Bgeu => branch(Condition::GreaterEqualUnsigned),
            Opcode::Bl => branch(Condition::Less),
            Opcode::Blu => branch(Condition::LessUnsigned),
            Opcode::Ble => branch(Condition::LessEqual),
            Opcode::Bleu => branch(Condition::LessEqualUnsigned),
            // A restricted load differs by privilege only, which the environment knows.
            Opcode::Ldsb | Opcode::Rldsb => load(Kernel, One, true),
            Opcode::Ldsh | Opcode::Rldsh => load(Kernel, Two, true),
            Opcode::Ldsw | Opcode::Rldsw => load(Kernel, Four, true),
            Opcode::Ldub | Opcode::Rldub => load(Kernel, One, false),
            Opcode::Lduh | Opcode::Rlduh => load(Kernel, Two, false),
            Opcode::Lduw | Opcode::Rlduw => load(Kernel, Four, false),
            Opcode::Ldx | Opcode::Rldx => load(Kernel, Eight, false),
            Opcode::Uldsb => load(User, One, true),
            Opcode::Uldsh => load(User, Two, true),
            Opcode::Uldsw => load(User, Four, true),
            Opcode::Uldub => load(User, One, false),
            Opcode::Ulduh => load(User, Two, false),
            Opcode::Ulduw => load(User, Four, false),
            Opcode::Uldx => load(User, Eight, false),
            Opcode::Stb => store(One),
            Opcode::Sth => store(Two),
            Opcode::Stw => store(Four),
            Opcode::Stx => store(Eight),
            Opcode::Ret => Ok(Self::Return { rd: rs()? }),
            Opcode::Nop => Ok(Self::Nop),
            Opcode::Setx => Ok(Self::SetInteger {
                index: number,
                rd: rd()?,
            }),
            Opcode::Sets => Ok(Self::SetString {
                offset: number,
                rd: rd()?,
            }),
            Opcode::Ldga => load_array(Scope::Global),
            Opcode::Ldta => load_array(Scope::Thread),
            Opcode::Ldgs => load_scalar(Scope::Global),
            Opcode::Ldts => load_scalar(Scope::Thread),
            Opcode::Ldls => load_scalar(Scope::Local),
            Opcode::Stgs => store_scalar(Scope::Global),
            Opcode::Stts => store_scalar(Scope::Thread),
            Opcode::Stls => store_scalar(Scope::Local),
            Opcode::Ldgaa => load_associative(Scope::Global),
            Opcode::Ldtaa => load_associative(Scope::Thread),
            Opcode::Stgaa => store_associative(Scope::Global),
            Opcode::Sttaa => store_associative(Scope::Thread),
            Opcode::Call => Ok(Self::Call {
                subroutine: number,
                rd: rd()?,
            }),
            Opcode::Pushtr => Ok(Self::PushReference {
                kind: first,
                size: r2()?,
                rs: rs()?,
            }),
            Opcode::Pushtv => Ok(Self::PushValue {
                kind: first,
                size: r2()?,
                rs: rs()?,
            }),
            Opcode::Popts => Ok(Self::Pop),
            Opcode::Flushts => Ok(Self::Flush),
            Opcode::Allocs => Ok(Self::Allocate {
                r1: r1()?,
                rd: rd()?,
            }),
            Opcode::Copys => Ok(Self::Copy {
                r1: r1()?,
                r2: r2()?,
                rd: rs()?,
            }),
            Opcode::Xlate => Ok(Self::Translate {
                index: number,
                rd: rd()?,
            }),
            Opcode::Xlarg => Ok(Self::TranslateArgument {
                index: number,
                rd: rd()?,
            }),
        }
    }
}
