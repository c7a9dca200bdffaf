// SPDX-License-Identifier: GPL-2.0
//! The tuple stack: keys of arrays, arguments of subroutines.

use crate::fault::FaultKind;
use dtrace_interface::dif::TUPLE_REGISTERS;

/// Tuple registers: most that can be pushed. CONF tells clients.
pub const TUPLE_DEPTH: usize = TUPLE_REGISTERS;

/// The tuple stack: keys of arrays, arguments of subroutines. The caller keeps one for each CPU: to
/// make one takes longer than many a program does. What is in it does not matter.
#[derive(Debug, Default)]
pub struct Tuple {
    entries: [Entry; TUPLE_DEPTH],
    depth: usize,
}

/// One pushed value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) value: u64,
    /// Of what a reference leads to, in bytes.
    pub(crate) size: u32,
    pub(crate) by_ref: bool,
    pub(crate) string: bool,
}

impl Tuple {
    /// Forgets all.
    pub(crate) fn flush(&mut self) {
        self.depth = 0;
    }

    /// Forgets the last one.
    pub(crate) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), FaultKind> {
        let slot = self.entries.get_mut(self.depth);
        *slot.ok_or(FaultKind::TupleOverflow)? = entry;
        self.depth += 1;
        Ok(())
    }

    /// What is pushed.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.get(..self.depth).unwrap_or_default()
    }

    /// Argument `n` of a subroutine.
    pub(crate) fn argument(&self, n: usize) -> Result<u64, FaultKind> {
        let entry = self.entries().get(n);
        Ok(entry.ok_or(FaultKind::IllegalOperation)?.value)
    }
}
