// SPDX-License-Identifier: GPL-2.0
//! Call slots: where a call's function, argument and unfinished targets lie while it is under way.
//!
//! ```text
//!  free --claim--> claimed --fill, publish--> under way --last target ends--> ended
//!   ^                                                                           |
//!   +-- waiting call: its caller frees it ---------------------------------------+
//!   +-- posted call: the next claim on this CPU takes it over -------------------+
//! ```
//!
//! - **S1** Only the claimer writes function, argument and ring set, and only before it publishes
//!   the call bit or (ring set) while it holds the claim.
//! - **S2** A target reads function and argument only between taking the call bit down and ending.
//! - **S3** `todo` holds the targets that have not ended. Taking its own bit out of it is the last
//!   thing a target does to the slot. It is the only completion word.
//! - **S4** A slot is filled again only after its owner saw `todo` empty.
//! - **S5** Slots live as long as the engine, so a late target never touches freed memory.

use crate::call::{Entry, Lane, Work};
use crate::cpu::{split, CpuId, WORD_BITS};
use crate::primitive::{AtomicU32, AtomicU64, Ordering, OwnCpu, UnsafeCell};
use core::ffi::c_void;

/// Call slots a CPU has: one reserved for a waiting call at each context level, and as many more for
/// nested and posted calls. How deep waits nest is limited by their stacks, see `DEEPEST_WAITS`.
pub const SLOTS: usize = 8;

/// Slots of each CPU reserved for waiting calls: one a context level.
pub(crate) const RESERVED: usize = crate::context::LEVELS;

/// Words of `todo` inside a slot; larger machines keep the rest in a table.
const INLINE_WORDS: usize = 4;

/// What a target runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) entry: Entry,
    pub(crate) arg: *mut c_void,
}

impl Job {
    pub(crate) const fn of(work: &Work<'_>) -> Self {
        Self {
            entry: work.entry,
            arg: work.arg,
        }
    }
}

/// Words of `todo` that a call has targets in: all others stay empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    first: usize,
    end: usize,
}

impl Span {
    pub(crate) const fn new(first: usize, end: usize) -> Self {
        Self { first, end }
    }

    pub(crate) fn words(self) -> core::ops::Range<usize> {
        self.first..self.end
    }
}

/// A call slot.
#[derive(Debug)]
pub(crate) struct Slot {
    /// S1, S2.
    job: UnsafeCell<Option<Job>>,
    /// S3: CPUs below 256.
    todo: [AtomicU64; INLINE_WORDS],
    /// `fills`, so that a flush can tell a call from its successor.
    generation: AtomicU32,
    /// Counts fills. Own CPU only: a load of `generation` in its place would keep loom, which
    /// remembers the last access to a word only, from trying all orders of the store.
    fills: OwnCpu,
    /// First and end of the call's [`Span`]. Own CPU only.
    span: [OwnCpu; 2],
    /// Posted calls: the lane, when to ring again, and the rung last rung. Own CPU only.
    pub(crate) lane: OwnCpu,
    pub(crate) ring_again_ns: OwnCpu,
    pub(crate) rung: OwnCpu,
}

// SAFETY: `job` is written and read as S1 and S2 say: the writer's claim ends before the readers'
// begins (publish:word to claim:word), and theirs before the next writer's (ended:todo to
// is_ended:todo, S4). The `*mut c_void` in it is handed over, not used, by the engine; that its
// target may be used on other CPUs is what Work::new asks of its caller.
unsafe impl Sync for Slot {}
// SAFETY: as for Sync; a slot has no tie to the thread that made it.
unsafe impl Send for Slot {}

#[cfg(all(not(loom), target_arch = "x86_64"))]
static_assertions::const_assert!(core::mem::size_of::<Slot>() <= 128);

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            job: UnsafeCell::new(None),
            todo: core::array::from_fn(|_| AtomicU64::new(0)),
            generation: AtomicU32::new(0),
            fills: OwnCpu::new(0),
            span: [const { OwnCpu::new(0) }; 2],
            lane: OwnCpu::new(0),
            ring_again_ns: OwnCpu::new(0),
            rung: OwnCpu::new(0),
        }
    }
}

/// A slot with the part of `todo` that lies outside it.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'e> {
    slot: &'e Slot,
    more_todo: &'e [AtomicU64],
    words: usize,
}

impl<'e> SlotRef<'e> {
    /// Words of `todo` outside the slot, where a set of CPUs takes `words`.
    pub(crate) const fn words_outside(words: usize) -> usize {
        words.saturating_sub(INLINE_WORDS)
    }

    #[inline]
    pub(crate) fn new(slot: &'e Slot, more_todo: &'e [AtomicU64], words: usize) -> Self {
        Self {
            slot,
            more_todo,
            words,
        }
    }

