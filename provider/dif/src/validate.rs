// SPDX-License-Identifier: GPL-2.0
//! Checks an object before it may run. Time is linear in its size.

use crate::built_in;
use crate::instruction::{Instruction, Register, Scope, Undecodable, REGISTERS};
use crate::object::{Needs, Object, Program};
use crate::store;
use crate::subroutine;
use crate::variables::{scope_of, BadDeclaration, Declarations, Kind, MAX_VARIABLE};
use core::fmt;
use dtrace_interface::dif::{
    INTEGER_REGISTERS, KIND_ARRAY, KIND_SCALAR, OTHER_USER_BASE, TYPE_CTF, TYPE_STRING,
};
use dtrace_interface::subroutine::Subroutine;
use dtrace_interface::variable::BuiltIn;

/// The largest `strsize`.
pub const MAX_STRSIZE: u32 = 4096;
/// The largest result of a program that returns data by reference, in bytes.
pub const MAX_RESULT: u32 = 65_536;

/// Bounds on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The option of that name: a string's bytes where no size is said. At most [`MAX_STRSIZE`].
    pub strsize: u32,
    /// Most instructions.
    pub instructions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            strsize: 256,
            instructions: 16_384,
        }
    }
}

/// Where an object is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The object as a whole.
    Object,
    /// The instruction of this index.
    Instruction(u32),
    /// The variable at this index of its table.
    Variable(u32),
}

/// Why an object is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `strsize` is 0 or above [`MAX_STRSIZE`].
    Strsize(u32),
    /// There is no instruction.
    Empty,
    /// More instructions than [`Limits::instructions`].
    TooLong(u32),
    /// The string table does not end with a NUL.
    StringsUnterminated,
    /// A word that is no instruction.
    Undecodable(Undecodable),
    /// The last instruction is not `ret`.
    NoReturn,
    /// A branch to itself or backward.
    Backward(u32),
    /// A branch to beyond the last instruction.
    Outside(u32),
    /// No such integer in the table.
    Integer(u16),
    /// No such string in the table.
    String(u16),
    /// No such built-in variable.
    NoBuiltIn(u16),
    /// A built-in variable that is not there here.
    NoVariable(BuiltIn),
    /// A built-in variable is written.
    BuiltInWritten(u16),
    /// A variable that no object declared in this scope as this kind.
    Undeclared(Scope, u16),
    /// An array that only the kernel could declare.
    Array(Scope, u8),
    /// No such kind of type on the tuple stack.
    TupleType(u8),
    /// No such subroutine.
    NoSubroutine(u16),
    /// A subroutine that does not run here.
    Unsupported(Subroutine),
    /// A translator, which only a compiler resolves.
    Translator,
    /// A variable that cannot be.
    Declaration(BadDeclaration),
    /// The variable's name is not in the string table.
    Name(u32),
    /// No such kind of return type.
    ReturnType(u8),
    /// A return type of a size that cannot be.
    ReturnSize(u32),
}

/// An object is refused: where and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where.
    pub place: Place,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strsize(size) => write!(f, "strsize {size} is not within 1 and {MAX_STRSIZE}"),
            Self::Empty => f.write_str("no instruction"),
            Self::TooLong(most) => write!(f, "more than {most} instructions"),
            Self::StringsUnterminated => f.write_str("string table without a NUL at its end"),
            Self::Undecodable(what) => what.fmt(f),
            Self::NoReturn => f.write_str("last instruction is not ret"),
            Self::Backward(target) => write!(f, "branch backward to {target}"),
            Self::Outside(target) => write!(f, "branch to {target}, beyond the end"),
            Self::Integer(index) => write!(f, "no integer {index} in the table"),
            Self::String(offset) => write!(f, "no string at {offset} in the table"),
            Self::NoBuiltIn(number) => write!(f, "no built-in variable {number:#x}"),
            Self::NoVariable(variable) if variable.is_array() => {
                write!(f, "{}[] is not supported", variable.name())
            }
            Self::NoVariable(variable) => write!(f, "{} is not supported", variable.name()),
            Self::BuiltInWritten(number) => write!(f, "writes built-in variable {number:#x}"),
            Self::Undeclared(scope, number) => {
                write!(f, "{scope} variable {number:#x} is not declared so")
            }
            Self::Array(scope, number) => write!(f, "no {scope} built-in array {number:#x}"),
            Self::TupleType(kind) => write!(f, "no kind {kind} of types"),
            Self::NoSubroutine(number) => write!(f, "no subroutine {number}"),
            Self::Unsupported(subroutine) => write!(f, "{}() is not supported", subroutine.name()),
            Self::Translator => f.write_str("a translator that was not resolved"),
            Self::Declaration(why) => why.fmt(f),
            Self::Name(offset) => write!(f, "no name at {offset} in the string table"),
            Self::ReturnType(kind) => write!(f, "no kind {kind} of return types"),
            Self::ReturnSize(size) => write!(f, "return type of {size} bytes"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Object => write!(f, "DIF object: {}", self.reason),
            Place::Instruction(index) => write!(f, "DIF instruction {index}: {}", self.reason),
            Place::Variable(index) => write!(f, "DIF variable {index}: {}", self.reason),
        }
    }
}

