// SPDX-License-Identifier: GPL-2.0
//! Which CPUs to ring: one set for every call slot, so that no set lies on an NMI stack.

use crate::cpu::CpuSetMut;
use crate::platform::Platform;
use crate::table::{OutOfMemory, Table};
use core::cell::UnsafeCell;

/// A set of CPUs for each slot, empty while nobody uses it. Laid out as the kernel's `cpumask`.
///
/// core's cell also under loom: a set belongs to the holder of its slot's claim, and claims are
/// own-CPU words (see [`crate::primitive::OwnCpu`]).
#[derive(Debug)]
pub(crate) struct RingSets {
    words: Table<UnsafeCell<u64>>,
    each: usize,
}

// SAFETY: a set is touched by the holder of its slot's claim only, see `with`.
unsafe impl Sync for RingSets {}
// SAFETY: as for Sync; words have no tie to a thread.
unsafe impl Send for RingSets {}

impl RingSets {
    pub(crate) const fn empty(words_each: usize) -> Self {
        Self {
            words: Table::empty(),
            each: words_each,
        }
    }

    pub(crate) fn new(
        platform: &impl Platform,
        sets: usize,
        words_each: usize,
    ) -> Result<Self, OutOfMemory> {
        Ok(Self {
            words: Table::new(platform, sets * words_each, |_| UnsafeCell::new(0))?,
            each: words_each,
        })
    }

    pub(crate) fn release(&mut self, platform: &impl Platform) {
        self.words.release(platform);
    }

    /// Gives `f` the empty set `index`, and empties it again.
    ///
    /// # Safety
    ///
    /// The caller holds the claim on the slot of that index, and `f` does not come back here with
    /// the same index.
    #[inline]
    pub(crate) unsafe fn with<R>(
        &self,
        index: usize,
        f: impl FnOnce(&mut CpuSetMut<'_>) -> R,
    ) -> R {
        let words = &self.words[index * self.each..][..self.each];
        // SAFETY: an `UnsafeCell<u64>` is laid out as its `u64`; the slice above bounds the range;
        // the claim makes the caller its only user, an NMI on this CPU finds the slot taken.
        let words = unsafe {
            core::slice::from_raw_parts_mut(UnsafeCell::raw_get(words.as_ptr()), words.len())
        };
        let mut set = CpuSetMut::new(words);
        let result = f(&mut set);
        set.clear();
        result
    }
}
