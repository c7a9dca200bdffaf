// SPDX-License-Identifier: GPL-2.0
//! A storm: what its workers share, its beginning and its end.

use crate::ledger::{Count, Ledger};
use crate::machine::{EngineCounters, Machine, Silence};
use crate::masking::Hold;
use crate::plan::Plan;
use crate::ticket::{Ticket, TICKETS};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use xcall_stress_protocol::{
    FirstTimeout, Latency, Row, Totals, FUNCTION, LATENCY_BUCKETS, MAX_DOORBELLS, NAME, NAMES,
    PAIRS,
};

/// The longest a worker waits for the others to come where it is: some may be away.
const MEET_NS: u64 = 1_000_000_000;

/// A storm on a machine. Its workers run [`Storm::work`], each on its CPU, again and again until it
/// is over: a worker whose CPU goes offline leaves between two turns, and comes back with it.
///
/// To be dropped only after all of them have returned for good and [`Storm::flush`] has said true: called
/// functions use it.
#[derive(Debug)]
pub struct Storm<M: Machine> {
    pub(crate) machine: M,
    pub(crate) plan: Plan,
    words: M::Words,
    tickets: M::Tickets,
    presence: Presence,
    /// Workers that have begun.
    begun: AtomicU32,
    /// Times a worker came to meet the others.
    met: AtomicU32,
    started_ns: AtomicU64,
    ended_ns: AtomicU64,
    before: EngineCounters,
    pub(crate) hold: Hold,
    first_timeout: FirstReport,
}

impl<M: Machine> Storm<M> {
    /// Counters a storm of `plan` takes.
    pub fn words_for(plan: &Plan) -> usize {
        Ledger::words_for(plan.count, plan.cpus().last().unwrap_or(0))
    }

    /// Tickets it takes.
    pub fn tickets_for(plan: &Plan) -> usize {
        plan.count * TICKETS
    }

