// SPDX-License-Identifier: GPL-2.0
//! Addresses of a program's own memory.
//!
//! Scratch, strings and variables have addresses that neither the kernel nor a process can have
//! (not canonical on x86-64, with four levels of page tables or five), a window of 4 GiB each. A
//! load or store there becomes a checked access to a slice; no pointer is ever made of a number.

/// A window of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Scratch of the clause.
    Scratch,
    /// The running object's string table.
    Strings,
    /// Global scalars.
    Globals,
    /// Clause-local scalars.
    Locals,
    /// Thread-local variables and associative arrays.
    Dynamic,
}

/// "DIF" in the upper bytes.
const BASE: u32 = 0x4449_4600;

impl Window {
    /// The address of byte `offset` of this window.
    pub fn address(self, offset: u32) -> u64 {
        let upper = BASE
            | match self {
                Self::Scratch => 1,
                Self::Strings => 2,
                Self::Globals => 3,
                Self::Locals => 4,
                Self::Dynamic => 5,
            };
        (u64::from(upper) << 32) | u64::from(offset)
    }

    /// The window and offset of `address`, unless it is the kernel's or a process's.
    pub fn of(address: u64) -> Option<(Self, u32)> {
        let window = match ((address >> 32) as u32) ^ BASE {
            1 => Self::Scratch,
            2 => Self::Strings,
            3 => Self::Globals,
            4 => Self::Locals,
            5 => Self::Dynamic,
            _ => return None,
        };
        Some((window, address as u32))
    }
}
