// SPDX-License-Identifier: GPL-2.0
//! NMI credit: telling our own empty NMIs from other people's.
//!
//! NMIs fold together and arrive late: a CPU may take one whose calls an earlier one has run. It
//! must not be reported as unknown, nor may an NMI that is not ours be swallowed. So a ring leaves
//! a credit with its target; an NMI that nobody claims is ours only if credit is left, and takes
//! one; credit lapses when no NMI of ours can still be on its way. So never is there less credit
//! than NMIs of ours to come, and never are more NMIs taken for ours than were rung lately.
//!
//! A virtual CPU may be off its processor for longer than any time one could name, with its NMI
//! waiting. So the first NMI after a ring, whenever it comes, finds the credit as good as new.

use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// How long after the last ring an NMI of ours may still arrive, in nanoseconds: the default.
pub const CREDIT_LASTS_NS: u64 = 100_000_000;

/// [`Credit::word`]: the count, whether a ring came after the last NMI, and the time of the last
/// ring in the rest, so that a word that comes back to the same value means that nothing was rung
/// meanwhile.
const COUNT: u64 = (1 << 15) - 1;
const RUNG: u64 = 1 << 15;
const TIME: u64 = !(COUNT | RUNG);

/// The credit of one CPU.
///
/// All accesses are Relaxed: the count is a bound on NMIs under way, ordered by the ring itself
/// (the NMI arrives after the write that sent it).
#[derive(Debug)]
pub struct Credit {
    /// Time of the last ring, in units of 65,536 ns as in the upper bits of a time in nanoseconds,
    /// [`RUNG`] and the count.
    word: CachePadded<AtomicU64>,
    /// When the last NMI came, whoever's. Only this CPU writes it.
    arrived_ns: AtomicU64,
    lasts_ns: u64,
}

impl Default for Credit {
    fn default() -> Self {
        Self::new()
    }
}

impl Credit {
    /// No credit; what is left lasts [`CREDIT_LASTS_NS`].
    pub const fn new() -> Self {
        Self::lasting(CREDIT_LASTS_NS)
    }

    /// No credit; what is left lasts `lasts_ns` nanoseconds.
    pub const fn lasting(lasts_ns: u64) -> Self {
        Self {
            word: CachePadded::new(AtomicU64::new(0)),
            arrived_ns: AtomicU64::new(0),
            lasts_ns,
        }
    }

    /// Leaves a credit: an NMI is about to be sent to this CPU. Any context.
    pub fn leave(&self, now_ns: u64) {
        self.update(|word| {
            let count = self.count_at(word, now_ns) + 1;
            Some(later(word, now_ns) | RUNG | count.min(COUNT))
        });
    }

    /// An NMI has arrived, whoever's: before anything else is done about it. NMI context.
    ///
    /// If it is the first since the last ring, the credit lasts from now on.
    pub fn arrive(&self, now_ns: u64) {
        self.arrived_ns.store(now_ns, Ordering::Relaxed);
        self.update(|word| (word & RUNG != 0).then_some(later(word, now_ns) | word & COUNT));
    }

    /// Makes the credit last from `now_ns` on: a handler that began at `began_ns` has kept NMIs
    /// waiting until now. NMI context.
    ///
    /// That it ran calls of ours takes no credit back: the NMI may have been somebody else's, and
    /// all of ours still to come.
    pub fn extend(&self, began_ns: u64, now_ns: u64) {
        self.update(|word| {
            let count = self.count_at(word, began_ns);
            let extended = later(word, now_ns) | word & RUNG | count;
            (count != 0 && extended != word).then_some(extended)
        });
    }

    /// Whether an NMI that arrived at `now_ns` and nobody claimed was ours: takes a credit if one is
    /// left and had not lapsed then. NMI context.
    #[must_use]
    pub fn claim_unknown(&self, now_ns: u64) -> bool {
        // Credit that has lapsed goes at the next ring: until then no time brings it back.
        self.update(|word| (self.count_at(word, now_ns) != 0).then(|| word - 1))
    }

    /// Whether no NMI of ours can be under way any more.
    #[must_use]
    pub fn lapsed(&self, now_ns: u64) -> bool {
        self.has_lapsed(self.word.load(Ordering::Relaxed), now_ns)
    }

    /// Credits left, whether lapsed or not.
    #[must_use]
    pub fn left(&self) -> u32 {
        (self.word.load(Ordering::Relaxed) & COUNT) as u32
    }

    /// When the NMI under way arrived. NMI context, after [`Credit::arrive`].
    #[must_use]
    pub fn arrived_ns(&self) -> u64 {
        self.arrived_ns.load(Ordering::Relaxed)
    }

    /// One atomic step. Tried again only when another CPU, or an NMI on this one, has made a step.
    fn update(&self, step: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
            .is_ok()
    }

    const fn has_lapsed(&self, word: u64, now_ns: u64) -> bool {
        now_ns.saturating_sub(word & TIME) > self.lasts_ns
    }

    /// The count, unless it has lapsed: a later ring must not bring it back to life.
    const fn count_at(&self, word: u64, now_ns: u64) -> u64 {
        if self.has_lapsed(word, now_ns) {
            0
        } else {
            word & COUNT
        }
    }
}

/// The time of the last ring in `word`, or `now_ns` where that is later.
fn later(word: u64, now_ns: u64) -> u64 {
    (word & TIME).max(now_ns & TIME)
}
