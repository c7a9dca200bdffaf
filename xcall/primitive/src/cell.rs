// SPDX-License-Identifier: GPL-2.0
//! core's `UnsafeCell` behind loom's interface.

/// A cell that is accessed by closure, so that loom can see an access' extent.
#[derive(Debug)]
pub struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// With that value in it.
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Runs `f` with the address, to read at. Any context.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Runs `f` with the address, to read and write at. Any context.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// An access that lasts as long as what this gives. Any context.
    #[inline(always)]
    pub fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }
}

/// An access, for as long as it lives. (In models, what overlaps it is found.)
#[derive(Debug)]
pub struct MutPtr<T>(*mut T);

impl<T> MutPtr<T> {
    /// The value. Any context.
    ///
    /// # Safety
    ///
    /// The cell lives, and nobody else is at its value as long as the reference is used.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "as loom's, which it stands for")]
    pub unsafe fn deref(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0 }
    }
}
