// SPDX-License-Identifier: GPL-2.0
//! One value on the heap.

use super::{allocate, free, OutOfMemory};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// An owned value; a `Box` that may fail to be made.
///
/// # Invariant
///
/// `object` came from `allocate(Layout::new::<T>())` and holds a valid `T`.
pub struct Owned<T> {
    object: NonNull<T>,
    _owns: PhantomData<T>,
}

// SAFETY: it owns its value, as a `T` does.
unsafe impl<T: Send> Send for Owned<T> {}
// SAFETY: a shared one gives out shared references only.
unsafe impl<T: Sync> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// Moves `value` to the heap.
    ///
    /// # Errors
    ///
    /// No memory; the value is dropped.
    pub fn new(value: T) -> Result<Self, OutOfMemory> {
        let object = allocate(Layout::new::<T>())?.cast::<T>();
        // SAFETY: fresh memory of T's layout. It holds a valid T from here on.
        unsafe { object.write(value) };
        Ok(Self {
            object,
            _owns: PhantomData,
        })
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: by the invariant.
        unsafe { self.object.as_ref() }
    }
}

impl<T> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the invariant, and `self` is borrowed exclusively.
        unsafe { self.object.as_mut() }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant; the value is not used again.
        unsafe { self.object.drop_in_place() };
        // SAFETY: by the invariant; the memory is not used again.
        unsafe { free(self.object.cast(), Layout::new::<T>()) };
    }
}
