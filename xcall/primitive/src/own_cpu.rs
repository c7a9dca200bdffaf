// SPDX-License-Identifier: GPL-2.0
//! A word that only its own CPU reads or writes.

use crate::one_instruction;
use core::sync::atomic::{compiler_fence, AtomicU64, Ordering};

/// A word that only its own CPU reads or writes. Any context.
///
/// An interrupt or NMI on that CPU may come between any two accesses and use the word too, so it
/// is an atomic; nobody else looks, so no ordering beyond the compiler's is asked for: every access
/// is fenced against the compiler, and the CPU sees its own accesses in program order. In a model a CPU
/// is one thread, so these are never loom's: no other thread can see them.
#[derive(Debug)]
pub struct OwnCpu(AtomicU64);

impl OwnCpu {
    /// With that value.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: own CPU only.
        let value = self.0.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        value
    }

    /// Another value.
    #[inline]
    pub fn set(&self, value: u64) {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: own CPU only.
        self.0.store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Sets bit `n` in one instruction, so an NMI falls before or after it; returns whether it was
    /// set.
    #[inline]
    pub fn set_bit(&self, n: usize) -> bool {
        compiler_fence(Ordering::SeqCst);
        let was = one_instruction::set_bit(&self.0, n as u32);
        compiler_fence(Ordering::SeqCst);
        was
    }

    /// Clears bit `n` in one instruction; returns whether it was set.
    #[inline]
    pub fn clear_bit(&self, n: usize) -> bool {
        compiler_fence(Ordering::SeqCst);
        let was = one_instruction::clear_bit(&self.0, n as u32);
        compiler_fence(Ordering::SeqCst);
        was
    }
}
