// SPDX-License-Identifier: GPL-2.0
//! The one place that names core's or loom's atomics and cells.
//!
//! Every word by which a call is sent, run, ended or withdrawn goes through the types re-exported
//! here, so that the model checker runs the very code the kernel runs. Not modelled, on purpose, are
//! flags any value of which is a good one (doorbells allowed, halted), NMI credit, and two kinds:
//!
//! - [`OwnCpu`]: words only their own CPU touches. In a model a CPU is one thread, so no
//!   interleaving of another thread can see them; each would only multiply the state space.
//! - [`Counter`]: statistics. They decide nothing. The model of statistics snapshots switches
//!   them on with [`model_counters`].
//!
//! Where loom's stand-in is stronger than the hardware (it does not reorder a load with an earlier
//! load it depends on, treats SeqCst accesses as AcqRel, knows no interrupts), see
//! `docs/memory-ordering.md`.

use crate::one_instruction;
use core::sync::atomic::{compiler_fence, AtomicU64 as CoreAtomicU64};

pub(crate) use core::sync::atomic::Ordering;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

#[cfg(not(loom))]
pub(crate) use self::cell::UnsafeCell;

/// core's `UnsafeCell` behind loom's interface: access by closure, so that loom can see its extent.
#[cfg(not(loom))]
mod cell {
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// A word that only its own CPU reads or writes.
///
/// An interrupt or NMI on that CPU may come between any two accesses and use the word too, so it
/// is an atomic; nobody else looks, so no ordering beyond the compiler's is asked for: every access
/// is fenced against the compiler, and the CPU sees its own accesses in program order.
#[derive(Debug)]
pub(crate) struct OwnCpu(CoreAtomicU64);

impl OwnCpu {
    pub(crate) const fn new(value: u64) -> Self {
        Self(CoreAtomicU64::new(value))
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
    pub(crate) fn set(&self, value: u64) {
        compiler_fence(Ordering::SeqCst);
        // Relaxed: own CPU only.
        self.0.store(value, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Sets bit `n` in one instruction, so an NMI falls before or after it; returns whether it was
    /// set.
    #[inline]
    pub(crate) fn set_bit(&self, n: usize) -> bool {
        compiler_fence(Ordering::SeqCst);
        let was = one_instruction::set_bit(&self.0, n as u32);
        compiler_fence(Ordering::SeqCst);
        was
    }

    /// Clears bit `n` in one instruction; returns whether it was set.
    #[inline]
    pub(crate) fn clear_bit(&self, n: usize) -> bool {
        compiler_fence(Ordering::SeqCst);
        let was = one_instruction::clear_bit(&self.0, n as u32);
        compiler_fence(Ordering::SeqCst);
        was
    }
}

/// A statistics counter: written by its own CPU (NMIs included), read by anyone.
#[derive(Debug)]
pub(crate) struct Counter {
    plain: CoreAtomicU64,
    #[cfg(loom)]
    modelled: Option<AtomicU64>,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self {
            plain: CoreAtomicU64::new(0),
            #[cfg(loom)]
            modelled: MODEL_COUNTERS
                .load(Ordering::Relaxed)
                .then(|| AtomicU64::new(0)),
        }
    }

    /// One that no model looks at.
    pub(crate) const fn unmodelled() -> Self {
        Self {
            plain: CoreAtomicU64::new(0),
            #[cfg(loom)]
            modelled: None,
        }
    }

    #[inline]
    pub(crate) fn add(&self, n: u64, order: Ordering) {
        #[cfg(loom)]
        if let Some(counter) = &self.modelled {
            counter.fetch_add(n, order);
            return;
        }
        one_instruction::add(&self.plain, n, order);
    }

    #[inline]
    pub(crate) fn raise_to(&self, n: u64) {
        // Relaxed: a high-water mark orders nothing.
        if self.plain.load(Ordering::Relaxed) < n {
            self.plain.fetch_max(n, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        #[cfg(loom)]
        if let Some(counter) = &self.modelled {
            return counter.load(order);
        }
        self.plain.load(order)
    }
}

#[cfg(loom)]
static MODEL_COUNTERS: core::sync::atomic::AtomicBool = core::sync::atomic::AtomicBool::new(false);

/// Makes counters of engines created from now on visible to loom.
#[cfg(loom)]
pub fn model_counters() {
    MODEL_COUNTERS.store(true, Ordering::Relaxed);
}
