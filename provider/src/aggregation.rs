// SPDX-License-Identifier: GPL-2.0
//! One half of an aggregation buffer: entries of key and value, found by a hash of the key.
//!
//! ```text
//!  bytes: | entry | entry | ...         -> free            (as the consumer copies them)
//!  heads: hash -> newest entry of that hash, links: entry -> older one of the same head
//! ```
//! An entry is the u32 number of its aggregation, the key's records and the value, at the offsets that
//! AGGDESC tells; the bytes up to the value are what is hashed and compared. Entries lie at multiples of
//! 8. Whoever holds the half has it alone, so these are plain fields.

#![forbid(unsafe_code)]

use crate::aggregating_function::Function;
use crate::memory::{List, OutOfMemory};

/// A place in `links` plus one; 0 is none.
type LinkNumber = u32;

#[derive(Clone, Copy)]
struct Link {
    hash: u32,
    offset: u32,
    older: LinkNumber,
}

/// A half.
pub(crate) struct AggregationHalf {
    bytes: List<u8>,
    used: usize,
    /// As many as a power of two.
    heads: List<LinkNumber>,
    links: List<Link>,
    entries: usize,
    key: List<u8>,
    drops: u64,
    errors: u64,
}

impl AggregationHalf {
    /// For `size` bytes of entries whose keys, numbers included, take `key_size` bytes at most.
    pub(crate) fn new(size: usize, key_size: usize) -> Result<Self, OutOfMemory> {
        // An entry is 16 bytes at least; 64 is what a small one takes.
        let links = (size / 32).clamp(1, 1 << 20);
        let heads = (size / 64).clamp(16, 1 << 16).next_power_of_two();
        let none = Link {
            hash: 0,
            offset: 0,
            older: 0,
        };
        Ok(Self {
            bytes: List::zeroed(size)?,
            used: 0,
            heads: List::try_made(heads, |_| Ok::<_, OutOfMemory>(0))?,
            links: List::try_made(links, |_| Ok::<_, OutOfMemory>(none))?,
            entries: 0,
            key: List::zeroed(key_size)?,
            drops: 0,
            errors: 0,
        })
    }

    /// The place where the next key is put together: `size` bytes of zero.
    pub(crate) fn key(&mut self, size: usize) -> &mut [u8] {
        let key = self.key.get_mut(..size).unwrap_or_default();
        key.fill(0);
        key
    }

    /// `value` joins the entry of the key that lies in [`key`](Self::key)'s first `size` bytes. False and a
    /// drop if there is no room for a new entry. Probe context; a chain of one hash is walked 4,096 steps
    /// at most.
    pub(crate) fn join(&mut self, size: usize, function: Function, value: u64) -> bool {
        let joined = self.try_join(size, function, value).is_some();
        if !joined {
            self.drops = self.drops.saturating_add(1);
        }
        joined
    }

    fn try_join(&mut self, size: usize, function: Function, value: u64) -> Option<()> {
        const LONGEST_CHAIN: usize = 4096;
        let key = self.key.get(..size)?;
        let hash = hash(key);
        let head = hash as usize & self.heads.len().wrapping_sub(1);
        let value_end = size.checked_add(function.size())?;

        let mut at = *self.heads.get(head)?;
        for _ in 0..LONGEST_CHAIN {
            let Some(link) = (at as usize).checked_sub(1).and_then(|i| self.links.get(i)) else {
                break;
            };
            let offset = link.offset as usize;
            let entry = self.bytes.get_mut(offset..offset.checked_add(value_end)?);
            if let Some((found, place)) = entry.and_then(|entry| entry.split_at_mut_checked(size)) {
                if link.hash == hash && found == key {
                    function.join(place, value);
                    return Some(());
                }
            }
            at = link.older;
        }

        let offset = self.used;
        let end = offset.checked_add(value_end)?.checked_next_multiple_of(8)?;
        let entry = self.bytes.get_mut(offset..end)?;
        let link = self.links.get_mut(self.entries)?;
        entry.fill(0);
        let (place, rest) = entry.split_at_mut_checked(size)?;
        place.copy_from_slice(key);
        let place = rest.get_mut(..function.size())?;
        function.begin(place);
        function.join(place, value);
        let newest = self.heads.get_mut(head)?;
        *link = Link {
            hash,
            offset: u32::try_from(offset).ok()?,
            older: *newest,
        };
        self.entries += 1;
        *newest = u32::try_from(self.entries).ok()?;
        self.used = end;
        Some(())
    }

    /// A key could not be put together.
    pub(crate) fn failed(&mut self) {
        self.errors = self.errors.saturating_add(1);
    }

    /// The entries, drops and errors. Its reader.
    pub(crate) fn contents(&self) -> (&[u8], u64, u64) {
        let bytes = self.bytes.get(..self.used).unwrap_or_default();
        (bytes, self.drops, self.errors)
    }

    /// Makes it as new. Its reader, when it has read it.
    pub(crate) fn clear(&mut self) {
        if self.entries != 0 {
            self.heads.fill(0);
        }
        self.used = 0;
        self.entries = 0;
    }

    /// What it counted was told.
    pub(crate) fn told(&mut self) {
        self.drops = 0;
        self.errors = 0;
    }
}

/// 64-bit words multiplied and folded: keys are short and not an enemy's.
fn hash(key: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = key.len() as u64;
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        state = (state ^ word).wrapping_mul(FACTOR).rotate_left(29);
    }
    for byte in chunks.remainder() {
        state = (state ^ u64::from(*byte))
            .wrapping_mul(FACTOR)
            .rotate_left(29);
    }
    (state ^ (state >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn count(half: &mut AggregationHalf, key: u64) -> bool {
        let place = half.key(16);
        place[..4].copy_from_slice(&7_u32.to_ne_bytes());
        place[8..].copy_from_slice(&key.to_ne_bytes());
        half.join(16, Function::Count, 0)
    }

    fn counts(half: &AggregationHalf) -> BTreeMap<u64, u64> {
        let word =
            |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let (bytes, ..) = half.contents();
        let entries = bytes.chunks_exact(24);
        entries.map(|e| (word(e, 8), word(e, 16))).collect()
    }

    #[test]
    fn keys_are_counted_apart() {
        let mut half = AggregationHalf::new(4096, 16).unwrap();
        for round in 0..10 {
            for key in 0..=round {
                assert!(count(&mut half, key));
            }
        }
        let expected = (0..10).map(|key| (key, 10 - key)).collect();
        assert_eq!(counts(&half), expected);
    }

    #[test]
    fn a_full_half_drops_new_keys_and_joins_old_ones() {
        let mut half = AggregationHalf::new(64, 16).unwrap();
        assert!(count(&mut half, 1));
        assert!(count(&mut half, 2));
        assert!(!count(&mut half, 3));
        assert!(count(&mut half, 2));
        assert_eq!(half.contents().1, 1);
        assert_eq!(counts(&half), [(1, 1), (2, 2)].into());
        half.clear();
        half.told();
        assert!(count(&mut half, 3));
        assert_eq!(counts(&half), [(3, 1)].into());
        assert_eq!(half.contents().1, 0);
    }
}
