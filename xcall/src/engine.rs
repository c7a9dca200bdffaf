// SPDX-License-Identifier: GPL-2.0
//! The engine: mailboxes, slots and counters of every CPU, and the doorbell ladder.

use crate::call::{Lane, LANES};
use crate::context::{Here, LEVELS};
use crate::cpu::{words_for, CpuId, MAX_CPUS};
use crate::doorbell::Ladder;
use crate::histogram::Histogram;
use crate::mailbox::{new_line, CallBit, Geometry, Line, Mailbox};
use crate::platform::Platform;
use crate::primitive::{AtomicU64, OwnCpu};
use crate::ring_set::RingSets;
use crate::slot::{Slot, SlotRef, SLOTS};
use crate::stats::{CpuCounters, Stats};
use crate::table::{OutOfMemory, Table};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use crossbeam_utils::CachePadded;

/// Sizes and time limits, fixed when an engine is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// CPUs 0 to `cpus - 1` may call and be called: the kernel's `nr_cpu_ids`. At most [`MAX_CPUS`].
    pub cpus: u32,
    /// The time limit of waiting calls that name none, in nanoseconds.
    pub deadline_ns: u64,
    /// No wait with interrupts on is longer, in nanoseconds. A waiter keeps preemption off: the
    /// soft-lockup detector gives up on a CPU after 20 s.
    pub irqs_on_deadline_ns: u64,
    /// No wait with interrupts off is longer, in nanoseconds. The hard-lockup detector gives up on a
    /// CPU after 10 s (`watchdog_thresh`, `Documentation/admin-guide/lockup-watchdogs.rst`).
    pub irqs_off_deadline_ns: u64,
    /// No wait in an NMI is longer, in nanoseconds. Crash dumping gives up on a CPU after 1 s.
    pub nmi_deadline_ns: u64,
    /// After how long a silent target is rung again, in nanoseconds, not 0; twice as long each time
    /// after, up to 64 ms.
    pub ring_again_ns: u64,
}

impl Config {
    /// The defaults, for `cpus` CPUs.
    pub const fn new(cpus: u32) -> Self {
        Self {
            cpus,
            deadline_ns: 10_000_000_000,
            irqs_on_deadline_ns: 15_000_000_000,
            irqs_off_deadline_ns: 5_000_000_000,
            nmi_deadline_ns: 500_000_000,
            ring_again_ns: 2_000_000,
        }
    }
}

/// Why no engine could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewError {
    /// More than [`MAX_CPUS`] CPUs, or none.
    Cpus,
    /// The platform had no memory left.
    OutOfMemory,
}

impl From<OutOfMemory> for NewError {
    fn from(_: OutOfMemory) -> Self {
        NewError::OutOfMemory
    }
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewError::Cpus => write!(f, "number of CPUs not in 1 to {MAX_CPUS}"),
            NewError::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl core::error::Error for NewError {}

/// Words of a CPU that other CPUs leave alone.
#[derive(Debug)]
pub(crate) struct Own {
    /// A bit for each slot that is not free.
    pub(crate) claimed: OwnCpu,
    /// A bit for each claimed slot that holds a posted call nobody is looking after right now.
    pub(crate) posted: OwnCpu,
    /// Looks under way that have taken such marks for a while.
    pub(crate) looking: OwnCpu,
    /// Sends under way between their first publish and their ring.
    pub(crate) sending: OwnCpu,
    /// Drains under way, by lane.
    pub(crate) draining: [OwnCpu; LANES],
    /// Waiting calls under way, by level.
    pub(crate) waiting: [OwnCpu; LEVELS],
    /// When the innermost of them on each level must be over.
    pub(crate) deadline_ns: [OwnCpu; LEVELS],
    pub(crate) counters: CpuCounters,
}

impl Own {
    fn new() -> Self {
        Self {
            claimed: OwnCpu::new(0),
            posted: OwnCpu::new(0),
            looking: OwnCpu::new(0),
            sending: OwnCpu::new(0),
            draining: [const { OwnCpu::new(0) }; LANES],
            waiting: [const { OwnCpu::new(0) }; LEVELS],
            deadline_ns: [const { OwnCpu::new(u64::MAX) }; LEVELS],
            counters: CpuCounters::new(),
        }
    }
}

/// Cross-CPU calls for up to [`MAX_CPUS`] CPUs. See the crate's page for the contract.
///
/// All CPUs begin offline; each comes online by [`Engine::open`].
pub struct Engine<P: Platform> {
    pub(crate) platform: P,
    pub(crate) config: Config,
    pub(crate) ladder: Ladder<P::Doorbell>,
    geometry: Geometry,
    lines: Table<Line>,
    slots: Table<CachePadded<Slot>>,
    more_todo: Table<AtomicU64>,
    pub(crate) ring_sets: RingSets,
    own: Table<CachePadded<Own>>,
    /// Relaxed: once set, stays set.
    halted: AtomicBool,
}

impl<P: Platform> Engine<P> {
    /// An engine with all its memory, doorbells in ascending strength (the first
    /// [`MAX_DOORBELLS`](crate::MAX_DOORBELLS) of them). Task context.
    ///
    /// # Errors
    ///
    /// [`NewError`]: too many CPUs or too little memory.
    pub fn new(
        platform: P,
        mut config: Config,
        doorbells: impl IntoIterator<Item = P::Doorbell>,
    ) -> Result<Self, NewError> {
        if config.cpus == 0 || config.cpus > MAX_CPUS {
            return Err(NewError::Cpus);
        }
        config.ring_again_ns = config.ring_again_ns.max(1);
        let cpus = config.cpus as usize;
        let geometry = Geometry::new(config.cpus);
        let set_words = words_for(config.cpus);
        // From here on an early return must free what was made: dropping the engine does.
        let mut engine = Self {
            ladder: Ladder::new(doorbells),
            geometry,
            lines: Table::empty(),
            slots: Table::empty(),
            more_todo: Table::empty(),
            ring_sets: RingSets::empty(set_words),
            own: Table::empty(),
            halted: AtomicBool::new(false),
            platform,
            config,
        };
        let p = &engine.platform;
        engine.lines = Table::new(p, cpus * LANES * geometry.lines(), |i| {
            new_line(i % geometry.lines() == 0)
        })?;
        engine.slots = Table::new(p, cpus * SLOTS, |_| CachePadded::new(Slot::new()))?;
        let outside = SlotRef::words_outside(set_words);
        engine.more_todo = Table::new(p, cpus * SLOTS * outside, |_| AtomicU64::new(0))?;
        engine.ring_sets = RingSets::new(p, cpus * SLOTS, set_words)?;
        engine.own = Table::new(p, cpus, |_| CachePadded::new(Own::new()))?;
        Ok(engine)
    }

