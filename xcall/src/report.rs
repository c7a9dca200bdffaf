// SPDX-License-Identifier: GPL-2.0
//! Timeouts on their way to the log: recorded where nothing may print, printed later.
//!
//! Each is counted. The first is shown, then the 2nd, 4th, 8th...: a machine in trouble is not
//! drowned, and the number in the line says how many there were.

use crate::call::Timeout;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Reports that wait to be printed; one that finds no room is only counted.
const CELLS: usize = 8;

const FREE: u32 = 0;
const HELD: u32 = 1;
const READY: u32 = 2;

/// # Invariants
///
/// 1. Who moved `state` from `FREE` or `READY` to `HELD` has the cell to itself until it moves it on.
/// 2. In `READY`, `content` is a report.
#[derive(Debug)]
struct Cell {
    state: AtomicU32,
    content: UnsafeCell<MaybeUninit<Report>>,
}

// SAFETY: By invariant 1 `content` has one user at a time, and the moves of `state` order them.
unsafe impl Sync for Cell {}

/// A timeout and its number, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The how manyeth timeout it is.
    pub number: u64,
    /// What happened.
    pub timeout: Timeout,
}

/// The timeouts of a machine.
#[derive(Debug)]
pub struct Reports {
    count: AtomicU64,
    cells: [Cell; CELLS],
}

impl Reports {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            cells: [const {
                Cell {
                    state: AtomicU32::new(FREE),
                    content: UnsafeCell::new(MaybeUninit::uninit()),
                }
            }; CELLS],
        }
    }

    /// Counts a timeout and keeps it if it is one to show; returns whether
    /// [`take`](Self::take) should be called soon, where printing is allowed. Any context.
    #[must_use]
    pub fn record(&self, timeout: &Timeout) -> bool {
        // Relaxed: only the number matters.
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if !number.is_power_of_two() {
            return false;
        }
        let Some(cell) = self.cells.iter().find(|cell| cell.hold(FREE)) else {
            return false;
        };
        let report = Report {
            number,
            timeout: *timeout,
        };
        // SAFETY: We hold the cell.
        unsafe { (*cell.content.get()).write(report) };
        // Release report:record, pairs with report:hold: the taker sees the content.
        cell.state.store(READY, Ordering::Release);
        true
    }

    /// A report to print, if there is one. Any context.
    pub fn take(&self) -> Option<Report> {
        let cell = self.cells.iter().find(|cell| cell.hold(READY))?;
        // SAFETY: We hold the cell, and it was ready: there is a report in it.
        let report = unsafe { (*cell.content.get()).assume_init_read() };
        // Release report:take, pairs with report:hold: the next writer comes after our read.
        cell.state.store(FREE, Ordering::Release);
        Some(report)
    }

    /// How many timeouts there were.
    pub fn count(&self) -> u64 {
        // Relaxed: only the number matters.
        self.count.load(Ordering::Relaxed)
    }
}

impl Default for Reports {
    fn default() -> Self {
        Self::new()
    }
}

impl Cell {
    fn hold(&self, from: u32) -> bool {
        // Acquire report:hold, pairs with report:record and report:take: the content is ours.
        self.state
            .compare_exchange(from, HELD, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{CpuId, CpuList, Reached};

    fn timeout() -> Timeout {
        Timeout {
            silent: CpuList::new(),
            caller: CpuId(2),
            function: 0,
            age_ns: 1,
            last_doorbell: "nmi",
            reached: Reached::default(),
        }
    }

    #[test]
    fn shows_ever_fewer() {
        let reports = Reports::new();
        let mut shown = std::vec::Vec::new();
        for _ in 0..100 {
            if reports.record(&timeout()) {
                shown.push(reports.take().expect("recorded").number);
            }
            assert_eq!(reports.take(), None);
        }
        assert_eq!(shown, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(reports.count(), 100);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let reports = Reports::new();
        for _ in 0..1 << 12 {
            let _ = reports.record(&timeout());
        }
        assert_eq!(core::iter::from_fn(|| reports.take()).count(), CELLS);
        assert_eq!(reports.count(), 1 << 12);
        assert_eq!(reports.take(), None);
    }

    #[test]
    fn each_is_taken_once() {
        let reports = Reports::new();
        let taken = AtomicU64::new(0);
        let recorded = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if reports.record(&timeout()) {
                            recorded.fetch_add(1, Ordering::Relaxed);
                        }
                        while reports.take().is_some() {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let left = core::iter::from_fn(|| reports.take()).count() as u64;
        assert_eq!(taken.into_inner() + left, recorded.into_inner());
        assert_eq!(reports.count(), 40_000);
    }
}
