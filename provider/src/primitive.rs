// SPDX-License-Identifier: GPL-2.0
//! The one place that names core's or loom's atomics and cells (crate `xcall-primitive`).
//!
//! Every word by which a probe and the control side settle something goes through the types here, so
//! that the model checker runs the very code the kernel runs. Not modelled are words that only their
//! own CPU touches ([`OwnCpu`]), since a CPU is one thread of a model, and counters ([`Counter`]),
//! which decide nothing.

use core::sync::atomic::{compiler_fence, AtomicU64 as CoreAtomicU64};

pub(crate) use xcall_primitive::{
    AtomicPtr, AtomicU32, AtomicU64, MutPtr, Ordering, OwnCpu, UnsafeCell,
};

/// Stands for plain memory that is written when it is made: in models, a read that nothing orders after
/// that fails. Nothing elsewhere.
pub(crate) struct Tracked(#[cfg(loom)] UnsafeCell<()>);

// SAFETY: it holds nothing; loom checks its accesses.
#[cfg(loom)]
unsafe impl Sync for Tracked {}
// SAFETY: as for Sync.
#[cfg(loom)]
unsafe impl Send for Tracked {}

impl Tracked {
    pub(crate) fn new() -> Self {
        Self(
            #[cfg(loom)]
            UnsafeCell::new(()),
        )
    }

    #[inline(always)]
    pub(crate) fn read(&self) {
        #[cfg(loom)]
        self.0.with(|_| ());
    }
}

/// A word that its own CPU advances, NMIs included, and others read.
pub(crate) struct OwnWord(AtomicU64);

impl OwnWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        compiler_fence(Ordering::SeqCst);
        let value = self.0.load(order);
        compiler_fence(Ordering::SeqCst);
        value
    }

    /// Adds one, in one instruction: an NMI that advances it too comes before or after.
    #[inline]
    pub(crate) fn advance(&self, order: Ordering) {
        #[cfg(loom)]
        self.0.fetch_add(1, order);
        #[cfg(not(loom))]
        xcall_primitive::add(&self.0, 1, order);
    }
}

/// A statistics counter: written by its own CPU, NMIs included, read by anyone.
#[derive(Debug)]
pub(crate) struct Counter(CoreAtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(CoreAtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // Relaxed: it orders nothing.
        xcall_primitive::add(&self.0, n, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        // Relaxed: exact once its CPU was seen outside of a firing.
        self.0.load(Ordering::Relaxed)
    }
}
