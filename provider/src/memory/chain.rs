// SPDX-License-Identifier: GPL-2.0
//! A chain of values that probes walk while the control side appends and takes out.
//!
//! Taking out needs no memory, so closing a consumer cannot fail. A walker that stands on a value
//! just taken out goes on along its `next`: the value stays until a sync.

use super::{Clock, Retired, Shared};
use crate::cpu::Inside;
use crate::primitive::{AtomicPtr, Ordering, Tracked};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr;

/// Proof of being the control side, which is one at a time. A framework makes one.
pub(crate) struct Writer(pub(crate) ());

/// A value that can be in one chain.
pub(crate) struct Node<T> {
    value: T,
    next: AtomicPtr<Node<T>>,
    tracked: Tracked,
}

impl<T> Node<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value,
            next: AtomicPtr::new(ptr::null_mut()),
            tracked: Tracked::new(),
        }
    }
}

impl<T> Deref for Node<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// The chain.
///
/// # Invariant
///
/// `head` and the `next` of every value in the chain are null or `Shared::into_raw`'s with the
/// owner still in it: the chain owns its values.
pub(crate) struct Chain<T> {
    head: AtomicPtr<Node<T>>,
    _owns: PhantomData<Shared<Node<T>>>,
}

// SAFETY: it shares its values between the threads that walk it, as a `Shared` does.
unsafe impl<T: Send + Sync> Send for Chain<T> {}
// SAFETY: as for Send.
unsafe impl<T: Send + Sync> Sync for Chain<T> {}

impl<T> Chain<T> {
    pub(crate) fn empty() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// Whether nothing is in it. Any context; a hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: a firing that comes while the first value does may miss it.
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// The values, first to last, for as long as this firing lasts. Probe context.
    #[inline]
    pub(crate) fn walk<'a>(&'a self, _: &'a Inside<'_>) -> Walk<'a, T> {
        Walk {
            // Acquire chain:B, pairs with chain:A: the probe sees the whole value.
            next: self.head.load(Ordering::Acquire),
            _during: PhantomData,
        }
    }

    /// Puts `node`, which is in no chain and was in none, at the end. Control side.
    pub(crate) fn append(&self, node: Shared<Node<T>>, writer: &mut Writer) {
        self.append_to(node, |_| false, writer);
    }

    /// Puts `node`, which is in no chain and was in none, behind the last value that is `kin` to it; at the
    /// end where none is. Control side.
    pub(crate) fn append_to(
        &self,
        node: Shared<Node<T>>,
        is_kin: impl Fn(&T) -> bool,
        _: &mut Writer,
    ) {
        let mut behind_kin = None;
        let mut place = &self.head;
        loop {
            // Relaxed: only the control side writes these, and it is one at a time.
            let at = place.load(Ordering::Relaxed);
            // SAFETY: not null: a value of the chain, which the control side alone takes out.
            let Some(at) = (unsafe { at.as_ref() }) else {
                break;
            };
            place = &at.next;
            if is_kin(at) {
                behind_kin = Some(place);
            }
        }
        let place = behind_kin.unwrap_or(place);
        // Relaxed: chain:A carries it, and what comes later is as visible through `node` as it was before.
        node.next
            .store(place.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release chain:A, pairs with chain:B.
        place.store(node.into_raw(), Ordering::Release);
    }

    /// Takes `node` out, if it is in the chain. Control side.
    pub(crate) fn take_out(
        &self,
        node: &Shared<Node<T>>,
        clock: &Clock,
        _: &mut Writer,
    ) -> Option<Retired<Node<T>>> {
        let wanted: *const Node<T> = &**node;
        let mut place = &self.head;
        loop {
            // Relaxed: as in append.
            let at = place.load(Ordering::Relaxed);
            // SAFETY: as in append.
            let found = unsafe { at.as_ref() }?;
            if ptr::eq(at, wanted) {
                // Release chain:A: the later value is as visible through the earlier place as it
                // was through this one. `next` of the value stays: walkers may stand on it.
                place.store(found.next.load(Ordering::Relaxed), Ordering::Release);
                // SAFETY: by the invariant; it is out of the chain, so given back once.
                let owner = unsafe { Shared::from_raw(at) }?;
                return Some(clock.retire(owner));
            }
            place = &found.next;
        }
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`, nobody else looks.
        let mut at = self.head.load(Ordering::Relaxed);
        // SAFETY: by the invariant; each is given back once.
        while let Some(node) = unsafe { Shared::from_raw(at) } {
            at = node.next.load(Ordering::Relaxed);
        }
    }
}

/// A walk along a chain.
pub(crate) struct Walk<'a, T> {
    next: *mut Node<T>,
    _during: PhantomData<&'a Node<T>>,
}

impl<'a, T> Iterator for Walk<'a, T> {
    type Item = &'a Node<T>;

    #[inline]
    fn next(&mut self) -> Option<&'a Node<T>> {
        // SAFETY: null, or a value that was in the chain when this firing was on: its owner is
        // dropped after a sync that began after it was taken out, so after this firing.
        let node = unsafe { self.next.as_ref() }?;
        node.tracked.read();
        // Acquire chain:B, pairs with chain:A.
        self.next = node.next.load(Ordering::Acquire);
        Some(node)
    }
}
