// SPDX-License-Identifier: GPL-2.0
//! A page below 4 GiB that all processes share: what they answer, and what calls are given.

use anyhow::{ensure, Result};

/// Words that a child may answer.
pub const ANSWERS: usize = 4;

const SIZE: usize = 4096;

/// Where what calls are given begins, behind the answers.
const GIVEN: usize = 256;

/// The page.
///
/// # Invariants
/// `page` is the start of [`SIZE`] bytes that are mapped, shared, as long as the program runs.
pub struct Low {
    page: *mut u8,
}

impl Low {
    /// One of zeros.
    pub fn new() -> Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new memory, anywhere below 2 GiB.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, flags, -1, 0) };
        ensure!(page != libc::MAP_FAILED, "no memory below 4 GiB");
        Ok(Self { page: page.cast() })
    }

    /// Puts bytes there for a call; their address. What was given before is overwritten.
    pub fn give(&self, bytes: &[u8]) -> Result<u64> {
        ensure!(
            bytes.len() <= SIZE - GIVEN,
            "{} bytes are too many",
            bytes.len()
        );
        // SAFETY: invariant; no reference to the page exists.
        unsafe {
            let place = self.page.add(GIVEN);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            Ok(place as u64)
        }
    }

    /// Answers word `place`; nothing from [`ANSWERS`] on.
    pub fn answer(&self, place: usize, value: i64) {
        if place < ANSWERS {
            // SAFETY: invariant; aligned, as the page is; another process reads it when this one is over.
            unsafe { self.page.cast::<i64>().add(place).write_volatile(value) };
        }
    }

    /// What was answered; nothing: 0.
    pub fn answers(&self) -> [i64; ANSWERS] {
        // SAFETY: as in `answer`.
        std::array::from_fn(|place| unsafe { self.page.cast::<i64>().add(place).read_volatile() })
    }
}
