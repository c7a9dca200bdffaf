// SPDX-License-Identifier: GPL-2.0
//! A DIF object: instructions and the tables they index.

use crate::instruction::{Instruction, Undecodable};
use dtrace_interface::dif::{DifType, Variable, TYPE_STRING};

/// A DIF object as it came: nothing is checked, see [`crate::validate`].
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Instructions.
    pub instructions: &'a [u32],
    /// What `setx` indexes.
    pub integers: &'a [u64],
    /// What `sets` and names index; each string ends with a NUL.
    pub strings: &'a [u8],
    /// Variables that are used.
    pub variables: &'a [Variable],
    /// What `ret` returns.
    pub return_type: DifType,
}

impl<'a> Object<'a> {
    /// Its instructions, decoded one by one.
    pub fn decoded(
        &self,
    ) -> impl ExactSizeIterator<Item = Result<Instruction, Undecodable>> + use<'a> {
        self.instructions
            .iter()
            .map(|word| Instruction::decode(*word))
    }
}

/// What a program needs, found by validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// Words of the largest chunk of the [`crate::Store`] it uses, an upper bound by what can be
    /// seen beforehand; 0: uses none.
    pub chunk_words: u32,
}

/// A checked object, the only thing [`crate::Machine`] runs.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    pub(crate) object: Object<'a>,
    /// Its instructions, decoded. None: each is decoded when it is run.
    code: Option<&'a [Instruction]>,
    needs: Needs,
}

impl<'a> Program<'a> {
    /// Takes an object that [`crate::validate`] accepted before, unchanged since, and lives
    /// somewhere else now. Any other object is harmless too, but faults: the machine relies on
    /// checks of its own only.
    pub fn from_validated(object: Object<'a>, needs: Needs) -> Self {
        Self {
            object,
            code: None,
            needs,
        }
    }

    /// The same, with its instructions [decoded](Object::decoded) already: it runs several times as fast.
    #[must_use]
    pub fn with_code(self, code: &'a [Instruction]) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// All instructions, if they are decoded.
    pub(crate) fn code(&self) -> Option<&'a [Instruction]> {
        self.code
    }

    /// Instruction `at`, decoded now. None: there is none, or it is none.
    pub(crate) fn decoded(&self, at: usize) -> Option<Instruction> {
        Instruction::decode(*self.object.instructions.get(at)?).ok()
    }

    /// The object.
    pub fn object(&self) -> &Object<'a> {
        &self.object
    }

    /// What it needs.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether its value is an address of data.
    pub fn returns_by_ref(&self) -> bool {
        self.object.return_type.is_by_ref()
    }

    /// Bytes of its result: what a record of it holds. A string has `strsize`, unless it says.
    pub fn result_size(&self, strsize: u32) -> u32 {
        match self.object.return_type {
            DifType {
                kind: TYPE_STRING,
                size: 0,
                ..
            } => strsize,
            DifType { size, .. } => size,
        }
    }
}