    /// A storm that has not begun. None: `words` or `tickets` are too few. Task context.
    pub fn new(machine: M, plan: Plan, words: M::Words, tickets: M::Tickets) -> Option<Self> {
        if words.len() < Self::words_for(&plan) || tickets.len() < Self::tickets_for(&plan) {
            return None;
        }
        let ledger = Ledger::new(&words, plan.count);
        for (worker, cpu) in plan.cpus().enumerate() {
            ledger.place(worker, cpu);
        }
        for number in 0..MAX_DOORBELLS {
            let mut buckets = [0; LATENCY_BUCKETS];
            if machine.doorbell_latency(number, &mut buckets).is_some() {
                for (kept, calls) in ledger.snapshot(number).iter().zip(buckets) {
                    kept.store(calls, Relaxed);
                }
            }
        }
        Some(Self {
            presence: Presence::new(),
            begun: AtomicU32::new(0),
            met: AtomicU32::new(0),
            started_ns: AtomicU64::new(0),
            ended_ns: AtomicU64::new(0),
            before: machine.engine_counters(),
            hold: Hold::new(),
            first_timeout: FirstReport::new(),
            machine,
            plan,
            words,
            tickets,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub(crate) fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.words, self.plan.count)
    }

    pub(crate) fn worker_of(&self, cpu: u32) -> Option<usize> {
        self.ledger().worker(cpu)
    }

    pub(crate) fn cpu_of(&self, worker: usize) -> u32 {
        self.ledger().cpu(worker)
    }

    pub(crate) fn tickets_of(&self, worker: usize) -> &[Ticket] {
        &self.tickets[worker * TICKETS..][..TICKETS]
    }

    /// A random number below `bound`. Any context.
    pub(crate) fn random(&self, worker: usize, bound: u64) -> u64 {
        let draw = self.ledger().of(worker, Count::Draws).fetch_add(1, Relaxed);
        let seed = self.plan.seed ^ (worker as u64).rotate_left(40);
        splitmix64(seed.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15))) % bound.max(1)
    }

    /// Ends the storm soon. Any context.
    pub fn stop(&self) {
        if self.presence.end() {
            self.ended_ns.fetch_max(self.machine.now_ns(), Relaxed);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.presence.is_ended()
    }

    /// The first time a worker comes: waits for the others a while, so that they begin together.
    pub(crate) fn begin(&self, worker: usize) {
        if self.ledger().of(worker, Count::Begun).swap(1, Relaxed) != 0 {
            return;
        }
        self.begun.fetch_add(1, AcqRel);
        let give_up_ns = self.machine.now_ns() + MEET_NS;
        while (self.begun.load(Acquire) as usize) < self.plan.count
            && !self.is_stopping()
            && !self.machine.is_called_away()
            && self.machine.now_ns() < give_up_ns
        {
            self.machine.breathe();
        }
        let now_ns = self.machine.now_ns();
        let _ = self
            .started_ns
            .compare_exchange(0, now_ns, Relaxed, Relaxed);
    }

    /// Spins until all workers have come here as often as this one, or have not for a while.
    pub(crate) fn meet(&self) {
        let workers = (self.plan.count as u32).max(1);
        let round = self.met.fetch_add(1, AcqRel) / workers;
        let give_up_ns = self.machine.now_ns() + MEET_NS;
        while self.met.load(Acquire) < (round + 1) * workers
            && !self.is_stopping()
            && self.machine.now_ns() < give_up_ns
        {
            self.machine.relax();
        }
    }

    /// A worker begins to make calls. False: the storm is over.
    pub(crate) fn enter(&self) -> bool {
        self.presence.enter()
    }

    /// A worker that entered makes no more calls.
    pub(crate) fn leave(&self) {
        self.ended_ns.fetch_max(self.machine.now_ns(), Relaxed);
        self.presence.leave();
    }

    /// Whether workers make calls, or may yet. Any context.
    pub fn is_running(&self) -> bool {
        // When all are away, nobody else sees that the time is over.
        let _ = self.is_over();
        !self.presence.is_deserted()
    }

    /// Waits until every posted call has run. Task context, after all workers have returned.
    pub fn flush(&self, within_ns: u64) -> bool {
        // Twice: a function that was posted may have posted on.
        self.machine.flush(within_ns) && self.machine.flush(within_ns)
    }

    /// Calls made so far, each target counted.
    pub fn calls(&self) -> u64 {
        self.ledger().sum(Count::Calls)
    }

    /// How long it has been going on, or went on.
    pub fn elapsed_ns(&self) -> u64 {
        let end_ns = match self.presence.is_deserted() {
            true => self.ended_ns.load(Relaxed),
            false => self.machine.now_ns(),
        };
        match self.started_ns.load(Relaxed) {
            0 => 0,
            started_ns => end_ns.saturating_sub(started_ns),
        }
    }

    /// Whether its time or its number of calls is over; once it is, it stays so.
    pub(crate) fn is_over(&self) -> bool {
        let plan = &self.plan;
        let over = self.is_stopping()
            || (plan.calls != 0 && self.calls() >= plan.calls)
            || (plan.duration_ns != 0 && self.elapsed_ns() >= plan.duration_ns);
        if over {
            self.stop();
        }
        over
    }

    /// Targets were silent; a masked CPU explains it of so many. Any context.
    pub(crate) fn note_timeout(&self, caller: usize, silence: &Silence, explained: u64) {
        let ledger = self.ledger();
        let silent = u64::from(silence.count);
        ledger.add(caller, Count::Timeouts, silent);
        ledger.add(caller, Count::Masked, explained);
        if !self.plan.faults.any() {
            let wrong = silent.saturating_sub(explained);
            ledger.add(caller, Count::WrongTimeouts, wrong);
        }
        self.first_timeout.note(self.cpu_of(caller), silence);
    }

    /// Calls of participant `caller` to others from number `first` on. Task context, after the
    /// workers have returned. None: there is no such caller.
    pub fn row(&self, caller: u32, first: u32) -> Option<Row> {
        let workers = self.plan.count;
        if caller as usize >= workers {
            return None;
        }
        let mut row = Row {
            size: size_of::<Row>() as u32,
            caller,
            first,
            participants: workers as u32,
            cpu: self.cpu_of(caller as usize),
            ..Row::default()
        };
        let targets = (first as usize..workers).take(PAIRS);
        let places = row.cpus.iter_mut().zip(&mut row.pairs);
        for (target, (cpu, pair)) in targets.zip(places) {
            *cpu = self.cpu_of(target);
            *pair = self.ledger().pair(caller as usize, target);
            row.count += 1;
        }
        Some(row)
    }

    /// How long calls took, since the storm was made, that rang doorbell `number` last. Task context.
    /// None past the last.
    pub fn latency(&self, number: u32) -> Option<Latency> {
        if number as usize >= MAX_DOORBELLS {
            return None;
        }
        let mut buckets = [0; LATENCY_BUCKETS];
        let name = self
            .machine
            .doorbell_latency(number as usize, &mut buckets)?;
        let before = self.ledger().snapshot(number as usize);
        for (calls, before) in buckets.iter_mut().zip(before) {
            *calls = calls.saturating_sub(before.load(Relaxed));
        }
        Some(Latency {
            size: size_of::<Latency>() as u32,
            number,
            name,
            buckets,
        })
    }

    /// What came of it. Task context, after [`Storm::flush`].
    pub fn totals(&self, doorbells: [u8; NAMES]) -> Totals {
        let ledger = self.ledger();
        let (missing, duplicated) = ledger.differences();
        let engine = self.machine.engine_counters();
        let since =
            |count: fn(&EngineCounters) -> u64| count(&engine).saturating_sub(count(&self.before));
        let ended = since(|c| c.run) + since(|c| c.withdrawn);
        let waits = ledger.waits();
        let mut first_timeout = self.first_timeout.get();
        self.machine.entry_name(&mut first_timeout.function);
        Totals {
            size: size_of::<Totals>() as u32,
            cpus: self.plan.count as u32,
            elapsed_ns: self.elapsed_ns(),
            calls: self.calls(),
            // Not run when it returned, or never: those that ran late show in the first only.
            lost: missing.max(ledger.sum(Count::Lost)),
            duplicated,
            wrong_timeouts: ledger.sum(Count::WrongTimeouts),
            timeouts: ledger.sum(Count::Timeouts),
            busy: ledger.sum(Count::Busy),
            offline: ledger.sum(Count::Offline),
            refused: ledger.sum(Count::Refused),
            from_nmi: ledger.sum(Count::FromNmi),
            masked: ledger.sum(Count::Masked),
            unbalanced: since(|c| c.made).abs_diff(ended),
            rings: since(|c| c.rings),
            rings_saved: since(|c| c.rings_saved),
            rerings: since(|c| c.rerings),
            escalations: since(|c| c.escalations),
            deepest: engine.deepest,
            faults: self.machine.faults(),
            p50_ns: waits.percentile_ns(50),
            p99_ns: waits.percentile_ns(99),
            max_ns: waits.longest_ns(),
            first_timeout,
            doorbells,
        }
    }
}

