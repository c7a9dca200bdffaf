// SPDX-License-Identifier: GPL-2.0
//! Numbers that are the same for the same seed (xorshift64, Marsaglia).
#![forbid(unsafe_code)]

/// The generator.
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number but 0.
    pub fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.any() >> 16) as usize % end.max(1)
    }

    /// A number of the kind that finds errors: small, large, at an edge.
    pub fn odd(&mut self) -> u64 {
        let next = self.any();
        match self.below(6) {
            0 => next % 8,
            1 => next % 4096,
            2 => u64::MAX - next % 8,
            3 => 1 << (next % 64),
            4 => (1 << (next % 64)) - 1,
            _ => next,
        }
    }
}