    #[inline]
    fn todo(&self, word: usize) -> &'e AtomicU64 {
        match self.slot.todo.get(word) {
            Some(w) => w,
            None => &self.more_todo[word - INLINE_WORDS],
        }
    }

    /// Writes the call into the slot: `members` gives the targets in each word of `span`.
    ///
    /// # Safety
    ///
    /// The caller holds the claim on this slot and has not published it (S1); `todo` is empty (S4).
    #[inline]
    pub(crate) unsafe fn fill(&self, job: Job, span: Span, members: impl Fn(usize) -> u64) {
        // SAFETY: no target reads `job`: none has a call bit of this slot to take down, and those
        // that had one have ended (S2, S3, S4).
        self.slot.job.with_mut(|p| unsafe { *p = Some(job) });
        // Release refill:generation, pairs with flush:generation: who sees the new number sees what
        // the calls before it did (they ended before this fill, S4). Only the claimer writes it.
        let fills = self.slot.fills.get() + 1;
        self.slot.fills.set(fills);
        self.slot.generation.store(fills as u32, Ordering::Release);
        for word in span.words() {
            // Release fill:todo, pairs with is_ended:todo of a flush that still takes this call for
            // the one before: that one's effects are seen. publish:word carries it to the targets.
            // Words outside the span are empty already, by ends that carry the same.
            self.todo(word).store(members(word), Ordering::Release);
        }
        self.slot.span[0].set(span.first as u64);
        self.slot.span[1].set(span.end as u64);
    }

    /// The span of the call in the slot. Own CPU only.
    #[inline]
    pub(crate) fn span(&self) -> Span {
        Span::new(
            self.slot.span[0].get() as usize,
            self.slot.span[1].get() as usize,
        )
    }

    /// All words of `todo`: what another CPU looks at.
    pub(crate) fn whole(&self) -> Span {
        Span::new(0, self.words)
    }

    /// What the call runs.
    ///
    /// # Safety
    ///
    /// The caller has taken down a call bit of this slot and not ended the call (S2).
    pub(crate) unsafe fn job(&self) -> Option<Job> {
        // SAFETY: the claimer wrote it before publishing (claim:word saw that) and does not write
        // again before this target has ended (S1, S4).
        self.slot.job.with(|p| unsafe { *p })
    }

    /// Ends the call on target `cpu`. The target does not touch the slot afterwards (S3).
    #[inline]
    pub(crate) fn end(&self, cpu: CpuId) {
        let (word, bit) = split(cpu);
        // Release ended:todo, pairs with is_ended:todo: the caller sees all the function wrote.
        self.todo(word).fetch_and(!bit, Ordering::Release);
    }

    /// Takes `cpu` out for the owner: it was withdrawn, so no target will.
    pub(crate) fn forgo(&self, cpu: CpuId) {
        let (word, bit) = split(cpu);
        // Relaxed: nothing is handed over; the bits of other targets are kept by the
        // read-modify-write, and so are their releases (a release sequence goes on through it).
        self.todo(word).fetch_and(!bit, Ordering::Relaxed);
    }

    /// Whether every target in `left` has ended, which loses the words seen empty: no word of a call
    /// under way fills up again.
    #[inline]
    pub(crate) fn is_ended(&self, left: &mut Span) -> bool {
        while left.first < left.end {
            // Acquire is_ended:todo, pairs with ended:todo: what the targets wrote is seen.
            if self.todo(left.first).load(Ordering::Acquire) != 0 {
                return false;
            }
            left.first += 1;
        }
        true
    }

    /// The targets that have not ended, for a look: some may end meanwhile.
    pub(crate) fn unended(&self) -> impl Iterator<Item = CpuId> + 'e {
        let this = *self;
        (0..this.words).flat_map(move |word| {
            // Relaxed: a look; withdraw:word and is_ended:todo decide.
            let bits = this.todo(word).load(Ordering::Relaxed);
            crate::cpu::Bits(bits).map(move |b| CpuId((word * WORD_BITS) as u32 + b))
        })
    }

    /// The number of the call now in the slot.
    pub(crate) fn generation(&self) -> u32 {
        // Acquire flush:generation, pairs with refill:generation: once it moved on, what the call
        // it counted before did is seen.
        self.slot.generation.load(Ordering::Acquire)
    }
}

impl core::ops::Deref for SlotRef<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        self.slot
    }
}

impl Slot {
    /// The lane of the posted call in the slot. Own CPU only.
    pub(crate) fn lane(&self) -> Lane {
        Lane::ALL[(self.lane.get() & 1) as usize]
    }
}
