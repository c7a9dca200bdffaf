// SPDX-License-Identifier: GPL-2.0
//! One half of a principal buffer: records one after the other, by policy.
//!
//! A record is a u32 EPID and the data at the offsets of its layout. A u32 of zero is padding: readers
//! skip it. Whoever holds the half has it alone, so these are plain fields.
//!
//! Ring, once it has wrapped:
//! ```text
//!   0            offset          oldest                    size
//!   | newer records | zeros      | older records | zeros    |
//! ```
//! The reader begins at `oldest`, goes to the end, then from 0 to `oldest`: so all between `offset` and
//! `oldest` is zero at any time.

use crate::memory::{List, OutOfMemory};
use dtrace_interface::options::BufferPolicy;

/// A half.
pub(crate) struct Half {
    bytes: List<u8>,
    policy: BufferPolicy,
    offset: usize,
    oldest: usize,
    has_wrapped: bool,
    /// Taken for reading, or full for good (fill): nothing is written any more.
    is_closed: bool,
    /// A record found no room. Fill only.
    is_filled: bool,
    drops: u64,
    errors: u64,
}

/// Room for a record: `half.bytes[start..end]`, all zero.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    start: usize,
    end: usize,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// None.
    Full,
    /// None, and this is the first that finds none (fill).
    JustFilled,
}

/// A half as its reader finds it.
pub(crate) struct Contents<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) oldest: usize,
    pub(crate) drops: u64,
    pub(crate) errors: u64,
}

impl Half {
    pub(crate) fn new(size: usize, policy: BufferPolicy) -> Result<Self, OutOfMemory> {
        Ok(Self {
            bytes: List::zeroed(size)?,
            policy,
            offset: 0,
            oldest: 0,
            has_wrapped: false,
            is_closed: false,
            is_filled: false,
            drops: 0,
            errors: 0,
        })
    }

    /// Room for `size` bytes at a multiple of `align`, a power of two of 8 at most; an error and a drop if
    /// there is none. `keep` bytes stay free at the end (fill), and once a record found no room no other is
    /// taken, however small; END's alone, which comes without `keep`, gets what is left. `size_of` tells a record's bytes by its
    /// EPID (ring). Probe context; bounded by the records overwritten.
    pub(crate) fn reserve(
        &mut self,
        size: usize,
        align: usize,
        keep: Option<usize>,
        size_of: impl Fn(u32) -> usize,
    ) -> Result<Room, NoRoom> {
        if self.is_closed {
            self.drops = self.drops.saturating_add(1);
            return Err(NoRoom::Full);
        }
        let capacity = self.bytes.len();
        let start = self.offset.checked_next_multiple_of(align.max(4));
        let mut start = start.ok_or(NoRoom::Full)?;
        let mut end = start.checked_add(size).ok_or(NoRoom::Full)?;
        match self.policy {
            BufferPolicy::Switch if end > capacity => {
                self.drops = self.drops.saturating_add(1);
                return Err(NoRoom::Full);
            }
            BufferPolicy::Fill
                if end > capacity.saturating_sub(keep.unwrap_or(0))
                    || (self.is_filled && keep.is_some()) =>
            {
                return Err(match core::mem::replace(&mut self.is_filled, true) {
                    true => NoRoom::Full,
                    false => NoRoom::JustFilled,
                });
            }
            BufferPolicy::Ring => {
                if size > capacity {
                    self.drops = self.drops.saturating_add(1);
                    return Err(NoRoom::Full);
                }
                if end > capacity {
                    if let Some(rest) = self.bytes.get_mut(self.offset..) {
                        rest.fill(0);
                    }
                    (start, end) = (0, size);
                    (self.offset, self.oldest) = (0, 0);
                    self.has_wrapped = true;
                }
                self.overwrite(end, size_of);
            }
            _ => {}
        }
        if let Some(room) = self.bytes.get_mut(self.offset..end) {
            room.fill(0);
        }
        Ok(Room { start, end })
    }

    /// Moves `oldest` past the records that lie before `end`, and zeroes them.
    fn overwrite(&mut self, end: usize, size_of: impl Fn(u32) -> usize) {
        if !self.has_wrapped || self.oldest >= end {
            return;
        }
        while self.oldest < end {
            match read_u32(&self.bytes, self.oldest) {
                None => break,
                Some(0) => self.oldest = self.oldest.saturating_add(4),
                Some(epid) => {
                    let size = size_of(epid).max(4).next_multiple_of(4);
                    self.oldest = self.oldest.saturating_add(size);
                }
            }
        }
        if self.oldest >= self.bytes.len() {
            // None of the older records is left: as if it had not wrapped.
            self.oldest = 0;
            self.has_wrapped = false;
            return;
        }
        if let Some(gone) = self.bytes.get_mut(self.offset..self.oldest) {
            gone.fill(0);
        }
    }

    /// The room's bytes.
    pub(crate) fn room(&mut self, room: Room) -> &mut [u8] {
        self.bytes.get_mut(room.start..room.end).unwrap_or_default()
    }

    /// The record in the room is whole.
    pub(crate) fn commit(&mut self, room: Room) {
        self.offset = room.end;
    }

    /// The record in the room is none; it counts as an error.
    pub(crate) fn abandon(&mut self, room: Room) {
        self.room(room).fill(0);
        self.failed();
    }

    /// A firing was dropped before it asked for room.
    pub(crate) fn dropped(&mut self) {
        self.drops = self.drops.saturating_add(1);
    }

    /// A firing failed without a record.
    pub(crate) fn failed(&mut self) {
        self.errors = self.errors.saturating_add(1);
    }

    /// What is in it. Its reader.
    pub(crate) fn contents(&self) -> Contents<'_> {
        let end = match self.has_wrapped {
            true => self.bytes.len(),
            false => self.offset,
        };
        Contents {
            bytes: self.bytes.get(..end).unwrap_or_default(),
            oldest: self.oldest,
            drops: self.drops,
            errors: self.errors,
        }
    }

    /// Makes it as new. Its reader, when it has read it.
    pub(crate) fn clear(&mut self) {
        self.offset = 0;
        self.oldest = 0;
        self.has_wrapped = false;
        self.drops = 0;
        self.errors = 0;
        // Fill and ring are read once.
        self.is_closed = self.policy != BufferPolicy::Switch;
    }
}

/// The u32 at `offset`, if it is in.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Puts `value` at `offset`, if it fits.
pub(crate) fn write(bytes: &mut [u8], offset: usize, value: &[u8]) {
    let end = offset.saturating_add(value.len());
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(value);
    }
}
