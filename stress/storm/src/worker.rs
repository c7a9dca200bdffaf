// SPDX-License-Identifier: GPL-2.0
//! A worker: what one CPU of a storm does, turn after turn.

use crate::ledger::Count;
use crate::machine::{Failure, Lane, Machine};
use crate::plan::{contains, members};
use crate::storm::Storm;
use crate::ticket::Action;
use core::sync::atomic::Ordering::Relaxed;
use xcall_stress_protocol::{Pattern, CPU_WORDS};

/// Calls in a row with interrupts off, and for how long at most.
const BURST: u64 = 8;
const BURST_NS: u64 = 5_000_000;

/// The longest a target spins with interrupts off.
const SPIN_NS: u64 = 200_000;

/// A worker's own words, on its thread's stack.
struct Worker {
    me: usize,
    turn: u64,
    targets: [u64; CPU_WORDS],
    missed: [u64; CPU_WORDS],
}

impl<M: Machine> Storm<M> {
    /// Runs worker `me`, on its CPU, in a task, until the storm is over or the machine calls it
    /// away.
    pub fn work(&self, me: usize) {
        self.begin(me);
        if !self.enter() {
            return;
        }
        let turns = self.ledger().of(me, Count::Turns);
        let mut worker = Worker {
            me,
            turn: turns.load(Relaxed),
            targets: [0; CPU_WORDS],
            missed: [0; CPU_WORDS],
        };
        while !self.is_over() && !self.machine.is_called_away() {
            self.turn(&mut worker);
            worker.turn += 1;
            self.reclaim(me);
            self.machine.breathe();
        }
        turns.store(worker.turn, Relaxed);
        if self.is_over() {
            self.wait_within(|| self.reclaim(me) == 0 || self.machine.is_called_away());
        }
        self.leave();
    }

    /// As [`Storm::work`], for the worker on `cpu`, if there is one.
    pub fn work_on(&self, cpu: u32) {
        if let Some(me) = self.worker_of(cpu) {
            self.work(me);
        }
    }

    /// Whether `cpu` has a worker with anything left to do. Any context.
    pub fn wants_worker(&self, cpu: u32) -> bool {
        !self.is_stopping() && self.worker_of(cpu).is_some()
    }

    fn turn(&self, worker: &mut Worker) {
        let me = worker.me;
        let plan = &self.plan;
        if plan.targets_irqs_off && self.random(me, 4) == 0 {
            self.spin_with_irqs_off(me);
        }
        if let Some(cpu) = plan.mask_target {
            if cpu == self.cpu_of(me) {
                return;
            }
            // The first of the others masks it now and then.
            let target = self.worker_of(cpu).unwrap_or(me);
            if me == usize::from(target == 0) && worker.turn % 256 == 0 {
                return self.mask_once(me, target);
            }
        }
        if plan.no_self_drain {
            return self.machine.irqs_off(|| self.wait_without_draining(me));
        }
        match plan.callers_irqs_off {
            true => self.machine.irqs_off(|| self.burst(worker)),
            false => self.blow(worker, plan.pattern),
        }
    }

    fn burst(&self, worker: &mut Worker) {
        let end_ns = self.machine.now_ns() + BURST_NS;
        for _ in 0..BURST {
            self.blow(worker, self.plan.pattern);
            worker.turn += 1;
            if self.machine.now_ns() >= end_ns {
                break;
            }
        }
    }

    /// One call, or one round of them.
    fn blow(&self, worker: &mut Worker, pattern: Pattern) {
        let (me, turn) = (worker.me, worker.turn);
        let count = self.plan.count;
        // Ordinary calls in turn with the others, where a doorbell serves them and we may wait.
        let ordinary = self.plan.ordinary && turn % 2 == 1;
        let lane = match ordinary && !self.plan.callers_irqs_off {
            true => Lane::Ordinary,
            false => Lane::NmiSafe,
        };
        match pattern {
            Pattern::AllToAll => {
                let to = self.around(me + 1 + (turn / 2) as usize % (count - 1).max(1));
                self.call_one(me, to, Action::Count, lane);
            }
            Pattern::Broadcast if self.plan.everybody && turn % 4 == 3 => {
                self.call_everybody(me, lane)
            }
            Pattern::Broadcast => self.call_set(worker, turn % 8 == 0, lane),
            Pattern::Pairs => {
                let to = if me ^ 1 < count { me ^ 1 } else { me };
                self.call_one(me, to, Action::Count, lane);
            }
            Pattern::Hotspot if me == 0 => self.spin_with_irqs_off(me),
            Pattern::Hotspot => self.call_one(me, 0, Action::Count, lane),
            Pattern::Nested => self.call_one(me, self.another(me), Action::OnwardTwice, lane),
            Pattern::FromNmi => self.call_from_nmis(me),
            Pattern::Posted => {
                // Posted ordinary calls are fine with interrupts off.
                let lane = if ordinary { Lane::Ordinary } else { lane };
                match turn % 16 {
                    0 => self.post_set(worker, lane),
                    n if n % 4 == 1 => self.post_one(me, self.another(me), Action::PostOn, lane),
                    _ => self.post_one(me, self.another(me), Action::Count, lane),
                }
            }
            Pattern::Mixed => {
                let n = self.random(me, Pattern::Mixed as u64) as u32;
                match Pattern::from_number(n) {
                    Some(Pattern::FromNmi) if !self.plan.from_nmi => {}
                    Some(pattern) => self.blow(worker, pattern),
                    None => {}
                }
            }
        }
    }

    /// Calls all others from an NMI of our own, and has others do so in theirs.
    fn call_from_nmis(&self, me: usize) {
        // A doorbell's own NMI.
        self.call_one(me, self.another(me), Action::OnwardInNmi, Lane::NmiSafe);
        if !self.machine.nmi(&|| self.call_others_from_nmi(me)) {
            self.ledger().add(me, Count::Refused, 1);
        }
    }

