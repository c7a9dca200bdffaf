// SPDX-License-Identifier: GPL-2.0
//! Many values on the heap.

use super::{flags::__GFP_ZERO, AllocError, Allocator, Flags};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A growing array in memory of the allocator `A`. `push` may allocate and so may fail.
///
/// # Invariants
///
/// 1. `first` came from `A::alloc` for `capacity` elements, or is dangling and `capacity` is 0.
/// 2. The first `len <= capacity` elements are valid.
pub struct Vec<T, A: Allocator> {
    first: NonNull<T>,
    len: usize,
    capacity: usize,
    _owns: PhantomData<(T, A)>,
}

// SAFETY: It owns its elements, as a `[T]` does.
unsafe impl<T: Send, A: Allocator> Send for Vec<T, A> {}
// SAFETY: A shared vector gives out shared references only.
unsafe impl<T: Sync, A: Allocator> Sync for Vec<T, A> {}

impl<T, A: Allocator> Vec<T, A> {
    /// An empty vector; allocates nothing.
    pub const fn new() -> Self {
        Self {
            first: NonNull::dangling(),
            len: 0,
            capacity: 0,
            _owns: PhantomData,
        }
    }

    /// An empty vector with room for `capacity` elements.
    pub fn with_capacity(capacity: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut vec = Self::new();
        vec.reserve(capacity, flags)?;
        Ok(vec)
    }

    /// A copy of `value`, `n` times.
    pub fn from_elem(value: T, n: usize, flags: Flags) -> Result<Self, AllocError>
    where
        T: Clone,
    {
        let mut vec = Self::with_capacity(n, flags)?;
        for _ in 0..n {
            vec.push(value.clone(), flags)?;
        }
        Ok(vec)
    }

    /// Makes room for `additional` more elements.
    pub fn reserve(&mut self, additional: usize, flags: Flags) -> Result<(), AllocError> {
        let needed = self.len.checked_add(additional).ok_or(AllocError)?;
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(self.capacity.saturating_mul(2));
        let layout = Layout::array::<T>(capacity).map_err(|_| AllocError)?;
        let first = A::alloc(layout, flags | __GFP_ZERO)?.cast::<T>();
        // SAFETY: Both hold at least `len` elements and do not overlap; the old ones are given up
        // without being dropped.
        unsafe { first.copy_from_nonoverlapping(self.first, self.len) };
        self.free();
        // INVARIANT: 1 as just allocated; 2: the valid elements were moved.
        self.first = first;
        self.capacity = capacity;
        Ok(())
    }

    /// Appends `v`.
    pub fn push(&mut self, v: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(1, flags)?;
        // SAFETY: reserve left room behind `len`. INVARIANT: 2, one more valid element.
        unsafe { self.first.add(self.len).write(v) };
        self.len += 1;
        Ok(())
    }

    /// The number of elements.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frees the memory without dropping elements; the caller sets `first` and `capacity` anew.
    fn free(&mut self) {
        if let Ok(layout) = Layout::array::<T>(self.capacity) {
            if self.capacity != 0 {
                // SAFETY: By invariant 1 it came from alloc with this layout.
                unsafe { A::free(self.first.cast(), layout) };
            }
        }
    }
}

impl<T, A: Allocator> Default for Vec<T, A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator> Deref for Vec<T, A> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: By invariant 2.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T, A: Allocator> DerefMut for Vec<T, A> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By invariant 2, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T, A: Allocator> Drop for Vec<T, A> {
    fn drop(&mut self) {
        let elements: *mut [T] = &mut **self;
        // SAFETY: They are valid by invariant 2 and not used again.
        unsafe { elements.drop_in_place() };
        self.free();
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a Vec<T, A> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
