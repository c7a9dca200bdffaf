// SPDX-License-Identifier: GPL-2.0
//! From a probe's number to its ECBs: a table that grows by chunks and never moves.

#![forbid(unsafe_code)]

use crate::memory::Chain;
use crate::memory::{List, Once, OutOfMemory, Shared};

/// Probes a chunk. Few in models, so that they stay small.
const CHUNK: usize = if cfg!(loom) { 4 } else { 1024 };
const CHUNKS: usize = if cfg!(loom) { 2 } else { 256 };
/// Numbers there are, 0 included.
pub(crate) const CAPACITY: usize = CHUNK * CHUNKS;

/// The table.
pub(crate) struct Slots<T> {
    chunks: List<Once<List<Chain<T>>>>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Ok(Self {
            chunks: List::try_made(CHUNKS, |_| Ok::<_, OutOfMemory>(Once::empty()))?,
        })
    }

    /// The ECBs of a probe; None for a number that no probe ever had. Any context.
    #[inline]
    pub(crate) fn get(&self, probe: u32) -> Option<&Chain<T>> {
        let probe = probe as usize;
        self.chunks.get(probe / CHUNK)?.get()?.get(probe % CHUNK)
    }

    /// Makes room for a number. Control side.
    pub(crate) fn make_room(&self, probe: u32) -> Result<(), OutOfMemory> {
        let chunk = self.chunks.get(probe as usize / CHUNK).ok_or(OutOfMemory)?;
        if chunk.get().is_none() {
            let chains = List::try_made(CHUNK, |_| Ok::<_, OutOfMemory>(Chain::empty()))?;
            chunk.fill(Shared::new(chains)?);
        }
        Ok(())
    }
}
