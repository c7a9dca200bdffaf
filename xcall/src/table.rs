// SPDX-License-Identifier: GPL-2.0
//! A fixed row of values in memory from the platform: made once, never grown.

use crate::platform::Platform;
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr::NonNull;

/// The platform had no memory left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// `len` values of `T`, all initialised, owned.
///
/// It does not free itself, because it does not hold the platform: see [`Table::release`].
#[derive(Debug)]
pub(crate) struct Table<T> {
    first: NonNull<T>,
    len: usize,
}

// SAFETY: a Table owns its values as a boxed slice would.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: a shared Table gives out `&T` only.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T> Table<T> {
    pub(crate) const fn empty() -> Self {
        Self {
            first: NonNull::dangling(),
            len: 0,
        }
    }

    pub(crate) fn new(
        platform: &impl Platform,
        len: usize,
        mut value: impl FnMut(usize) -> T,
    ) -> Result<Self, OutOfMemory> {
        let layout = Layout::array::<T>(len).map_err(|_| OutOfMemory)?;
        if layout.size() == 0 {
            return Ok(Self {
                first: NonNull::dangling(),
                len,
            });
        }
        let first = platform.allocate(layout).ok_or(OutOfMemory)?.cast::<T>();
        for i in 0..len {
            // SAFETY: `i < len`, so the place lies in the memory just allocated for `len` values,
            // aligned for `T` by the layout; nobody else has it yet.
            unsafe { first.add(i).write(value(i)) };
        }
        Ok(Self { first, len })
    }

    /// Drops the values and gives the memory back; the table is empty afterwards.
    pub(crate) fn release(&mut self, platform: &impl Platform) {
        let Ok(layout) = Layout::array::<T>(self.len) else {
            return;
        };
        let Self { first, len } = core::mem::replace(self, Self::empty());
        // SAFETY: `new` initialised these `len` values; `&mut self` means nobody borrows them; the
        // table was made empty above, so they are dropped once.
        unsafe { core::ptr::slice_from_raw_parts_mut(first.as_ptr(), len).drop_in_place() };
        if layout.size() != 0 {
            // SAFETY: `new` got this memory from the same platform with the same layout.
            unsafe { platform.free(first.cast(), layout) };
        }
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `new` initialised `len` values at `first`, and they live until `release`, which
        // needs `&mut self`.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}
