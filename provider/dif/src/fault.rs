// SPDX-License-Identifier: GPL-2.0
//! What can go wrong while a program runs.

use core::fmt;

/// A fault's kind; its number is what the `ERROR` probe is told.
pub use dtrace_interface::fault::Fault as FaultKind;

/// A fault: what, where in the program, at which address. The firing's record is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The instruction's index; `ERROR`'s arg3 is this times 4.
    pub instruction: u32,
    /// The address, for faults of memory; else 0.
    pub address: u64,
}

/// A fault within an instruction, which does not know its own index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: FaultKind,
    pub(crate) address: u64,
}

impl From<FaultKind> for Trouble {
    fn from(kind: FaultKind) -> Self {
        Self { kind, address: 0 }
    }
}

impl Trouble {
    pub(crate) fn at(kind: FaultKind, address: u64) -> Self {
        Self { kind, address }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at instruction {}",
            self.kind.name(),
            self.instruction
        )?;
        match self.address {
            0 => Ok(()),
            address => write!(f, ", address {address:#x}"),
        }
    }
}
