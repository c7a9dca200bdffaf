// SPDX-License-Identifier: GPL-2.0
//! One value on the heap.

use super::{AllocError, Allocator, Flags};
use crate::ffi::c_void;
use crate::init::{InPlaceInit, PinInit};
use crate::types::ForeignOwnable;
use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::ptr::NonNull;

/// An owned value in memory of the allocator `A`.
///
/// # Invariants
///
/// `object` came from `A::alloc(Layout::new::<T>())` and holds a valid `T`.
pub struct Box<T, A: Allocator> {
    object: NonNull<T>,
    _owns: PhantomData<(T, A)>,
}

// SAFETY: It owns its value, as a `T` does.
unsafe impl<T: Send, A: Allocator> Send for Box<T, A> {}
// SAFETY: A shared box gives out shared references only.
unsafe impl<T: Sync, A: Allocator> Sync for Box<T, A> {}

impl<T, A: Allocator> Box<T, A> {
    /// Moves `x` to the heap.
    pub fn new(x: T, flags: Flags) -> Result<Self, AllocError> {
        let object = A::alloc(Layout::new::<T>(), flags)?.cast::<T>();
        // SAFETY: Fresh memory of T's layout. INVARIANT: Now it holds a valid `T`.
        unsafe { object.write(x) };
        Ok(Self {
            object,
            _owns: PhantomData,
        })
    }

    /// Moves `x` to the heap for good.
    pub fn pin(x: T, flags: Flags) -> Result<Pin<Self>, AllocError> {
        Ok(Self::into_pin(Self::new(x, flags)?))
    }

    /// Pins a box: its value does not move when the box does.
    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: The value stays where it is until it is dropped.
        unsafe { Pin::new_unchecked(this) }
    }

    /// Gives the box up for a pointer.
    pub fn into_raw(b: Self) -> *mut T {
        ManuallyDrop::new(b).object.as_ptr()
    }

    /// Makes a box of [`Box::into_raw`]'s pointer.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` of the same type, and this is its only use.
    pub const unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: into_raw gives no null pointer.
        let object = unsafe { NonNull::new_unchecked(raw) };
        // INVARIANT: into_raw gave up a valid box.
        Self {
            object,
            _owns: PhantomData,
        }
    }

    /// Keeps the value for ever.
    pub fn leak<'a>(b: Self) -> &'a mut T
    where
        T: 'a,
    {
        // SAFETY: Nobody owns the value any more, so nobody frees it.
        unsafe { &mut *Self::into_raw(b) }
    }
}

impl<T, A: Allocator> Deref for Box<T, A> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: By the invariant.
        unsafe { self.object.as_ref() }
    }
}

impl<T, A: Allocator> DerefMut for Box<T, A> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the invariant, and `self` is borrowed exclusively.
        unsafe { self.object.as_mut() }
    }
}

impl<T, A: Allocator> Drop for Box<T, A> {
    fn drop(&mut self) {
        // SAFETY: By the invariant; the value is not used again.
        unsafe { self.object.drop_in_place() };
        // SAFETY: By the invariant; the memory is not used again.
        unsafe { A::free(self.object.cast(), Layout::new::<T>()) };
    }
}

impl<T, A: Allocator> From<Box<T, A>> for Pin<Box<T, A>> {
    fn from(b: Box<T, A>) -> Self {
        Box::into_pin(b)
    }
}

impl<T, A: Allocator> InPlaceInit<T> for Box<T, A> {
    type PinnedSelf = Pin<Self>;

    fn try_pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Pin<Self>, E>
    where
        E: From<AllocError>,
    {
        let object = A::alloc(Layout::new::<T>(), flags)?.cast::<T>();
        // SAFETY: Fresh memory of T's layout, which is pinned below.
        match unsafe { init.__pinned_init(object.as_ptr()) } {
            // INVARIANT: The initialiser answered Ok, so there is a valid `T`.
            Ok(()) => Ok(Self::into_pin(Self {
                object,
                _owns: PhantomData,
            })),
            Err(error) => {
                // SAFETY: It came from alloc above and holds nothing after Err.
                unsafe { A::free(object.cast(), Layout::new::<T>()) };
                Err(error)
            }
        }
    }
}

// SAFETY: The pointer is aligned for `T`.
unsafe impl<T: 'static, A: Allocator> ForeignOwnable for Box<T, A> {
    const FOREIGN_ALIGN: usize = align_of::<T>();
    type Borrowed<'a>
        = &'a T
    where
        Self: 'a;

    fn into_foreign(self) -> *mut c_void {
        Box::into_raw(self).cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: The caller's promise.
        unsafe { Box::from_raw(ptr.cast()) }
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: The caller's promise: the box is alive during 'a.
        unsafe { &*ptr.cast() }
    }
}

// SAFETY: The pointer is aligned for `T`.
unsafe impl<T: 'static, A: Allocator> ForeignOwnable for Pin<Box<T, A>> {
    const FOREIGN_ALIGN: usize = align_of::<T>();
    type Borrowed<'a>
        = Pin<&'a T>
    where
        Self: 'a;

    fn into_foreign(self) -> *mut c_void {
        // SAFETY: The value is not moved: `from_foreign` pins it again.
        Box::into_raw(unsafe { Pin::into_inner_unchecked(self) }).cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: The caller's promise.
        Box::into_pin(unsafe { Box::from_raw(ptr.cast()) })
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> Pin<&'a T> {
        // SAFETY: The box is alive during 'a (the caller's promise), and its value pinned.
        unsafe { Pin::new_unchecked(&*ptr.cast()) }
    }
}
