// SPDX-License-Identifier: GPL-2.0
//! One value with several owners.

use super::{allocate, free, OutOfMemory};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{fence, AtomicUsize, Ordering};

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

/// A counted owner; an `Arc` that may fail to be made. Probes borrow, and never count.
///
/// # Invariant
///
/// `inner` came from `allocate`, holds a valid value, and `owners` counts the `Shared`s of it.
pub struct Shared<T> {
    inner: NonNull<Inner<T>>,
    _owns: PhantomData<Inner<T>>,
}

// SAFETY: owners on several threads share the value and the last one drops it, wherever it is.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as for Send: a shared `Shared` can be cloned.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves `value` to the heap, with one owner.
    ///
    /// # Errors
    ///
    /// No memory; the value is dropped.
    pub fn new(value: T) -> Result<Self, OutOfMemory> {
        let inner = allocate(Layout::new::<Inner<T>>())?.cast::<Inner<T>>();
        // SAFETY: fresh memory of that layout. It holds a valid value with one owner from here on.
        unsafe {
            inner.write(Inner {
                owners: AtomicUsize::new(1),
                value,
            });
        }
        Ok(Self {
            inner,
            _owns: PhantomData,
        })
    }

    /// Whether both own the same value.
    pub fn is_same(a: &Self, b: &Self) -> bool {
        a.inner == b.inner
    }

    /// Gives this owner up for a pointer to the value.
    pub(super) fn into_raw(self) -> *mut T {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: by the invariant; only the address of the field is taken.
        unsafe { &raw mut (*this.inner.as_ptr()).value }
    }

    /// The owner back.
    ///
    /// # Safety
    ///
    /// `value` came from `into_raw`, and is given back once.
    pub(super) unsafe fn from_raw(value: *mut T) -> Option<Self> {
        let value = NonNull::new(value)?;
        // SAFETY: the value lies in an Inner, at this offset, by the caller's promise.
        let inner = unsafe { value.byte_sub(core::mem::offset_of!(Inner<T>, value)) };
        Some(Self {
            inner: inner.cast(),
            _owns: PhantomData,
        })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Relaxed: who clones owns already, so the value stays.
        // SAFETY: by the invariant.
        let before = unsafe { self.inner.as_ref() }
            .owners
            .fetch_add(1, Ordering::Relaxed);
        debug_assert!(before < usize::MAX / 2);
        Self {
            inner: self.inner,
            _owns: PhantomData,
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: by the invariant.
        &unsafe { self.inner.as_ref() }.value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        let owners = &unsafe { self.inner.as_ref() }.owners;
        // Release shared:A, pairs with shared:B: the last owner sees what the others did.
        if owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Acquire shared:B.
        fence(Ordering::Acquire);
        // SAFETY: this was the last owner, so nobody uses the value or the memory any more.
        unsafe { self.inner.drop_in_place() };
        // SAFETY: as above; it came from `allocate` with this layout.
        unsafe { free(self.inner.cast(), Layout::new::<Inner<T>>()) };
    }
}