/// How many workers make calls, and whether the storm has ended, in one word: none begins to after
/// the last has left.
#[derive(Debug)]
struct Presence(AtomicU32);

const ENDED: u32 = 1 << 31;

impl Presence {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// False: it has ended.
    fn enter(&self) -> bool {
        let ended = self.0.fetch_add(1, AcqRel) & ENDED != 0;
        if ended {
            self.leave();
        }
        !ended
    }

    fn leave(&self) {
        self.0.fetch_sub(1, AcqRel);
    }

    /// True: it had not ended before.
    fn end(&self) -> bool {
        self.0.fetch_or(ENDED, AcqRel) & ENDED == 0
    }

    fn is_ended(&self) -> bool {
        self.0.load(Relaxed) & ENDED != 0
    }

    /// Acquire, pairs with `leave`: what the workers did is seen.
    fn is_deserted(&self) -> bool {
        self.0.load(Acquire) == ENDED
    }
}

fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The first timeout: whoever takes `state` from 0 to 1 writes it.
#[derive(Debug)]
struct FirstReport {
    state: AtomicU32,
    cpu: AtomicU32,
    silent: AtomicU32,
    caller: AtomicU32,
    age_ns: AtomicU64,
    last_doorbell: [AtomicU32; NAME / 4],
}

impl FirstReport {
    const fn new() -> Self {
        Self {
            state: AtomicU32::new(0),
            cpu: AtomicU32::new(0),
            silent: AtomicU32::new(0),
            caller: AtomicU32::new(0),
            age_ns: AtomicU64::new(0),
            last_doorbell: [const { AtomicU32::new(0) }; NAME / 4],
        }
    }

    fn note(&self, caller: u32, silence: &Silence) {
        if self.state.compare_exchange(0, 1, Relaxed, Relaxed).is_err() {
            return;
        }
        self.cpu.store(silence.first, Relaxed);
        self.silent.store(silence.count, Relaxed);
        self.caller.store(caller, Relaxed);
        self.age_ns.store(silence.age_ns, Relaxed);
        let chunks = silence.last_doorbell.chunks_exact(4);
        for (word, chunk) in self.last_doorbell.iter().zip(chunks) {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(chunk);
            word.store(u32::from_ne_bytes(bytes), Relaxed);
        }
    }

    /// After the workers have ended.
    fn get(&self) -> FirstTimeout {
        let mut last_doorbell = [0; NAME];
        for (chunk, word) in last_doorbell.chunks_exact_mut(4).zip(&self.last_doorbell) {
            chunk.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        FirstTimeout {
            cpu: self.cpu.load(Relaxed),
            silent: self.silent.load(Relaxed),
            caller: self.caller.load(Relaxed),
            reserved: 0,
            age_ns: self.age_ns.load(Relaxed),
            last_doorbell,
            function: [0; FUNCTION],
        }
    }
}