/// Checks `object`, whose variables were declared already (see [`crate::variables::declare`]).
/// Task context.
pub fn validate<'a>(
    object: Object<'a>,
    declared: &Declarations<'_>,
    limits: &Limits,
) -> Result<Program<'a>, Refusal> {
    let refuse = |place| move |reason| Refusal { place, reason };
    whole(&object, limits).map_err(refuse(Place::Object))?;
    for (index, variable) in (0..).zip(object.variables) {
        check_variable(&object, declared, variable).map_err(refuse(Place::Variable(index)))?;
    }
    let length = object.instructions.len() as u32;
    let mut tuple = TupleEstimate::new(limits.strsize);
    for (index, word) in (0..).zip(object.instructions) {
        let check = || {
            let instruction = Instruction::decode(*word).map_err(Reason::Undecodable)?;
            check_instruction(&object, declared, index, length, instruction)?;
            Ok(instruction)
        };
        let instruction = check().map_err(refuse(Place::Instruction(index)))?;
        tuple.follow(&object, declared, instruction);
        if index + 1 == length && !matches!(instruction, Instruction::Return { .. }) {
            return Err(refuse(Place::Instruction(index))(Reason::NoReturn));
        }
    }
    let needs = Needs {
        chunk_words: tuple.largest,
    };
    Ok(Program::from_validated(object, needs))
}

fn whole(object: &Object<'_>, limits: &Limits) -> Result<(), Reason> {
    if limits.strsize == 0 || limits.strsize > MAX_STRSIZE {
        return Err(Reason::Strsize(limits.strsize));
    }
    if object.instructions.is_empty() {
        return Err(Reason::Empty);
    }
    if object.instructions.len() > limits.instructions as usize {
        return Err(Reason::TooLong(limits.instructions));
    }
    // Then every offset within leads to a string that ends.
    if object.strings.last().is_some_and(|byte| *byte != 0) {
        return Err(Reason::StringsUnterminated);
    }
    let returned = object.return_type;
    let most = match (returned.kind, returned.is_by_ref()) {
        (TYPE_STRING, true) => MAX_STRSIZE,
        (TYPE_CTF, true) => MAX_RESULT,
        (TYPE_CTF, false) => 8,
        (kind, _) => return Err(Reason::ReturnType(kind)),
    };
    match returned.size <= most {
        true => Ok(()),
        false => Err(Reason::ReturnSize(returned.size)),
    }
}

fn check_variable(
    object: &Object<'_>,
    declared: &Declarations<'_>,
    variable: &dtrace_interface::dif::Variable,
) -> Result<(), Reason> {
    let scope = scope_of(variable).map_err(Reason::Declaration)?;
    if variable.name as usize >= object.strings.len() {
        return Err(Reason::Name(variable.name));
    }
    let kind = match variable.kind {
        KIND_ARRAY => Kind::Array,
        KIND_SCALAR => Kind::Scalar,
        other => return Err(Reason::Declaration(BadDeclaration::Kind(other))),
    };
    let number = u16::try_from(variable.id)
        .map_err(|_| Reason::Declaration(BadDeclaration::Number(variable.id)))?;
    if number < OTHER_USER_BASE {
        return Ok(());
    }
    match declared.of_kind(scope, number, kind) {
        Some(_) => Ok(()),
        None => Err(Reason::Undeclared(scope, number)),
    }
}

