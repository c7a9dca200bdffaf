// SPDX-License-Identifier: GPL-2.0
//! Waiting calls: send, then wait until every target has ended or was withdrawn.
//!
//! A waiter answers its own mailbox: two CPUs that call each other, neither able to take a
//! doorbell, would otherwise wait for ever. At its deadline it withdraws the call from those
//! targets that have not started. The others have the argument in hand, so it waits for them.

use crate::call::{Error, Lane, Reached, Timeout, Work};
use crate::context::{Here, LEVELS};
use crate::cpu::{CpuId, CpuList, CpuSet, CpuSetMut};
use crate::doorbell::Rung;
use crate::engine::{Engine, SlotId};
use crate::platform::Platform;
use crate::point::{reach, Point};
use crate::primitive::OwnCpu;
use crate::send::{Purpose, Ringing};
use crate::slot::{Job, Span};
use crate::targets::{Targets, Whom};

/// The longest time between two rings at the same target, in nanoseconds.
const RING_AGAIN_MOST_NS: u64 = 64_000_000;

/// A wait nested in another has time for as many rings, in units of `ring_again_ns`, however little
/// is left of the other's.
pub(crate) const NESTED_RINGS: u64 = 16;

/// How many waiting calls may be nested at each context level. A nesting is a function that waits,
/// run by a wait: some 2 KiB of stack. An NMI has 8 KiB, an interrupt or a task 16 KiB on x86-64
/// (`arch/x86/include/asm/page_64_types.h`), of which a task may have used most.
pub const DEEPEST_WAITS: [u64; LEVELS] = [4, 4, 4, 2];

/// A waiting call under way.
struct Wait<'m, 's> {
    id: SlotId,
    /// What is left of its slot's `todo` to be seen empty.
    left: Span,
    lane: Lane,
    /// The doorbell last rung.
    rung: Rung,
    /// Whether stronger ones may be.
    climbs: bool,
    started_ns: u64,
    deadline_ns: u64,
    /// That of the wait it is nested in.
    outer_deadline_ns: u64,
    missed: &'m mut Missed<'s>,
}

/// Targets that did not and will not run a call.
struct Missed<'s> {
    offline: CpuList,
    silent: CpuList,
    all: Option<CpuSetMut<'s>>,
    /// If any is silent, what else a caller is told.
    timeout: Option<TimedOut>,
}

/// What is known of a timeout beside whom it missed.
struct TimedOut {
    caller: CpuId,
    age_ns: u64,
    rung: Rung,
    ran: u32,
}

/// Why a call did not do all it was asked: an [`Error`] small enough to be handed up at every call.
enum Failure {
    TimedOut,
    Busy,
    Context,
    NoDoorbell,
}

impl<'s> Missed<'s> {
    #[inline]
    fn new(all: Option<CpuSetMut<'s>>) -> Self {
        Self {
            offline: CpuList::new(),
            silent: CpuList::new(),
            all,
            timeout: None,
        }
    }

    fn offline(&mut self, cpu: CpuId) {
        self.offline.push(cpu);
        self.note(cpu);
    }

    fn silent(&mut self, cpu: CpuId) {
        self.silent.push(cpu);
        self.note(cpu);
    }

    fn note(&mut self, cpu: CpuId) {
        if let Some(all) = &mut self.all {
            all.insert(cpu);
        }
    }

    fn count(&self) -> u32 {
        self.offline.count() + self.silent.count()
    }
}

impl<P: Platform> Engine<P> {
    /// Runs `work` on `cpu` and waits until it is done.
    ///
    /// NMI-safe work: any context. Ordinary work: a task or softirq with interrupts on.
    ///
    /// # Errors
    ///
    /// [`Error`]; whichever it is, `cpu` did not and will not run the work.
    pub fn call(&self, cpu: CpuId, work: Work<'_>) -> Result<(), Error> {
        let ran = self.call_whom(Whom::One(cpu), &work, &mut Missed::new(None))?;
        if ran == 0 {
            return Err(Error::Offline);
        }
        Ok(())
    }

    /// Runs `work` on each of `targets`, the caller's own CPU among them or not, and waits until
    /// all are done. Returns which were offline; `missed`, if given, receives all that did not and
    /// will not run the work, whether offline or silent.
    ///
    /// Contexts as for [`Engine::call`].
    ///
    /// # Errors
    ///
    /// [`Error`]. `Timeout` says what was reached all the same; with any other nothing was sent.
    pub fn call_many(
        &self,
        targets: CpuSet<'_>,
        work: Work<'_>,
        missed: Option<CpuSetMut<'_>>,
    ) -> Result<Reached, Error> {
        let mut missed = Missed::new(missed);
        let ran = self.call_whom(Whom::Set(targets), &work, &mut missed)?;
        Ok(Reached {
            ran,
            offline: missed.offline,
        })
    }

