// SPDX-License-Identifier: GPL-2.0
//! NMI credit: telling our own empty NMIs from other people's.
//!
//! NMIs fold together and arrive late: a CPU may take one whose calls an earlier one has run. It
//! must not be reported as unknown, nor may an NMI that is not ours be swallowed. So a ring leaves
//! a credit with its target; a handler run takes one back; an NMI that nobody claims is ours only
//! if credit is left, and credit lapses when no NMI of ours can still be on its way.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// How long after the last ring an NMI of ours may still arrive, in nanoseconds.
pub const CREDIT_LASTS_NS: u64 = 100_000_000;

/// The credit of one CPU.
///
/// All accesses are Relaxed: the count is a bound on NMIs under way, ordered by the ring itself
/// (the NMI arrives after the write that sent it).
#[derive(Debug, Default)]
pub struct Credit {
    cell: CachePadded<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    count: AtomicU32,
    last_ring_ns: AtomicU64,
}

impl Credit {
    /// No credit.
    pub const fn new() -> Self {
        Self {
            cell: CachePadded::new(Cell {
                count: AtomicU32::new(0),
                last_ring_ns: AtomicU64::new(0),
            }),
        }
    }

    /// Leaves a credit: an NMI is about to be sent to this CPU. Any context.
    pub fn leave(&self, now_ns: u64) {
        self.drop_if_lapsed(now_ns);
        self.cell.last_ring_ns.fetch_max(now_ns, Ordering::Relaxed);
        self.cell.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a credit back: an NMI has arrived that ran calls of ours. NMI context.
    pub fn settle(&self) {
        self.take_one();
    }

    /// Whether an NMI that nobody claimed was ours: takes a credit if one is left and has not
    /// lapsed. NMI context.
    #[must_use]
    pub fn claim_unknown(&self, now_ns: u64) -> bool {
        self.drop_if_lapsed(now_ns);
        self.take_one()
    }

    /// Whether no NMI of ours can be under way any more.
    #[must_use]
    pub fn lapsed(&self, now_ns: u64) -> bool {
        let last = self.cell.last_ring_ns.load(Ordering::Relaxed);
        now_ns.saturating_sub(last) > CREDIT_LASTS_NS
    }

    /// Credits left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.cell.count.load(Ordering::Relaxed)
    }

    /// Credit that has lapsed is gone: a later ring must not bring it back to life. A credit left
    /// meanwhile changes the count, and then nothing is dropped.
    fn drop_if_lapsed(&self, now_ns: u64) {
        let count = self.cell.count.load(Ordering::Relaxed);
        if count != 0 && self.lapsed(now_ns) {
            let _ =
                self.cell
                    .count
                    .compare_exchange(count, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn take_one(&self) -> bool {
        self.cell
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
    }
}