fn check_instruction(
    object: &Object<'_>,
    declared: &Declarations<'_>,
    index: u32,
    length: u32,
    instruction: Instruction,
) -> Result<(), Reason> {
    let known = |scope, variable, kind| match declared.of_kind(scope, variable, kind) {
        Some(_) => Ok(()),
        None => Err(Reason::Undeclared(scope, variable)),
    };
    match instruction {
        Instruction::Branch { target, .. } if target <= index => Err(Reason::Backward(target)),
        Instruction::Branch { target, .. } if target >= length => Err(Reason::Outside(target)),
        Instruction::SetInteger { index, .. } if usize::from(index) >= object.integers.len() => {
            Err(Reason::Integer(index))
        }
        Instruction::SetString { offset, .. } if usize::from(offset) >= object.strings.len() => {
            Err(Reason::String(offset))
        }
        Instruction::LoadArray {
            scope, variable, ..
        } => match BuiltIn::from_raw(u16::from(variable)) {
            Some(built_in) if scope == Scope::Global && !built_in::is_known(built_in) => {
                Err(Reason::NoVariable(built_in))
            }
            Some(_) if scope == Scope::Global => Ok(()),
            _ => Err(Reason::Array(scope, variable)),
        },
        Instruction::LoadScalar {
            scope: Scope::Global,
            variable,
            ..
        } if variable < OTHER_USER_BASE => match BuiltIn::from_raw(variable) {
            Some(built_in) if !built_in.is_array() && !built_in::is_known(built_in) => {
                Err(Reason::NoVariable(built_in))
            }
            Some(built_in) if !built_in.is_array() => Ok(()),
            _ => Err(Reason::NoBuiltIn(variable)),
        },
        Instruction::StoreScalar {
            scope: Scope::Global,
            variable,
            ..
        } if variable < OTHER_USER_BASE => Err(Reason::BuiltInWritten(variable)),
        Instruction::LoadScalar {
            scope, variable, ..
        }
        | Instruction::StoreScalar {
            scope, variable, ..
        } => known(scope, variable, Kind::Scalar),
        Instruction::LoadAssociative {
            scope, variable, ..
        }
        | Instruction::StoreAssociative {
            scope, variable, ..
        } => known(scope, variable, Kind::Array),
        Instruction::PushReference { kind, .. } | Instruction::PushValue { kind, .. }
            if kind != TYPE_CTF && kind != TYPE_STRING =>
        {
            Err(Reason::TupleType(kind))
        }
        Instruction::Call { subroutine, .. } => match Subroutine::from_raw(subroutine) {
            None => Err(Reason::NoSubroutine(subroutine)),
            Some(subroutine) if !subroutine::is_supported(subroutine) => {
                Err(Reason::Unsupported(subroutine))
            }
            Some(_) => Ok(()),
        },
        Instruction::Translate { .. } | Instruction::TranslateArgument { .. } => {
            Err(Reason::Translator)
        }
        _ => Ok(()),
    }
}

/// How large tuples can get, read off the instructions in a row: sizes that `setx` put into a
/// register are known, others are taken for `strsize`. Branches are not followed: pushes that a
/// branch skips are counted as well.
struct TupleEstimate {
    strsize: u32,
    known: [Option<u64>; INTEGER_REGISTERS],
    words: u32,
    largest: u32,
}

impl TupleEstimate {
    fn new(strsize: u32) -> Self {
        let mut known = [None; REGISTERS];
        known[0] = Some(0);
        Self {
            strsize,
            known,
            words: 0,
            largest: 0,
        }
    }

    fn set(&mut self, rd: Register, value: Option<u64>) {
        if let Some(known) = self.known.get_mut(rd.number()) {
            *known = value;
        }
    }

    fn follow(&mut self, object: &Object<'_>, declared: &Declarations<'_>, next: Instruction) {
        match next {
            Instruction::SetInteger { index, rd } => {
                self.set(rd, object.integers.get(usize::from(index)).copied());
            }
            Instruction::PushValue { .. } => self.words = self.words.saturating_add(2),
            Instruction::PushReference { size, .. } => {
                let size = match self.known.get(size.number()).copied().flatten() {
                    Some(size) if size > 0 => u32::try_from(size).unwrap_or(u32::MAX),
                    _ => self.strsize,
                };
                let words = 1 + size.min(MAX_VARIABLE).div_ceil(8);
                self.words = self.words.saturating_add(words);
            }
            Instruction::Flush => self.words = 0,
            Instruction::LoadScalar {
                scope: scope @ Scope::Thread,
                variable,
                rd,
            } => {
                self.dynamic(declared, scope, variable, Kind::Scalar);
                self.set(rd, None);
            }
            Instruction::StoreScalar {
                scope: scope @ Scope::Thread,
                variable,
                ..
            } => self.dynamic(declared, scope, variable, Kind::Scalar),
            Instruction::LoadAssociative {
                scope,
                variable,
                rd,
            } => {
                self.dynamic(declared, scope, variable, Kind::Array);
                self.set(rd, None);
            }
            Instruction::StoreAssociative {
                scope, variable, ..
            } => self.dynamic(declared, scope, variable, Kind::Array),
            Instruction::Binary { rd, .. }
            | Instruction::Not { rd, .. }
            | Instruction::Load { rd, .. }
            | Instruction::SetString { rd, .. }
            | Instruction::LoadArray { rd, .. }
            | Instruction::LoadScalar { rd, .. }
            | Instruction::Call { rd, .. }
            | Instruction::Allocate { rd, .. } => self.set(rd, None),
            Instruction::Move { r1, rd } => {
                let value = self.known.get(r1.number()).copied().flatten();
                self.set(rd, value);
            }
            _ => {}
        }
    }

    fn dynamic(&mut self, declared: &Declarations<'_>, scope: Scope, variable: u16, kind: Kind) {
        let Some(slot) = declared.of_kind(scope, variable, kind) else {
            return;
        };
        let tuple = match kind {
            Kind::Array => self.words,
            _ => 0,
        };
        // The key begins with the variable and the thread.
        let words = (store::HEADER_WORDS as u32 + slot.data_words() + 2).saturating_add(tuple);
        self.largest = self.largest.max(words);
    }
}
