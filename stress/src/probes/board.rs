// SPDX-License-Identifier: GPL-2.0
//! What the tool and a worker tell each other: a page of memory that both map.
//!
//! A call's number is counted as begun before the call and as ended after it. So a call whose number is
//! not below what was read as begun after GO began after that look, and one below what was read as ended
//! before STOP had ended: of those in between the tracer must know. SeqCst: a count as begun is seen
//! before the firing looks whether tracing is on, and the tool looks at it after that was switched on.

use super::calls::{Numbers, CALLS};
use anyhow::{Context, Result};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{fence, AtomicU64, Ordering::SeqCst};

/// The page's words. Flags are 0 or 1.
#[repr(C)]
#[derive(Default)]
pub struct Board {
    /// Asked: make rounds until so many were made.
    goal: AtomicU64,
    /// Asked: how many goals there were.
    orders: AtomicU64,
    /// Told: the number of the goal that is reached.
    done: AtomicU64,
    /// Told: rounds made.
    pub made: AtomicU64,
    /// Asked: leave the CPU and make no calls.
    pub away: AtomicU64,
    /// Told: it has left.
    pub is_away: AtomicU64,
    /// Asked: keep the CPU with interrupts off for at most so many milliseconds.
    pub hold_ms: AtomicU64,
    /// Told: it is in its place and waits for a goal.
    pub ready: AtomicU64,
    /// Asked: end.
    pub end: AtomicU64,
    /// Calls, by number: how many began, and how many ended.
    pub begun: [AtomicU64; CALLS],
    pub ended: [AtomicU64; CALLS],
}

impl Board {
    /// Sets a goal.
    pub fn order(&self, goal: u64) {
        self.goal.store(goal, SeqCst);
        self.orders.fetch_add(1, SeqCst);
    }

    /// Whether the last goal set is reached: the worker is in no round.
    pub fn is_done(&self) -> bool {
        self.done.load(SeqCst) == self.orders.load(SeqCst)
    }

    /// The worker, between two rounds: whether to make one more than it `made`.
    pub fn wants(&self, made: u64) -> bool {
        // Before the goal: that one is as new as this number, or newer.
        let orders = self.orders.load(SeqCst);
        let is_wanted = made < self.goal.load(SeqCst);
        if !is_wanted {
            self.done.store(orders, SeqCst);
        }
        is_wanted
    }

    /// A call begins. Returns its number.
    pub fn begin(&self, call: usize) -> u64 {
        self.begun[call].fetch_add(1, SeqCst)
    }

    /// It has ended.
    pub fn end(&self, call: usize) {
        self.ended[call].fetch_add(1, SeqCst);
    }

    /// Calls that began so far.
    pub fn begun(&self) -> Numbers {
        fence(SeqCst);
        self.begun.each_ref().map(|count| count.load(SeqCst))
    }

    /// Calls that ended so far.
    pub fn ended(&self) -> Numbers {
        fence(SeqCst);
        self.ended.each_ref().map(|count| count.load(SeqCst))
    }
}

/// A board that others may map too.
pub struct Shared {
    file: OwnedFd,
    at: *mut Board,
}

// SAFETY: the board is made of atomics, and stays mapped until this is dropped.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// A new one, whose file a child inherits.
    pub fn new() -> Result<Self> {
        let file = memory_file(c"stress-board")?;
        File::from(file.try_clone()?).set_len(size_of::<Board>() as u64)?;
        Self::map(file)
    }

    /// The one that a parent made.
    pub fn inherited(number: RawFd) -> Result<Self> {
        // SAFETY: the parent leaves it to us; `map` fails if it is no such file.
        Self::map(unsafe { OwnedFd::from_raw_fd(number) })
    }

    fn map(file: OwnedFd) -> Result<Self> {
        let (size, fd) = (size_of::<Board>(), file.as_raw_fd());
        let (can, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), size, can, shared, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mapping a worker's board");
        }
        Ok(Self {
            file,
            at: at.cast(),
        })
    }

    /// What `inherited` takes.
    pub fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Deref for Shared {
    type Target = Board;

    fn deref(&self) -> &Board {
        // SAFETY: mapped until drop, page-aligned, zeros at first; all access is atomic.
        unsafe { &*self.at }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and no reference outlives this.
        unsafe { libc::munmap(self.at.cast(), size_of::<Board>()) };
    }
}

/// A file in memory, inherited by children, that can be executed.
pub fn memory_file(name: &std::ffi::CStr) -> Result<OwnedFd> {
    // Kernels before 6.3 do not know it, those after it warn of its absence.
    const MFD_EXEC: libc::c_uint = 0x10;
    for flags in [MFD_EXEC, 0] {
        // SAFETY: a string that ends with a zero.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        if fd >= 0 {
            // SAFETY: ours, and new.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    Err(io::Error::last_os_error()).context("a file in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_set_and_reached() {
        let board = Board::default();
        assert!(board.is_done());
        board.order(1);
        assert!(!board.is_done() && board.wants(0));
        assert!(!board.wants(1) && board.is_done());
        board.order(u64::MAX);
        assert!(board.wants(1));
        board.order(0);
        assert!(!board.is_done() && !board.wants(1) && board.is_done());
    }

    #[test]
    fn two_maps_of_one_board() {
        let one = Shared::new().unwrap();
        let two = Shared::map(one.file.try_clone().unwrap()).unwrap();
        assert_eq!(one.begin(1), 0);
        assert_eq!(two.begin(1), 1);
        two.end(1);
        assert_eq!(one.begun()[1], 2);
        assert_eq!(one.ended()[1], 1);
    }
}
