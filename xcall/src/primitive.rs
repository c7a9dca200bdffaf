// SPDX-License-Identifier: GPL-2.0
//! The one place that names core's or loom's atomics and cells (crate `xcall-primitive`).
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

use core::sync::atomic::AtomicU64 as CoreAtomicU64;

pub(crate) use xcall_primitive::{AtomicU32, AtomicU64, Ordering, OwnCpu, UnsafeCell};

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
        xcall_primitive::add(&self.plain, n, order);
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
