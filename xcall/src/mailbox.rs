// SPDX-License-Identifier: GPL-2.0
//! The mailbox: a bit for every call slot of every CPU, and a summary over the bits.
//!
//! ```text
//!            top   [CLOSED | rings due | children ............ ]   one word
//!                                          |
//!            mids  (only above 448 CPUs)   [ 64 words each ... ]
//!                                            |
//!            words                           [ 8 senders x 8 slots ]   64 call bits each
//! ```
//!
//! A sender climbs: call bit, mid, top. A drain descends: top, mid, call bits. Invariants:
//!
//! - **I1** A call bit goes up once, by the owner of the slot, and down once: by the target, which
//!   then runs the call, or by the sender, which withdraws it. Whoever takes it down owns the call.
//! - **I2** A call bit that is up is named by the summary, or its sender is still climbing, or a
//!   drain on this CPU has cleared the summary and not looked at the word yet.
//! - **I3** A due bit in `top` means that some CPU has rung since `top` was last cleared, or is about
//!   to. So a sender that finds one at least as strong as its own need not ring.
//! - **I4** CLOSED goes up and down only by [`Mailbox::close`] and [`Mailbox::open`]; clearing the summary keeps it.
//!
//! A climber never stops early, even where a mid already shows its bit: the one who set it may be
//! delayed below `top`, and would hide both calls.

use crate::cpu::Bits;
use crate::doorbell::{Rung, MAX_DOORBELLS};
use crate::point::{reach, Point};
use crate::primitive::{AtomicU64, Ordering};
use crate::slot::SLOTS;
use crossbeam_utils::CachePadded;

/// How many senders' slots share a word. Small under loom, so that models reach several words.
#[cfg(not(loom))]
pub(crate) const SENDERS_PER_WORD: usize = 64 / SLOTS;
/// How many senders' slots share a word.
#[cfg(loom)]
pub(crate) const SENDERS_PER_WORD: usize = 2;

/// How many words a mid summarises.
#[cfg(not(loom))]
pub(crate) const WORDS_PER_MID: usize = 64;
/// How many words a mid summarises.
#[cfg(loom)]
pub(crate) const WORDS_PER_MID: usize = 2;

/// How many children `top` has room for.
#[cfg(not(loom))]
pub(crate) const CHILDREN: usize = 56;
/// How many children `top` has room for.
#[cfg(loom)]
pub(crate) const CHILDREN: usize = 2;

const DUE_SHIFT: usize = 56;
const CHILD_BITS: u64 = (1 << DUE_SHIFT) - 1;
const CLOSED: u64 = 1 << 63;

static_assertions::const_assert!(CHILDREN <= DUE_SHIFT);
static_assertions::const_assert!(DUE_SHIFT + MAX_DOORBELLS < 63);
static_assertions::const_assert!(SENDERS_PER_WORD * SLOTS <= 64);

/// A cache line (a pair of them on x86-64, where the prefetcher fetches pairs) of mailbox words.
pub(crate) type Line = CachePadded<[AtomicU64; LINE_WORDS]>;
/// Words in a [`Line`].
pub(crate) const LINE_WORDS: usize = 16;

#[cfg(all(not(loom), target_arch = "x86_64"))]
static_assertions::assert_eq_size!(Line, [u64; LINE_WORDS]);

/// A fresh line: nothing sent, and, if it begins a mailbox, closed.
pub(crate) fn new_line(begins_mailbox: bool) -> Line {
    let mut words = [const { 0 }; LINE_WORDS];
    if begins_mailbox {
        words[0] = CLOSED;
    }
    CachePadded::new(words.map(AtomicU64::new))
}

/// How a mailbox is laid out for a number of CPUs: `top`, the mids, the words, in whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    words: usize,
    mids: usize,
    lines: usize,
}

impl Geometry {
    pub(crate) const fn new(cpus: u32) -> Self {
        let words = (cpus as usize).div_ceil(SENDERS_PER_WORD);
        let mids = if words <= CHILDREN {
            0
        } else {
            words.div_ceil(WORDS_PER_MID)
        };
        let lines = (1 + mids + words).div_ceil(LINE_WORDS);
        Self { words, mids, lines }
    }

    /// Lines a mailbox takes.
    pub(crate) const fn lines(self) -> usize {
        self.lines
    }

    /// The call bit of slot `slot` of CPU `sender`.
    #[inline]
    pub(crate) fn call_bit(self, sender: usize, slot: usize) -> CallBit {
        CallBit {
            word: sender / SENDERS_PER_WORD,
            mask: 1 << ((sender % SENDERS_PER_WORD) * SLOTS + slot),
        }
    }
}

