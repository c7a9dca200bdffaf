// SPDX-License-Identifier: GPL-2.0
//! The bytes of an IDT.

use core::fmt;

/// Bytes of a gate.
pub const GATE_SIZE: usize = 16;
/// Gates of a table.
pub const GATES: usize = 256;
/// Bytes of a table: a page.
pub const TABLE_SIZE: usize = GATES * GATE_SIZE;

/// Whether a table of that limit has all gates. Linux gives it its last byte; a VM exit of Intel's processors gives it
/// 0xffff (Intel SDM volume 3, "Loading Host Segment and Descriptor-Table Registers"), and KVM leaves it so.
pub fn is_whole(limit: u16) -> bool {
    usize::from(limit) >= TABLE_SIZE - 1
}

/// The digest of the gates of `vectors`, a bit for each of the first 32; `read` has their bytes. Any context that
/// `read` may be called from.
pub fn digest_of(
    vectors: u32,
    mut read: impl FnMut(u8) -> Option<[u8; GATE_SIZE]>,
) -> Option<Digest> {
    (0..32_u8)
        .filter(|vector| vectors & (1 << vector) != 0)
        .try_fold(Digest::EMPTY, |digest, vector| {
            Some(digest.with(&read(vector)?))
        })
}

/// A copy of a table, or of what one CPU reads of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Table([u8; TABLE_SIZE]);

impl Default for Table {
    fn default() -> Self {
        Self([0; TABLE_SIZE])
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:#x})", self.digest())
    }
}

impl Table {
    /// All zeros, where a constant is wanted.
    pub const EMPTY: Self = Self([0; TABLE_SIZE]);

    /// Room for the bytes of one.
    pub fn bytes_mut(&mut self) -> &mut [u8; TABLE_SIZE] {
        &mut self.0
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; TABLE_SIZE] {
        &self.0
    }

    /// The bytes of a gate.
    pub fn gate(&self, vector: u8) -> [u8; GATE_SIZE] {
        let at = usize::from(vector) * GATE_SIZE;
        let mut gate = [0; GATE_SIZE];
        for (to, from) in gate.iter_mut().zip(self.0.iter().skip(at)) {
            *to = *from;
        }
        gate
    }

    /// Puts a gate there.
    pub fn set_gate(&mut self, vector: u8, gate: &[u8; GATE_SIZE]) {
        let at = usize::from(vector) * GATE_SIZE;
        for (to, from) in self.0.iter_mut().skip(at).zip(gate) {
            *to = *from;
        }
    }

    /// The first gate that is another in `other`; None: they are the same to the last byte.
    pub fn first_difference(&self, other: &Self) -> Option<u8> {
        (0..=u8::MAX).find(|vector| self.gate(*vector) != other.gate(*vector))
    }

    /// A number that tells two tables apart, for people and scripts.
    pub fn digest(&self) -> u64 {
        Digest::EMPTY.with(&self.0).0
    }
}

/// The digest of a table of which some bytes were seen: FNV-1a (64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    /// Of no bytes.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// With the bytes that follow. Any context.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Self(bytes.iter().fold(self.0, step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_is_a_difference() {
        let table = Table::default();
        assert_eq!(table.first_difference(&table.clone()), None);
        for at in [0, 15, 48, 63, TABLE_SIZE - 1] {
            let mut other = table.clone();
            other.bytes_mut()[at] = 1;
            assert_eq!(table.first_difference(&other), Some((at / GATE_SIZE) as u8));
            assert_ne!(table.digest(), other.digest());
        }
    }

    #[test]
    fn a_gate_is_put_where_it_is_read() {
        let mut table = Table::default();
        let gate: [u8; GATE_SIZE] = core::array::from_fn(|n| n as u8 + 1);
        for vector in [0, 3, 255] {
            table.set_gate(vector, &gate);
            assert_eq!(table.gate(vector), gate);
        }
        assert_eq!(table.gate(1), [0; GATE_SIZE]);
        assert_eq!(table.bytes()[48..64], gate);
    }

    #[test]
    fn a_digest_is_the_same_in_parts() {
        let mut table = Table::default();
        for (n, byte) in table.bytes_mut().iter_mut().enumerate() {
            *byte = (n * 7) as u8;
        }
        let parts = table.bytes().chunks(64);
        let digest = parts.fold(Digest::EMPTY, |digest, part| digest.with(part));
        assert_eq!(digest.0, table.digest());
    }

    #[test]
    fn a_limit_may_be_larger_than_a_table() {
        assert!(is_whole(4095) && is_whole(u16::MAX));
        assert!(!is_whole(4094) && !is_whole(0));
    }

    #[test]
    fn a_gate_that_is_left_is_another_digest() {
        let table = Table::default();
        let vectors = 1 << 3 | 1 << 14 | 1 << 31;
        let of = |table: &Table| digest_of(vectors, |vector| Some(table.gate(vector)));
        for vector in 0..=u8::MAX {
            let mut other = table.clone();
            other.set_gate(vector, &[1; GATE_SIZE]);
            assert_eq!(of(&other) != of(&table), matches!(vector, 3 | 14 | 31));
        }
        // A gate that cannot be read is not what it was.
        let read = |vector| (vector != 14).then_some([0; GATE_SIZE]);
        assert_eq!(digest_of(vectors, read), None);
        assert_eq!(digest_of(0, |_| None), Some(Digest::EMPTY));
    }

    #[test]
    fn the_digest_is_fnv() {
        // Of no bytes it is the offset basis; of a page of zeros, the basis times the prime, 4096 times.
        let expected = (0..TABLE_SIZE).fold(0xcbf2_9ce4_8422_2325_u64, |hash, _| {
            hash.wrapping_mul(0x100_0000_01b3)
        });
        assert_eq!(Table::default().digest(), expected);
    }
}
