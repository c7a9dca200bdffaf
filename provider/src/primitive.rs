// SPDX-License-Identifier: GPL-2.0
//! The one place that names core's or loom's atomics and cells.
//!
//! Every word by which a probe and the control side settle something goes through the types here, so
//! that the model checker runs the very code the kernel runs. Not modelled are words that only their
//! own CPU touches ([`OwnCpu`]), since a CPU is one thread of a model, and counters ([`Counter`]),
//! which decide nothing.

use crate::one_instruction;
use core::sync::atomic::{compiler_fence, AtomicU64 as CoreAtomicU64};

pub(crate) use core::sync::atomic::Ordering;

#[cfg(loom)]
pub(crate) use loom::{
    cell::{MutPtr, UnsafeCell},
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64},
};

#[cfg(not(loom))]
pub(crate) use self::cell::{MutPtr, UnsafeCell};
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// core's `UnsafeCell` behind loom's interface: access by closure, so that loom can see its extent.
#[cfg(not(loom))]
mod cell {
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn get_mut(&self) -> MutPtr<T> {
            MutPtr(self.0.get())
        }
    }

    /// An access, for as long as it lives. (In models, what overlaps it is found.)
    pub(crate) struct MutPtr<T>(*mut T);

    impl<T> MutPtr<T> {
        /// # Safety
        ///
        /// The cell lives, and nobody else is at its value as long as the reference is used.
        #[inline(always)]
        #[allow(clippy::mut_from_ref, reason = "as loom's, which it stands for")]
        pub(crate) unsafe fn deref(&self) -> &mut T {
            // SAFETY: the caller's promise.
            unsafe { &mut *self.0 }
        }
    }
}

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

/// A word that only its own CPU reads or writes.
///
/// An NMI on that CPU may come between any two accesses and use the flag too, so it is an atomic;
/// nobody else looks, so no ordering beyond the compiler's is asked for.
pub(crate) struct OwnCpu(CoreAtomicU64);

impl OwnCpu {
    pub(crate) const fn new() -> Self {
        Self(CoreAtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: own CPU only.
        let value = self.0.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        value
    }

    #[inline]
    pub(crate) fn put(&self, value: u64) {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: own CPU only.
        self.0.store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.get() != 0
    }

    #[inline]
    pub(crate) fn set(&self, value: bool) {
        self.put(u64::from(value));
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
        one_instruction::add(&self.0, 1, order);
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
        one_instruction::add(&self.0, n, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        // Relaxed: exact once its CPU was seen outside of a firing (sync:C).
        self.0.load(Ordering::Relaxed)
    }
}
