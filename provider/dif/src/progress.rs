// SPDX-License-Identifier: GPL-2.0
//! How far a firing and its clause are, from one program to the next.

use crate::memory::MAX_TOUCHED;

/// How far a firing and its clause are: what the firing may still touch, what the clause's programs took of
/// scratch, and where `strtok` stands. Who cannot keep a [`Machine`](crate::Machine) from one program to the next keeps this.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub(crate) used: usize,
    pub(crate) left: u32,
    pub(crate) tokens: Tokens,
}

/// A firing that begins.
impl Default for Progress {
    fn default() -> Self {
        Self {
            used: 0,
            left: MAX_TOUCHED,
            tokens: Tokens::default(),
        }
    }
}

impl Progress {
    /// Where the next clause of the same firing begins: scratch is free, what was touched stays touched.
    #[must_use]
    pub fn next_clause(self) -> Self {
        Self {
            left: self.left,
            ..Self::default()
        }
    }
}

/// What `strtok` has left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    /// Address of the rest; 0: none.
    pub(crate) rest: u64,
    /// Bytes of the rest.
    pub(crate) length: usize,
}