static_assertions::const_assert!(
    Geometry::new(if cfg!(loom) { 8 } else { crate::cpu::MAX_CPUS }).mids <= CHILDREN
);

/// Where the bit of a (sender, slot) lies in every mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallBit {
    word: usize,
    mask: u64,
}

/// What a sender owes after climbing to `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Raised {
    /// Nobody else will ring: ring.
    RingOwed,
    /// A ring at least as strong is due already (I3).
    AlreadyDue,
    /// The mailbox is closed: withdraw.
    Closed,
}

/// Sender and slot of a claimed call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed {
    pub(crate) sender: usize,
    pub(crate) slot: usize,
}

/// One mailbox: the lines of one (CPU, lane).
#[derive(Clone, Copy)]
pub(crate) struct Mailbox<'e> {
    geometry: Geometry,
    lines: &'e [Line],
}

impl<'e> Mailbox<'e> {
    /// The mailbox on `lines`, which are as many as `geometry` asks for.
    #[inline]
    pub(crate) fn new(geometry: Geometry, lines: &'e [Line]) -> Self {
        debug_assert_eq!(lines.len(), geometry.lines());
        Self { geometry, lines }
    }

    #[inline]
    fn at(&self, i: usize) -> &'e AtomicU64 {
        &self.lines[i / LINE_WORDS][i % LINE_WORDS]
    }

    #[inline]
    fn top(&self) -> &'e AtomicU64 {
        self.at(0)
    }

    #[inline]
    fn mid(&self, i: usize) -> &'e AtomicU64 {
        self.at(1 + i)
    }

    #[inline]
    fn word(&self, i: usize) -> &'e AtomicU64 {
        self.at(1 + self.geometry.mids + i)
    }

    /// Puts the call bit up and climbs. The slot was filled before.
    #[inline]
    pub(crate) fn publish(&self, bit: CallBit, rung: Option<Rung>) -> Raised {
        // Release publish:word, pairs with claim:word: the target that takes the bit down sees the
        // function, the argument and the set of targets.
        self.word(bit.word).fetch_or(bit.mask, Ordering::Release);
        reach(Point::SendPublished);
        self.raise(bit, rung)
    }

    /// Climbs from the call bit to `top`, leaving the bit itself alone. `rung` is the doorbell the
    /// sender is about to ring if need be; None if it cannot ring from where it stands.
    #[inline]
    pub(crate) fn raise(&self, bit: CallBit, rung: Option<Rung>) -> Raised {
        let child = if self.geometry.mids == 0 {
            bit.word
        } else {
            let mid = bit.word / WORDS_PER_MID;
            // Release raise:mid, pairs with descend:mid: the drain that takes this bit sees the call
            // bit. Also carried on by raise:top.
            self.mid(mid)
                .fetch_or(1 << (bit.word % WORDS_PER_MID), Ordering::Release);
            reach(Point::SendClimbed);
            mid
        };
        let weakest = 1 << (DUE_SHIFT + rung.unwrap_or(0));
        let due = if rung.is_some() { weakest } else { 0 };
        // Release raise:top, pairs with clear:top: the drain that clears this bit sees the mid and
        // the call bit. A later raise by another CPU keeps the release sequence going (it is a
        // read-modify-write), so the drain sees both.
        let old = self.top().fetch_or((1 << child) | due, Ordering::Release);
        reach(Point::SendRaised);
        if old & CLOSED != 0 {
            Raised::Closed
        } else if old & !CLOSED & !(weakest - 1) != 0 {
            Raised::AlreadyDue
        } else {
            Raised::RingOwed
        }
    }

    /// Whether the call bit is still up: the target has not started.
    #[inline]
    pub(crate) fn is_waiting(&self, bit: CallBit) -> bool {
        // Relaxed: a hint for whom to ring again; withdraw decides.
        self.word(bit.word).load(Ordering::Relaxed) & bit.mask != 0
    }

    /// Takes the call bit down for the sender. True: the target never runs the call (I1). False:
    /// the target took it first and has started.
    #[inline]
    #[must_use]
    pub(crate) fn withdraw(&self, bit: CallBit) -> bool {
        // Relaxed withdraw:word: nothing is read that the target wrote; if the bit was gone, the
        // sender goes on to wait for ended:todo, which orders.
        let old = self.word(bit.word).fetch_and(!bit.mask, Ordering::Relaxed);
        reach(Point::WaitWithdrew);
        old & bit.mask != 0
    }

    /// Whether the summary names anything.
    #[inline]
    pub(crate) fn is_raised(&self) -> bool {
        // Relaxed: a hint; clear:top looks again.
        self.top().load(Ordering::Relaxed) & !CLOSED != 0
    }

    /// Whether the mailbox takes no calls.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: a hint; raise:top decides. Who knows by other means that the CPU has come online
        // sees it open.
        self.top().load(Ordering::Relaxed) & CLOSED != 0
    }

    /// How many call bits are up.
    #[cfg(loom)]
    pub(crate) fn unstarted(&self) -> u32 {
        // Relaxed: the model orders.
        (0..self.geometry.words)
            .map(|i| self.word(i).load(Ordering::Relaxed).count_ones())
            .sum()
    }

    /// Stops new calls: senders that see CLOSED withdraw. What is in the mailbox stays.
    pub(crate) fn close(&self) {
        // Relaxed close:top: one word decides. A sender whose raise comes later sees CLOSED in the
        // value it gets back; one whose raise came before is seen by clear:top of the scan that
        // follows.
        self.top().fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// Takes calls again. Drops the due bits of senders that found it closed, since those do not ring
    /// (I3). They withdraw, so the calls they raised need no look. Calls of a mailbox that was open
    /// already stay named.
    pub(crate) fn open(&self) {
        // Relaxed open:top: no call is read; a sender goes by the value its own raise gets back.
        self.top().fetch_and(CHILD_BITS, Ordering::Relaxed);
    }

    /// Runs `run` for every call the summary names. Returns how many.
    ///
    /// A call sent meanwhile is run too or raises the summary again: its bit, if this does not see
    /// it, went up after `top` was cleared, so its sender finds no ring due and rings.
    #[inline]
    pub(crate) fn drain(&self, mut run: impl FnMut(Claimed)) -> u32 {
        // Acquire clear:top, pairs with raise:top: the words below show every call whose raise came
        // before. Keeps CLOSED (I4).
        let old = self.top().fetch_and(CLOSED, Ordering::Acquire);
        reach(Point::DrainCleared);
        let mut ran = 0;
        for child in Bits(old & CHILD_BITS) {
            let child = child as usize;
            if self.geometry.mids == 0 {
                ran += self.drain_word(child, &mut run);
                continue;
            }
            // Acquire descend:mid, pairs with raise:mid: the words below show every call whose
            // raise of this mid came before. A raise that comes after climbs on to `top`.
            let words = self.mid(child).swap(0, Ordering::Acquire);
            reach(Point::DrainCleared);
            for word in Bits(words) {
                ran += self.drain_word(child * WORDS_PER_MID + word as usize, &mut run);
            }
        }
        ran
    }

    /// Runs `run` for every call in the mailbox, whatever the summary says. Returns how many.
    ///
    /// For a drain that interrupted a drain on the same CPU: that one has cleared the summary and
    /// holds, in its own variables, words it has not looked at yet (I2).
    pub(crate) fn scan(&self, mut run: impl FnMut(Claimed)) -> u32 {
        // Acquire clear:top, as in drain.
        self.top().fetch_and(CLOSED, Ordering::Acquire);
        reach(Point::DrainCleared);
        (0..self.geometry.words)
            .map(|word| self.drain_word(word, &mut run))
            .sum()
    }

    /// Claims and runs the calls of one word, those up when it looks.
    #[inline]
    fn drain_word(&self, i: usize, run: &mut impl FnMut(Claimed)) -> u32 {
        let word = self.word(i);
        // Relaxed: which bits to try; claim:word decides each.
        let seen = word.load(Ordering::Relaxed);
        let mut ran = 0;
        for bit in Bits(seen) {
            reach(Point::DrainSeen);
            let mask = 1 << bit;
            // Acquire claim:word, pairs with publish:word: function, argument and targets are seen.
            // Bit by bit: a bit that is gone must mean a call that has started, because that is
            // what a withdrawing sender takes it for.
            if word.fetch_and(!mask, Ordering::Acquire) & mask == 0 {
                continue;
            }
            reach(Point::DrainClaimed);
            run(Claimed {
                sender: i * SENDERS_PER_WORD + bit as usize / SLOTS,
                slot: bit as usize % SLOTS,
            });
            reach(Point::DrainRan);
            ran += 1;
        }
        ran
    }
}
