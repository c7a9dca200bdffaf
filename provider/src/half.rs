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

/// Room for a record: `half.bytes[start..end]`.
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

    /// [`reserve`](Self::reserve) where the policy has no say: a buffer that is switched, with room left.
    /// None: ask `reserve`.
    #[inline(always)]
    pub(crate) fn plain_room(&mut self, size: usize, align: usize) -> Option<Room> {
        let room = self.next(size, align);
        let fits = room.end <= self.bytes.len();
        if self.policy != BufferPolicy::Switch || self.is_closed || !fits {
            return None;
        }
        if room.start != self.offset {
            self.pad(room.start);
        }
        Some(room)
    }

    /// Room for `size` bytes at a multiple of `align`, 4 or 8; an error and a drop if there is none. `keep`
    /// bytes stay free at the end (fill), and once a record found no room no other is taken, however small;
    /// END's alone, which comes without `keep`, gets what is left. `size_of` tells a record's bytes by its
    /// EPID (ring). The room may hold what an older record left there: whoever reserved it writes all of
    /// it, or abandons it. Probe context; bounded by the records overwritten.
    pub(crate) fn reserve(
        &mut self,
        size: usize,
        align: usize,
        keep: Option<usize>,
        size_of: impl Fn(u32) -> usize,
    ) -> Result<Room, NoRoom> {
        let next = self.next(size, align);
        let room = self.reserve_by_policy(next, keep, size_of)?;
        self.pad(room.start);
        Ok(room)
    }

    /// Where the next record would lie.
    #[inline(always)]
    fn next(&self, size: usize, align: usize) -> Room {
        // An offset is at most the buffer's size, and a record's size at most 1 MiB: no overflow.
        let mask = align.wrapping_sub(1);
        let start = self.offset.wrapping_add(mask) & !mask;
        let end = start.wrapping_add(size);
        Room { start, end }
    }

    /// Zeros up to `start`: readers take them for padding.
    #[inline(never)]
    fn pad(&mut self, start: usize) {
        if let Some(padding) = self.bytes.get_mut(self.offset..start) {
            padding.fill(0);
        }
    }

    /// Where the room is, if there is any.
    fn reserve_by_policy(
        &mut self,
        room: Room,
        keep: Option<usize>,
        size_of: impl Fn(u32) -> usize,
    ) -> Result<Room, NoRoom> {
        let Room { start, end } = room;
        let capacity = self.bytes.len();
        if self.is_closed {
            self.dropped();
            return Err(NoRoom::Full);
        }
        match self.policy {
            BufferPolicy::Switch => {
                self.dropped();
                Err(NoRoom::Full)
            }
            BufferPolicy::Fill
                if end > capacity.saturating_sub(keep.unwrap_or(0))
                    || (self.is_filled && keep.is_some()) =>
            {
                Err(match core::mem::replace(&mut self.is_filled, true) {
                    true => NoRoom::Full,
                    false => NoRoom::JustFilled,
                })
            }
            BufferPolicy::Fill => Ok(room),
            BufferPolicy::Ring => {
                let size = end.saturating_sub(start);
                if size > capacity {
                    self.dropped();
                    return Err(NoRoom::Full);
                }
                if end <= capacity {
                    self.overwrite(end, size_of);
                    return Ok(room);
                }
                if let Some(rest) = self.bytes.get_mut(self.offset..) {
                    rest.fill(0);
                }
                (self.offset, self.oldest) = (0, 0);
                self.has_wrapped = true;
                self.overwrite(size, size_of);
                Ok(Room {
                    start: 0,
                    end: size,
                })
            }
        }
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
    #[inline]
    pub(crate) fn room(&mut self, room: Room) -> Option<&mut [u8]> {
        self.bytes.get_mut(room.start..room.end)
    }

    /// The record in the room is whole.
    #[inline]
    pub(crate) fn commit(&mut self, room: Room) {
        self.offset = room.end;
    }

    /// The record in the room is none; it counts as an error.
    #[cold]
    pub(crate) fn abandon(&mut self, room: Room) {
        if let Some(area) = self.room(room) {
            area.fill(0);
        }
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
        // Fill and ring are read once.
        self.is_closed = self.policy != BufferPolicy::Switch;
    }

    /// What it counted was told.
    pub(crate) fn told(&mut self) {
        self.drops = 0;
        self.errors = 0;
    }
}

/// The u32 at `offset`, if it is in.
pub(crate) fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Puts `value` at `offset`, if it fits.
#[inline]
pub(crate) fn write(bytes: &mut [u8], offset: usize, value: &[u8]) {
    let end = offset.saturating_add(value.len());
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(value);
    }
}
