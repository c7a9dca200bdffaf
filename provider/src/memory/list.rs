// SPDX-License-Identifier: GPL-2.0
//! Many values on the heap.

use super::{allocate, free, OutOfMemory};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A growing row of values; a `Vec` whose `push` may fail.
///
/// # Invariants
///
/// 1. `first` came from `allocate` for `capacity` values, or is dangling and `capacity` is 0.
/// 2. The first `len <= capacity` values are valid.
pub struct List<T> {
    first: NonNull<T>,
    len: usize,
    capacity: usize,
    _owns: PhantomData<T>,
}

// SAFETY: it owns its values, as a `[T]` does.
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: a shared list gives out shared references only.
unsafe impl<T: Sync> Sync for List<T> {}

impl<T> List<T> {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self {
            first: NonNull::dangling(),
            len: 0,
            capacity: 0,
            _owns: PhantomData,
        }
    }

    /// `len` values, each made by `value` from its place.
    ///
    /// # Errors
    ///
    /// No memory, or the first error of `value`.
    pub fn try_made<E: From<OutOfMemory>>(
        len: usize,
        mut value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<Self, E> {
        let mut list = Self::new();
        list.reserve(len)?;
        for at in 0..len {
            list.push(value(at)?)?;
        }
        Ok(list)
    }

    /// A copy of `values`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn copied(values: &[T]) -> Result<Self, OutOfMemory>
    where
        T: Copy,
    {
        let mut list = Self::new();
        list.reserve(values.len())?;
        for value in values {
            list.push(*value)?;
        }
        Ok(list)
    }

    /// Makes room for exactly `additional` more values, or for more.
    ///
    /// # Errors
    ///
    /// No memory; the list is as before.
    pub fn reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        let needed = self.len.checked_add(additional).ok_or(OutOfMemory)?;
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(self.capacity.saturating_mul(2));
        let layout = Layout::array::<T>(capacity).map_err(|_| OutOfMemory)?;
        let first = allocate(layout)?.cast::<T>();
        // SAFETY: both hold `len` values at least and do not overlap; the old ones are given up
        // without being dropped.
        unsafe { first.copy_from_nonoverlapping(self.first, self.len) };
        self.free();
        self.first = first;
        self.capacity = capacity;
        Ok(())
    }

    /// Appends `value`.
    ///
    /// # Errors
    ///
    /// No memory; the value is dropped.
    pub fn push(&mut self, value: T) -> Result<(), OutOfMemory> {
        self.reserve(1)?;
        // SAFETY: reserve left room behind `len`.
        unsafe { self.first.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Takes the last value out.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: it was a valid value and is none of the list's any more.
        Some(unsafe { self.first.add(self.len).read() })
    }

    /// Takes the value at `at` out; the last one comes into its place.
    pub fn swap_remove(&mut self, at: usize) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        if at > last {
            return None;
        }
        self.swap(at, last);
        self.pop()
    }

    fn free(&mut self) {
        if let Ok(layout) = Layout::array::<T>(self.capacity) {
            if self.capacity != 0 {
                // SAFETY: invariant 1; the caller sets `first` and `capacity` anew.
                unsafe { free(self.first.cast(), layout) };
            }
        }
    }
}

impl List<u8> {
    /// `len` bytes of zero.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let layout = Layout::array::<u8>(len).map_err(|_| OutOfMemory)?;
        // `allocate` answers zeroed memory; zero is a valid u8.
        let first = allocate(layout)?;
        Ok(Self {
            first,
            len,
            capacity: len,
            _owns: PhantomData,
        })
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: invariant 2.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for List<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: invariant 2, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        let values: *mut [T] = &mut **self;
        // SAFETY: they are valid by invariant 2 and not used again.
        unsafe { values.drop_in_place() };
        self.free();
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut List<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
