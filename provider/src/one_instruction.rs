// SPDX-License-Identifier: GPL-2.0
//! An addition to a word that only its own CPU writes: one instruction, and on x86-64 not a locked
//! one.
//!
//! An interrupt or NMI comes between two instructions, never within one, so on its own CPU one
//! instruction is a whole step. No other CPU writes these words, so a lock would only cost.

pub(crate) use imp::add;

#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// Adds `n`. Own CPU only; others may read. Any order up to Release: a store of x86 is one.
    #[inline(always)]
    pub(crate) fn add(word: &AtomicU64, n: u64, _: Ordering) {
        // SAFETY: one instruction on this word, which is an aligned one: who reads it sees the value
        // from before or after. Nobody else writes it. To the compiler the block may touch any
        // memory, so it keeps its place.
        unsafe {
            asm!(
                "add qword ptr [{word}], {n}",
                word = in(reg) word.as_ptr(),
                n = in(reg) n,
                options(nostack),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use core::sync::atomic::{AtomicU64, Ordering};

    /// Adds `n`. Own CPU only; others may read.
    #[inline]
    pub(crate) fn add(word: &AtomicU64, n: u64, order: Ordering) {
        word.fetch_add(n, order);
    }
}