    fn spin_with_irqs_off(&self, me: usize) {
        let until_ns = self.machine.now_ns() + self.random(me, SPIN_NS);
        self.machine.irqs_off(|| {
            while self.machine.now_ns() < until_ns {
                self.machine.relax();
            }
        });
    }

    /// Whom a call to all others is for.
    fn fill_targets(&self, worker: &mut Worker, myself_too: bool) {
        worker.targets = self.plan.cpus;
        worker.missed = [0; CPU_WORDS];
        if !myself_too {
            let cpu = self.cpu_of(worker.me) as usize;
            worker.targets[cpu / 64] &= !(1 << (cpu % 64));
        }
    }

    #[inline(never)]
    fn call_set(&self, worker: &mut Worker, myself_too: bool, lane: Lane) {
        let me = worker.me;
        self.fill_targets(worker, myself_too);
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, Action::Count);
        let job = ticket.job::<M>(lane, self.plan.deadline_ns);
        let started_ns = self.machine.now_ns();
        let result = self
            .machine
            .call_many(&worker.targets, job, &mut worker.missed);
        let ledger = self.ledger();
        let silent = match result {
            Ok(_) => {
                ledger.took(me, self.machine.now_ns().saturating_sub(started_ns));
                0
            }
            Err(Failure::Timeout(silence)) => {
                let masked = self.plan.mask_target;
                let named = masked.is_some_and(|cpu| contains(&worker.missed, cpu));
                self.note_timeout(me, &silence, u64::from(named));
                u64::from(silence.count)
            }
            Err(failure) => {
                let targets = members(&worker.targets).count() as u64;
                self.note_refusal(me, failure, targets);
                return self.release(me, n);
            }
        };
        let owed = self.owe_all(worker);
        ledger.add(me, Count::Calls, owed + silent);
        ledger.add(me, Count::Lost, owed.saturating_sub(ticket.ran().into()));
        ledger.add(
            me,
            Count::Offline,
            (members(&worker.missed).count() as u64).saturating_sub(silent),
        );
        self.release(me, n);
    }

    /// Owes a run to each target that was not missed; returns how many.
    fn owe_all(&self, worker: &Worker) -> u64 {
        let mut owed = 0;
        for cpu in members(&worker.targets).filter(|cpu| !contains(&worker.missed, *cpu)) {
            if let Some(to) = self.worker_of(cpu) {
                self.ledger().owe(worker.me, to);
                owed += 1;
            }
        }
        owed
    }

    #[inline(never)]
    fn call_everybody(&self, me: usize, lane: Lane) {
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, Action::CountOnTicket);
        let job = ticket.job::<M>(lane, self.plan.deadline_ns);
        let started_ns = self.machine.now_ns();
        let ledger = self.ledger();
        let ran = match self.machine.call_all(job) {
            Ok(ran) => {
                ledger.took(me, self.machine.now_ns().saturating_sub(started_ns));
                ran
            }
            Err(Failure::Timeout(silence)) => {
                let masked = self.plan.mask_target == Some(silence.first);
                self.note_timeout(me, &silence, u64::from(masked));
                silence.ran
            }
            Err(failure) => {
                self.note_refusal(me, failure, self.plan.count as u64);
                0
            }
        };
        ledger.add(me, Count::Calls, ran.into());
        ledger.add(me, Count::Lost, ran.saturating_sub(ticket.ran()).into());
        self.release(me, n);
    }

    #[inline(never)]
    fn post_set(&self, worker: &mut Worker, lane: Lane) {
        let me = worker.me;
        self.fill_targets(worker, worker.turn % 32 == 0);
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, Action::Count);
        let job = ticket.job::<M>(lane, 0);
        let sent = self
            .machine
            .post_many(&worker.targets, job, &mut worker.missed);
        let ledger = self.ledger();
        match sent {
            Ok(sent) => {
                let owed = self.owe_all(worker);
                ledger.add(me, Count::Calls, owed);
                ledger.add(me, Count::Lost, owed.saturating_sub(sent.into()));
                let missed = members(&worker.missed).count() as u64;
                ledger.add(me, Count::Offline, missed);
                if sent != 0 {
                    return ticket.posted(sent);
                }
            }
            Err(failure) => {
                let targets = members(&worker.targets).count() as u64;
                self.note_refusal(me, failure, targets);
            }
        }
        self.release(me, n);
    }

    /// The contrast: posts, and spins on the ticket with interrupts off instead of waiting as xcall
    /// does. When all do so at a time, each waits for another and nobody answers.
    fn wait_without_draining(&self, me: usize) {
        let to = self.another(me);
        self.meet();
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, Action::Count);
        let job = ticket.job::<M>(Lane::NmiSafe, 0);
        let started_ns = self.machine.now_ns();
        if let Err(failure) = self.machine.post(self.cpu_of(to), job) {
            self.note_refusal(me, failure, 1);
            return self.release(me, n);
        }
        let ledger = self.ledger();
        ledger.add(me, Count::Calls, 1);
        ledger.owe(me, to);
        ticket.posted(1);
        loop {
            let age_ns = self.machine.now_ns().saturating_sub(started_ns);
            if ticket.ran() != 0 {
                return ledger.took(me, age_ns);
            }
            if age_ns >= self.plan.deadline_ns {
                let silence = crate::machine::Silence {
                    count: 1,
                    first: self.cpu_of(to),
                    age_ns,
                    ..Default::default()
                };
                return self.note_timeout(me, &silence, 0);
            }
            self.machine.relax();
        }
    }
}