    /// The platform.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The sizes and limits it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The doorbells, weakest first.
    pub fn doorbells(&self) -> impl Iterator<Item = &P::Doorbell> {
        self.ladder.iter()
    }

    /// Lets calls of `lane` use those doorbells that drain it and that `wanted` names, and no
    /// others; returns how many. At first all are allowed. May be called while calls are under way:
    /// those already rung stay rung.
    pub fn allow_doorbells(&self, lane: Lane, wanted: impl Fn(&P::Doorbell) -> bool) -> u32 {
        self.ladder.allow(lane, wanted)
    }

    /// Calls made from now on return `Offline`: the kernel has begun to panic. Any context.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Whether `cpu` takes calls. It may change at once. Any context.
    pub fn is_online(&self, cpu: CpuId) -> bool {
        cpu.0 < self.config.cpus && !self.mailbox(cpu, Lane::NmiSafe).is_closed()
    }

    /// What `cpu` did. None if there is no such CPU. Any context.
    pub fn stats(&self, cpu: CpuId) -> Option<Stats> {
        let own = self.own.get(cpu.index())?;
        let mut stats = Stats::default();
        own.counters.add_ends_to(&mut stats);
        own.counters.add_rest_to(&mut stats);
        Some(stats)
    }

    /// What all CPUs did. Never shows more calls run or withdrawn than made. Any context.
    pub fn total_stats(&self) -> Stats {
        let mut stats = Stats::default();
        for own in self.own.iter() {
            own.counters.add_ends_to(&mut stats);
        }
        for own in self.own.iter() {
            own.counters.add_rest_to(&mut stats);
        }
        stats
    }

    /// Waiting calls of `cpu` to other CPUs that rang doorbell `number` last, in the order of
    /// [`Engine::doorbells`], by how long they took. A call whose ring was saved counts with the
    /// doorbell it would have rung. None if there is no such CPU or doorbell. Any context.
    pub fn latency(&self, cpu: CpuId, number: usize) -> Option<Histogram> {
        let own = self.own.get(cpu.index())?;
        self.ladder.get(number)?;
        let mut histogram = Histogram::default();
        own.counters.add_latency_to(number, &mut histogram);
        Some(histogram)
    }

    /// Bytes an engine for `cpus` CPUs takes.
    pub fn memory_for(cpus: u32) -> usize {
        use core::mem::size_of;
        let n = cpus as usize;
        let set_words = words_for(cpus);
        n * LANES * Geometry::new(cpus).lines() * size_of::<Line>()
            + n * SLOTS * size_of::<CachePadded<Slot>>()
            + n * SLOTS * (SlotRef::words_outside(set_words) + set_words) * size_of::<u64>()
            + n * size_of::<CachePadded<Own>>()
    }

    /// Runs `f` with the caller kept on its CPU.
    #[inline]
    pub(crate) fn pinned<R>(&self, f: impl FnOnce(&Here) -> R) -> R {
        let here = self.platform.pin();
        let result = f(&here);
        self.platform.unpin(here);
        result
    }

    #[inline]
    pub(crate) fn own(&self, here: &Here) -> &Own {
        &self.own[here.cpu().index()]
    }

    #[inline]
    pub(crate) fn mailbox(&self, cpu: CpuId, lane: Lane) -> Mailbox<'_> {
        let each = self.geometry.lines();
        let first = (cpu.index() * LANES + lane.index()) * each;
        Mailbox::new(self.geometry, &self.lines[first..][..each])
    }

    #[inline]
    pub(crate) fn slot(&self, id: SlotId) -> SlotRef<'_> {
        let set_words = words_for(self.config.cpus);
        let outside = SlotRef::words_outside(set_words);
        SlotRef::new(
            &self.slots[id.index()],
            &self.more_todo[id.index() * outside..][..outside],
            set_words,
        )
    }

    #[inline]
    pub(crate) fn call_bit(&self, id: SlotId) -> CallBit {
        self.geometry.call_bit(id.cpu.index(), id.slot)
    }
}

impl<P: Platform> Drop for Engine<P> {
    fn drop(&mut self) {
        let p = &self.platform;
        self.lines.release(p);
        self.slots.release(p);
        self.more_todo.release(p);
        self.ring_sets.release(p);
        self.own.release(p);
    }
}

impl<P: Platform> fmt::Debug for Engine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A call slot by its owner and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId {
    pub(crate) cpu: CpuId,
    pub(crate) slot: usize,
}

impl SlotId {
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.cpu.index() * SLOTS + self.slot
    }
}
