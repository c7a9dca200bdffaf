// SPDX-License-Identifier: GPL-2.0
//! Walking a buffer: records that begin with a number of 4 bytes, and words of zeros between them.
//!
//! ```text
//!  0        oldest                          len
//!  | newest ..|0 0| oldest .. | .. | .. |0 0 0|      a ring that has wrapped
//!  2nd ------->    1st --------------------->
//! ```
//! Nothing in a buffer is believed: each step stays inside it and goes forward, or ends the walk.

use std::fmt;

/// A record's number.
const ID: usize = 4;

/// Where a walk stands.
#[derive(Debug)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// Where the part before the oldest record ends, while it is still to be walked.
    wrapped: Option<usize>,
}

/// Why a walk ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The byte it stood at.
    pub at: usize,
    /// What is wrong there.
    pub why: Why,
}

/// What is wrong with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The oldest record is said to begin outside the buffer.
    Oldest,
    /// Fewer bytes are left than a number has.
    Tail,
    /// A record is longer than what is left.
    Long {
        /// A record's bytes.
        size: usize,
        /// What is left.
        left: usize,
    },
    /// A record is too short for its own number.
    Short,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.why {
            Why::Oldest => write!(
                f,
                "the oldest record is said to begin at byte {at}, outside"
            ),
            Why::Tail => write!(f, "no room for a record at byte {at}"),
            Why::Long { size, left } => write!(
                f,
                "a record of {size} bytes at byte {at}, where {left} are left"
            ),
            Why::Short => write!(f, "a record shorter than its number at byte {at}"),
        }
    }
}

impl std::error::Error for Damaged {}

impl<'a> Walk<'a> {
    /// A walk from the oldest record to the newest.
    ///
    /// # Errors
    /// If `oldest` lies outside the buffer.
    pub fn new(bytes: &'a [u8], oldest: u64) -> Result<Self, Damaged> {
        let at = usize::try_from(oldest).unwrap_or(usize::MAX);
        if at > bytes.len() {
            let why = Why::Oldest;
            return Err(Damaged { at, why });
        }
        Ok(Self {
            bytes,
            at,
            end: bytes.len(),
            wrapped: (at != 0).then_some(at),
        })
    }

    /// The number that the next record begins with; None: there is no further one.
    ///
    /// # Errors
    /// If bytes are left that are too few for a number.
    pub fn number(&mut self) -> Result<Option<u32>, Damaged> {
        loop {
            let rest = &self.bytes[self.at..self.end];
            if rest.is_empty() {
                match self.wrapped.take() {
                    Some(end) => (self.at, self.end) = (0, end),
                    None => return Ok(None),
                }
                continue;
            }
            let Some(number) = rest.first_chunk::<ID>() else {
                // Alignment may leave a few bytes: nothing was written to them.
                if rest.iter().all(|byte| *byte == 0) {
                    self.at = self.end;
                    continue;
                }
                return Err(self.damaged(Why::Tail));
            };
            match u32::from_ne_bytes(*number) {
                0 => self.at += ID,
                number => return Ok(Some(number)),
            }
        }
    }

    /// The record whose number was just read, which has `size` bytes, and steps past it.
    ///
    /// # Errors
    /// If it does not fit into what is left.
    pub fn record(&mut self, size: usize) -> Result<&'a [u8], Damaged> {
        if size < ID {
            return Err(self.damaged(Why::Short));
        }
        let rest = &self.bytes[self.at..self.end];
        let left = rest.len();
        let record = rest
            .get(..size)
            .ok_or_else(|| self.damaged(Why::Long { size, left }))?;
        self.at += size;
        Ok(record)
    }

    fn damaged(&self, why: Why) -> Damaged {
        Damaged { at: self.at, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// All records, each `sizes(number)` long: their numbers and their first word of data.
    fn all(bytes: &[u8], oldest: u64, size: usize) -> Result<Vec<(u32, u32)>, Damaged> {
        let mut walk = Walk::new(bytes, oldest)?;
        let mut found = Vec::new();
        while let Some(number) = walk.number()? {
            let record = walk.record(size)?;
            let data = record[4..]
                .first_chunk()
                .map_or(0, |b| u32::from_ne_bytes(*b));
            found.push((number, data));
        }
        Ok(found)
    }

    #[test]
    fn padding_is_stepped_over() {
        let bytes = words(&[0, 7, 70, 0, 0, 8, 80, 0]);
        assert_eq!(all(&bytes, 0, 8), Ok(vec![(7, 70), (8, 80)]));
        assert_eq!(all(&[], 0, 8), Ok(vec![]));
        assert_eq!(all(&words(&[0, 0, 0]), 0, 8), Ok(vec![]));
        let mut odd = words(&[7, 70]);
        odd.extend([0, 0, 0]);
        assert_eq!(all(&odd, 0, 8), Ok(vec![(7, 70)]));
    }

    #[test]
    fn a_ring_begins_with_its_oldest_record() {
        let bytes = words(&[9, 90, 0, 7, 70, 8, 80, 0]);
        assert_eq!(all(&bytes, 12, 8), Ok(vec![(7, 70), (8, 80), (9, 90)]));
        // All of it after the oldest, or all before.
        assert_eq!(all(&words(&[0, 7, 70]), 4, 8), Ok(vec![(7, 70)]));
        assert_eq!(all(&words(&[7, 70]), 8, 8), Ok(vec![(7, 70)]));
    }

    #[test]
    fn a_record_does_not_reach_over_an_end() {
        let long = |at, size, left| {
            Err(Damaged {
                at,
                why: Why::Long { size, left },
            })
        };
        assert_eq!(all(&words(&[7, 70, 8]), 0, 8), long(8, 8, 4));
        // The newest record of a ring must not reach into the oldest.
        assert_eq!(all(&words(&[9, 7, 70]), 4, 8), long(0, 8, 4));
        assert_eq!(all(&words(&[7]), 0, usize::MAX), long(0, usize::MAX, 4));
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let why = |result: Result<Vec<_>, Damaged>| result.unwrap_err().why;
        assert_eq!(why(all(&words(&[7]), 8, 4)), Why::Oldest);
        assert_eq!(why(all(&words(&[7]), u64::MAX, 4)), Why::Oldest);
        assert_eq!(why(all(&words(&[7]), 0, 0)), Why::Short);
        assert_eq!(why(all(&[0, 0, 0, 0, 1], 0, 4)), Why::Tail);
    }

    /// Whatever the bytes, sizes and oldest: it ends, and hands out each byte at most once.
    #[test]
    fn any_bytes_end_the_walk() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..20_000 {
            let length = random(64) as usize;
            let bytes: Vec<u8> = (0..length).map(|_| random(3) as u8).collect();
            let Ok(mut walk) = Walk::new(&bytes, random(80)) else {
                continue;
            };
            let mut handed_out = 0;
            while let Ok(Some(_)) = walk.number() {
                match walk.record(random(24) as usize) {
                    Ok(record) => handed_out += record.len(),
                    Err(_) => break,
                }
            }
            assert!(handed_out <= bytes.len());
        }
    }
}
