// SPDX-License-Identifier: GPL-2.0
//! A DIF object that is owned.

use std::vec::Vec;

use dtrace_interface::dif::{DifType, Variable};

use crate::Difo;

/// A DIF object to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it returns.
    pub return_type: DifType,
    /// Its code: at least one instruction.
    pub instructions: Vec<u32>,
    /// Its integers.
    pub integers: Vec<u64>,
    /// Its strings: empty, or the last byte is a NUL.
    pub strings: Vec<u8>,
    /// Its variables.
    pub variables: Vec<Variable>,
}

impl From<Difo<'_>> for Object {
    fn from(loaded: Difo<'_>) -> Self {
        Self {
            return_type: loaded.return_type,
            instructions: loaded.instructions.iter().collect(),
            integers: loaded.integers.iter().collect(),
            strings: loaded.strings.to_vec(),
            variables: loaded.variables.iter().collect(),
        }
    }
}
