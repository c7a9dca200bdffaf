// SPDX-License-Identifier: GPL-2.0
//! An array in the file's bytes, read entry by entry: the bytes may be aligned in any way.

use core::fmt;
use core::marker::PhantomData;

use dtrace_interface::Plain;

/// Entries of type `T`, borrowed from the file.
pub struct Table<'a, T> {
    /// A multiple of the entries' size.
    bytes: &'a [u8],
    entries: PhantomData<T>,
}

impl<'a, T: Plain> Table<'a, T> {
    /// No entries.
    pub const EMPTY: Self = Self {
        bytes: &[],
        entries: PhantomData,
    };

    /// All of `bytes`; `None` if the last entry is cut short.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.len().checked_rem(T::SIZE)?;
        (rest == 0).then_some(Self {
            bytes,
            entries: PhantomData,
        })
    }

    /// Bytes of all of them.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(T::SIZE).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<T> {
        T::from_bytes(self.bytes.get(index.checked_mul(T::SIZE)?..)?)
    }

    /// All of them in order, each with its index. `enumerate` would check for an overflow, and
    /// call the panic that cannot come.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, T)> + Clone + 'a {
        (0..usize::MAX).zip(self.iter())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + 'a {
        // max(1): chunks of 0 bytes would panic; no Plain here has that size.
        self.bytes
            .chunks_exact(T::SIZE.max(1))
            .map(|entry| T::from_bytes(entry).unwrap_or(T::ZERO))
    }
}

impl<T> Clone for Table<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Table<'_, T> {}

impl<T> PartialEq for Table<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Table<'_, T> {}

impl<T: Plain + fmt::Debug> fmt::Debug for Table<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
