// SPDX-License-Identifier: GPL-2.0
//! What the variables of a tracing state are: one [`Slot`] for each number of each scope.
//!
//! Objects of one state share variables by number, so what they declare must agree.

use crate::instruction::Scope;
use core::fmt;
use dtrace_interface::dif::{
    Variable, KIND_ARRAY, KIND_SCALAR, OTHER_USER_BASE, SCOPE_GLOBAL, SCOPE_LOCAL, SCOPE_THREAD,
    TYPE_CTF, TYPE_STRING,
};

/// The largest variable, in bytes.
pub const MAX_VARIABLE: u32 = 4096;

/// What a variable of one number and scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Slot {
    pub(crate) kind: Kind,
    pub(crate) by_ref: bool,
    pub(crate) string: bool,
    /// Bytes of the value.
    pub(crate) size: u32,
    /// Index of its first word in the memory of its scope; by-reference scalars have a word before
    /// their data, which is 1 if the variable is null.
    pub(crate) word: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Undeclared,
    Scalar,
    Array,
}

impl Slot {
    /// A number nobody declared.
    pub const UNDECLARED: Self = Self {
        kind: Kind::Undeclared,
        by_ref: false,
        string: false,
        size: 0,
        word: 0,
    };

    /// Words of its value.
    pub(crate) fn data_words(&self) -> u32 {
        match self.by_ref {
            true => self.size.div_ceil(8).max(1),
            false => 1,
        }
    }
}

/// The slots of a state, for its programs: indexed by number less [`OTHER_USER_BASE`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Declarations<'a> {
    /// Of global scalars and arrays.
    pub globals: &'a [Slot],
    /// Of `self->`.
    pub threads: &'a [Slot],
    /// Of `this->`.
    pub locals: &'a [Slot],
}

impl Declarations<'_> {
    pub(crate) fn slot(&self, scope: Scope, variable: u16) -> Option<&Slot> {
        let slots = match scope {
            Scope::Global => self.globals,
            Scope::Thread => self.threads,
            Scope::Local => self.locals,
        };
        let index = variable.checked_sub(OTHER_USER_BASE)?;
        slots.get(usize::from(index))
    }

    pub(crate) fn of_kind(&self, scope: Scope, variable: u16, kind: Kind) -> Option<&Slot> {
        self.slot(scope, variable).filter(|slot| slot.kind == kind)
    }
}

/// Why a declaration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadDeclaration {
    /// No such kind.
    Kind(u8),
    /// No such scope.
    Scope(u8),
    /// No such kind of type.
    Type(u8),
    /// A number that no variable has, or with no slot for it.
    Number(u32),
    /// An array in `this->`.
    LocalArray,
    /// A string by value, or an integer of so many bytes; or larger than [`MAX_VARIABLE`].
    Size(u32),
    /// Declared before, otherwise.
    Conflict,
    /// The scope's memory would be too large.
    TooMany,
}

impl BadDeclaration {
    /// Without the number that was wrong.
    pub fn why(&self) -> &'static str {
        match self {
            Self::Kind(_) => "no such kind of variables",
            Self::Scope(_) => "no such scope",
            Self::Type(_) => "no such kind of types",
            Self::Number(_) => "no variable has this number",
            Self::LocalArray => "an array cannot be clause-local",
            Self::Size(_) => "a size that its type cannot have",
            Self::Conflict => "declared before with another kind or type",
            Self::TooMany => "too many variables",
        }
    }
}

impl fmt::Display for BadDeclaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "no kind {kind} of variables"),
            Self::Scope(scope) => write!(f, "no scope {scope}"),
            Self::Type(kind) => write!(f, "no kind {kind} of types"),
            Self::Number(id) => write!(f, "no variable has number {id:#x}"),
            Self::LocalArray => f.write_str("an array cannot be clause-local"),
            Self::Size(size) => write!(f, "a variable of its type cannot have {size} bytes"),
            Self::Conflict => f.write_str("declared before with another kind or type"),
            Self::TooMany => f.write_str("too many variables"),
        }
    }
}

/// Which scope a variable is of, by number as [`Scope`]: so the caller can pick its slots.
pub fn scope_of(variable: &Variable) -> Result<Scope, BadDeclaration> {
    match variable.scope {
        SCOPE_GLOBAL => Ok(Scope::Global),
        SCOPE_THREAD => Ok(Scope::Thread),
        SCOPE_LOCAL => Ok(Scope::Local),
        other => Err(BadDeclaration::Scope(other)),
    }
}

/// How many slots of its scope's a variable needs there to be; 0 for built-ins.
pub fn slots_for(variable: &Variable) -> usize {
    let base = u32::from(OTHER_USER_BASE);
    match variable.id.checked_sub(base) {
        Some(index) if variable.id <= u32::from(u16::MAX) => index as usize + 1,
        _ => 0,
    }
}

/// Takes a variable of an object's table into the slots of its scope. `words`: the words of memory
/// the scope needs, which grow; 0 at first. Built-ins are passed over. Task context.
pub fn declare(
    slots: &mut [Slot],
    words: &mut u32,
    variable: &Variable,
    strsize: u32,
) -> Result<(), BadDeclaration> {
    let scope = scope_of(variable)?;
    let kind = match variable.kind {
        KIND_ARRAY => Kind::Array,
        KIND_SCALAR => Kind::Scalar,
        other => return Err(BadDeclaration::Kind(other)),
    };
    if variable.id > u32::from(u16::MAX) {
        return Err(BadDeclaration::Number(variable.id));
    }
    let Some(index) = variable.id.checked_sub(u32::from(OTHER_USER_BASE)) else {
        return Ok(());
    };
    let slot = slots
        .get_mut(index as usize)
        .ok_or(BadDeclaration::Number(variable.id))?;
    if scope == Scope::Local && kind == Kind::Array {
        return Err(BadDeclaration::LocalArray);
    }
    let kind_of_type = variable.variable_type.kind;
    if kind_of_type != TYPE_CTF && kind_of_type != TYPE_STRING {
        return Err(BadDeclaration::Type(kind_of_type));
    }
    let string = kind_of_type == TYPE_STRING;
    let by_ref = variable.variable_type.is_by_ref();
    let size = match variable.variable_type.size {
        0 if string => strsize,
        size => size,
    };
    let fits = match by_ref {
        true => (1..=MAX_VARIABLE).contains(&size),
        false => size <= 8 && !string,
    };
    if !fits {
        return Err(BadDeclaration::Size(size));
    }
    let new = Slot {
        kind,
        by_ref,
        string,
        size,
        word: *words,
    };
    if slot.kind != Kind::Undeclared {
        return match (Slot {
            word: slot.word,
            ..new
        }) == *slot
        {
            true => Ok(()),
            false => Err(BadDeclaration::Conflict),
        };
    }
    if kind == Kind::Scalar && scope != Scope::Thread {
        let takes = new.data_words() + u32::from(by_ref);
        // Addresses of a window have 32 bits.
        *words = words
            .checked_add(takes)
            .filter(|words| *words <= u32::MAX / 8)
            .ok_or(BadDeclaration::TooMany)?;
    }
    *slot = new;
    Ok(())
}
