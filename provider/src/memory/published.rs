// SPDX-License-Identifier: GPL-2.0
//! A value that probes read while the control side replaces it.
//!
//! The control side publishes by one store and gets the old value back [`Retired`]. A probe reads it
//! only inside a firing (the token [`Inside`]). Retired values are freed after a `sync` that began
//! after their retirement ([`Synced`]): then every firing that could have read them is over.

use super::Shared;
use crate::cpu::Inside;
use crate::primitive::{AtomicPtr, Ordering};
use core::marker::PhantomData;
use core::sync::atomic::AtomicU64;

/// Counts retirements, so that a [`Synced`] that is too old for a [`Retired`] is noticed.
///
/// Used by the control side only, under its lock: Relaxed.
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// What a sync that begins now covers.
    pub(crate) fn begin(&self) -> Synced {
        Synced {
            before: self.0.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn retire<T>(&self, value: Shared<T>) -> Retired<T> {
        Retired {
            value: Some(value),
            at: self.0.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Every CPU was seen outside of the firings that ran when the sync began.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    before: u64,
}

/// A value that is no longer published, and that firings may still read.
#[must_use = "it leaks unless it is freed after a sync"]
pub(crate) struct Retired<T> {
    value: Option<Shared<T>>,
    at: u64,
}

impl<T> Retired<T> {
    /// Drops the value's owner. One whose sync began too early leaks: a leak is no fault.
    pub(crate) fn free(mut self, synced: &Synced) {
        debug_assert!(self.at < synced.before, "freed without a sync");
        if self.at < synced.before {
            drop(self.value.take());
        }
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        core::mem::forget(self.value.take());
    }
}

/// A place for a value that probes read.
///
/// # Invariant
///
/// The pointer is null or `Shared::into_raw`'s, with that owner still in it.
pub(crate) struct Published<T> {
    pointer: AtomicPtr<T>,
    _owns: PhantomData<Shared<T>>,
}

// SAFETY: it shares its value between the threads that hold it, as a `Shared` does.
unsafe impl<T: Send + Sync> Send for Published<T> {}
// SAFETY: as for Send.
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    pub(crate) fn empty() -> Self {
        Self {
            pointer: AtomicPtr::new(core::ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// The value, for as long as this firing lasts. Probe context.
    #[inline]
    pub(crate) fn get<'a>(&'a self, _: &'a Inside<'_>) -> Option<&'a T> {
        // Acquire publish:B, pairs with publish:A: the probe sees the whole value.
        let value = self.pointer.load(Ordering::Acquire);
        // SAFETY: not null: by the invariant it points to a value with an owner. That owner is
        // dropped after a sync that began after the retirement (Retired::free), and a sync that
        // begins while this firing is on ends after it (sync:A), so after 'a.
        unsafe { value.as_ref() }
    }

    /// Puts `new` into the place; the old value, if there was one. Control side.
    pub(crate) fn replace(&self, new: Option<Shared<T>>, clock: &Clock) -> Option<Retired<T>> {
        let new = new.map_or(core::ptr::null_mut(), Shared::into_raw);
        // Release publish:A, pairs with publish:B. Acquire: the control side's own earlier replace.
        let old = self.pointer.swap(new, Ordering::AcqRel);
        // SAFETY: by the invariant; taken out by the swap, it is given back once.
        unsafe { Shared::from_raw(old) }.map(|old| clock.retire(old))
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`, nobody else looks.
        let value = self.pointer.load(Ordering::Relaxed);
        // SAFETY: by the invariant; the place is gone after this. Whoever dropped it waited for the
        // firings that could read it, or it was never reachable by one.
        drop(unsafe { Shared::from_raw(value) });
    }
}

/// A place that is filled once and stays so.
pub(crate) struct Once<T>(Published<T>);

impl<T> Once<T> {
    pub(crate) fn empty() -> Self {
        Self(Published::empty())
    }

    /// The value. Any context.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire publish:B, pairs with publish:A.
        let value = self.0.pointer.load(Ordering::Acquire);
        // SAFETY: by Published's invariant, and nobody takes it out before `self` is gone.
        unsafe { value.as_ref() }
    }

    /// Fills the place, unless it is full. Control side.
    pub(crate) fn fill(&self, value: Shared<T>) {
        if self.get().is_none() {
            // Release publish:A, pairs with publish:B.
            self.0.pointer.store(value.into_raw(), Ordering::Release);
        }
    }
}
