// SPDX-License-Identifier: GPL-2.0
//! Read-modify-writes of words that only their own CPU writes: one instruction each, and on x86-64
//! not a locked one.
//!
//! An interrupt or NMI comes between two instructions, never within one, so on its own CPU one
//! instruction is a whole step. A lock would make it one for other CPUs too; no other CPU writes these
//! words, so it would only cost. Other architectures need several instructions for it, and use core's
//! atomics.
//!
//! To the compiler an `asm!` block may read and write any memory: it keeps its place.

pub use imp::add;
pub(crate) use imp::{clear_bit, set_bit};

#[cfg(target_arch = "x86_64")]
mod imp {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// Sets bit `n`, below 64; returns whether it was set. Own CPU only.
    #[inline(always)]
    pub(crate) fn set_bit(word: &AtomicU64, n: u32) -> bool {
        debug_assert!(n < 64);
        let was: u8;
        // SAFETY: one instruction on this word: BTS would leave it for a bit of 64 or more, and the
        // number is taken modulo 64. Nobody else writes the word, and it is an atomic, so it may
        // change under shared references.
        unsafe {
            asm!(
                "bts qword ptr [{word}], {n}",
                "setc {was}",
                word = in(reg) word.as_ptr(),
                n = in(reg) u64::from(n % 64),
                was = lateout(reg_byte) was,
                options(nostack),
            );
        }
        was != 0
    }

    /// Clears bit `n`, below 64; returns whether it was set. Own CPU only.
    #[inline(always)]
    pub(crate) fn clear_bit(word: &AtomicU64, n: u32) -> bool {
        debug_assert!(n < 64);
        let was: u8;
        // SAFETY: as in `set_bit`, of BTR.
        unsafe {
            asm!(
                "btr qword ptr [{word}], {n}",
                "setc {was}",
                word = in(reg) word.as_ptr(),
                n = in(reg) u64::from(n % 64),
                was = lateout(reg_byte) was,
                options(nostack),
            );
        }
        was != 0
    }

    /// Adds `n` in one instruction: an interrupt or NMI comes before or after it. Own CPU only; others may
    /// read. Any order up to Release: a store of x86 is one. Any context.
    #[inline(always)]
    pub fn add(word: &AtomicU64, n: u64, _: Ordering) {
        // SAFETY: one instruction on this word, which is an aligned one: who reads it sees the value
        // from before or after. Nobody else writes it.
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

    /// Sets bit `n`, below 64; returns whether it was set. Own CPU only.
    #[inline]
    pub(crate) fn set_bit(word: &AtomicU64, n: u32) -> bool {
        // Relaxed: own CPU only.
        word.fetch_or(1 << n, Ordering::Relaxed) & (1 << n) != 0
    }

    /// Clears bit `n`, below 64; returns whether it was set. Own CPU only.
    #[inline]
    pub(crate) fn clear_bit(word: &AtomicU64, n: u32) -> bool {
        // Relaxed: own CPU only.
        word.fetch_and(!(1 << n), Ordering::Relaxed) & (1 << n) != 0
    }

    /// Adds `n`. Own CPU only; others may read. Any context.
    #[inline]
    pub fn add(word: &AtomicU64, n: u64, order: Ordering) {
        word.fetch_add(n, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn bits_are_set_and_cleared_and_told() {
        let words = [const { AtomicU64::new(0) }; 2];
        assert!(!set_bit(&words[0], 0));
        assert!(!set_bit(&words[0], 63));
        assert!(set_bit(&words[0], 63));
        assert_eq!(words[0].load(Relaxed), 1 << 63 | 1);
        assert!(clear_bit(&words[0], 0));
        assert!(!clear_bit(&words[0], 0));
        assert_eq!(words[0].load(Relaxed), 1 << 63);
        assert_eq!(words[1].load(Relaxed), 0);
    }

    #[test]
    fn additions_add_up() {
        let word = AtomicU64::new(u64::MAX);
        add(&word, 43, Relaxed);
        assert_eq!(word.load(Relaxed), 42);
    }
}