    /// Runs `work` on every CPU that is online, the caller's own too, and waits until all are done.
    ///
    /// Contexts and errors as for [`Engine::call_many`]; CPUs that are offline are not reported.
    pub fn call_all(&self, work: Work<'_>) -> Result<Reached, Error> {
        let offline = CpuList::new();
        match self.call_whom(Whom::All, &work, &mut Missed::new(None)) {
            Ok(ran) => Ok(Reached { ran, offline }),
            Err(Error::Timeout(mut timeout)) => {
                timeout.reached.offline = offline;
                Err(Error::Timeout(timeout))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns how many targets ran the work.
    #[inline]
    fn call_whom(
        &self,
        whom: Whom<'_>,
        work: &Work<'_>,
        missed: &mut Missed<'_>,
    ) -> Result<u32, Error> {
        if self.is_halted() {
            return Err(Error::Offline);
        }
        self.pinned(|here| self.call_here(here, whom, work, missed))
            .map_err(|failure| self.error(failure, work, missed))
    }

    #[cold]
    fn error(&self, failure: Failure, work: &Work<'_>, missed: &Missed<'_>) -> Error {
        match (failure, &missed.timeout) {
            (Failure::TimedOut, Some(timeout)) => Error::Timeout(Timeout {
                silent: missed.silent,
                caller: timeout.caller,
                function: work.entry as usize,
                age_ns: timeout.age_ns,
                last_doorbell: self.ladder.name(timeout.rung),
                reached: Reached {
                    ran: timeout.ran,
                    offline: missed.offline,
                },
            }),
            (Failure::TimedOut, None) => Error::Offline,
            (Failure::Busy, _) => Error::Busy,
            (Failure::Context, _) => Error::Context,
            (Failure::NoDoorbell, _) => Error::NoDoorbell,
        }
    }

    #[inline]
    fn call_here(
        &self,
        here: &Here,
        whom: Whom<'_>,
        work: &Work<'_>,
        missed: &mut Missed<'_>,
    ) -> Result<u32, Failure> {
        if !here.may_run(work.lane) {
            return Err(Failure::Context);
        }
        let others = Targets::new(whom, self.config.cpus, Some(here.cpu()));
        if others.len() == 0 {
            Targets::absent(whom, self.config.cpus, |cpu| missed.offline(cpu));
            return Ok(self.run_own_part(here, whom, work));
        }
        let rung = match work.through {
            None => self.ladder.at_least(here, work.lane, 0),
            Some(rung) => self.ladder.alone(here, work.lane, rung),
        };
        let rung = rung.ok_or(Failure::NoDoorbell)?;
        let own = self.own(here);
        let waiting = &own.waiting[here.level() as usize];
        let depth = waiting.get();
        if depth >= DEEPEST_WAITS[here.level() as usize] {
            self.count_busy(here);
            return Err(Failure::Busy);
        }
        let Some(id) = self.claim(here, Purpose::Wait) else {
            self.count_busy(here);
            return Err(Failure::Busy);
        };
        let started_ns = self.platform.now_ns();
        let deadline = &own.deadline_ns[here.level() as usize];
        let outer_deadline_ns = deadline.get();
        let mut wait = Wait {
            id,
            left: others.span(),
            lane: work.lane,
            rung,
            climbs: work.through.is_none(),
            started_ns,
            deadline_ns: self.deadline(here, work, started_ns, outer_deadline_ns),
            outer_deadline_ns,
            missed,
        };

        deadline.set(wait.deadline_ns);
        waiting.set(depth + 1);
        own.counters
            .deepest
            .raise_to(own.waiting.iter().map(OwnCpu::get).sum());

        let ringing = Ringing {
            rung: Some(rung),
            again: wait.deadline_ns.saturating_sub(started_ns) > self.config.ring_again_ns,
        };
        let sent = self.send(here, id, work, &others, ringing, &mut |cpu| {
            wait.missed.offline(cpu)
        });
        let ran_here = self.run_own_part(here, whom, work);
        self.wait(here, &mut wait);

        waiting.set(depth);
        deadline.set(outer_deadline_ns);
        self.release(here, id);
        self.tend_here(here);

        let age_ns = self.platform.now_ns().saturating_sub(started_ns);
        own.counters.count_latency(wait.rung, age_ns);
        let ran = ran_here + sent.targeted - wait.missed.count();
        Targets::absent(whom, self.config.cpus, |cpu| wait.missed.offline(cpu));
        if wait.missed.silent.is_empty() {
            return Ok(ran);
        }
        own.counters.count(&own.counters.timeouts, 1);
        wait.missed.timeout = Some(TimedOut {
            caller: here.cpu(),
            age_ns,
            rung: wait.rung,
            ran,
        });
        Err(Failure::TimedOut)
    }

    /// Runs the work here, if the caller means its own CPU too; returns how often.
    fn run_own_part(&self, here: &Here, whom: Whom<'_>, work: &Work<'_>) -> u32 {
        if !Targets::means(whom, here.cpu()) {
            return 0;
        }
        self.own(here).counters.count_made(1);
        let irqs = self.platform.irqs_off();
        self.run(self.own(here), Job::of(work));
        self.platform.irqs_restore(irqs);
        1
    }

    /// When a wait that begins now must be over: its own limit, that of its context, and that of the
    /// wait on the same level that it is nested in, which cannot return before the function that
    /// makes this call has. What interrupted that wait has limits of its own.
    ///
    /// The function may be anybody's, and its targets well: it has time for some rings all the same.
    fn deadline(&self, here: &Here, work: &Work<'_>, now_ns: u64, outer_ns: u64) -> u64 {
        let within_ns = work.within_ns.unwrap_or(self.config.deadline_ns);
        let longest_ns = if here.in_nmi() {
            self.config.nmi_deadline_ns
        } else if here.irqs_on() {
            self.config.irqs_on_deadline_ns
        } else {
            self.config.irqs_off_deadline_ns
        };
        let least_ns =
            now_ns.saturating_add(NESTED_RINGS.saturating_mul(self.config.ring_again_ns));
        now_ns
            .saturating_add(within_ns.min(longest_ns))
            .min(outer_ns.max(least_ns))
    }

    #[inline]
    fn wait(&self, here: &Here, wait: &mut Wait<'_, '_>) {
        let slot = self.slot(wait.id);
        let mut interval_ns = self.config.ring_again_ns;
        let mut ring_again_ns = wait.started_ns.saturating_add(interval_ns);
        for turn in 0.. {
            if slot.is_ended(&mut wait.left) {
                return;
            }
            self.answer_while_waiting(here, turn == 0);
            reach(Point::WaitPolled);
            if slot.is_ended(&mut wait.left) {
                return;
            }
            let now_ns = self.platform.now_ns();
            if now_ns >= wait.deadline_ns {
                self.withdraw(here, wait);
                // Those left have started: they end. What this wait runs meanwhile may be others'
                // functions, which need not hurry for it any more.
                wait.deadline_ns = u64::MAX;
                self.own(here).deadline_ns[here.level() as usize].set(wait.outer_deadline_ns);
                ring_again_ns = u64::MAX;
                continue;
            }
            if now_ns >= ring_again_ns {
                let missed = wait.missed.count();
                self.climb(here, wait);
                interval_ns = interval_ns.saturating_mul(2).min(RING_AGAIN_MOST_NS);
                ring_again_ns = now_ns.saturating_add(interval_ns);
                if wait.missed.count() != missed {
                    continue;
                }
            }
            self.platform.relax(here, turn);
        }
    }

    /// Answers this CPU's mailboxes, as far as the waiter's context allows.
    pub(crate) fn answer_while_waiting(&self, here: &Here, first: bool) {
        for lane in Lane::ALL {
            if !here.may_run(lane) {
                continue;
            }
            // A drain below us on the stack has cleared the summary and may hold calls it named:
            // look into the words, once; what comes later raises the summary again.
            let interrupted_drain = first && self.own(here).draining[lane.index()].get() != 0;
            if interrupted_drain || self.mailbox(here.cpu(), lane).is_raised() {
                self.drain(here, lane);
            }
        }
    }

    /// Rings again, with the next stronger doorbell if there is one.
    fn climb(&self, here: &Here, wait: &mut Wait<'_, '_>) {
        let above = |rung: Rung| self.ladder.at_least(here, wait.lane, rung + 1);
        if let Some(stronger) = above(wait.rung).filter(|_| wait.climbs) {
            let counters = &self.own(here).counters;
            counters.count(&counters.escalations, 1);
            wait.rung = stronger;
        }
        let (id, lane, rung) = (wait.id, wait.lane, wait.rung);
        let mut offline = |cpu| wait.missed.offline(cpu);
        self.ring_unstarted(here, id, id, lane, rung, Some(&mut offline));
    }

    /// Takes the call back from every target that has not started.
    fn withdraw(&self, here: &Here, wait: &mut Wait<'_, '_>) {
        let slot = self.slot(wait.id);
        let bit = self.call_bit(wait.id);
        let mut withdrawn = 0;
        for cpu in slot.unended() {
            if self.mailbox(cpu, wait.lane).withdraw(bit) {
                slot.forgo(cpu);
                wait.missed.silent(cpu);
                withdrawn += 1;
            }
        }
        self.own(here).counters.count_withdrawn(withdrawn);
    }
}
