// SPDX-License-Identifier: GPL-2.0
//! Posted calls: sent and not waited for. Nobody spins for them, so somebody must look after them:
//! every call and every answer on their CPU, and the platform's timer, ring again at their targets.

use crate::call::{Error, Work};
use crate::context::Here;
use crate::cpu::{CpuId, CpuSet, CpuSetMut};
use crate::engine::{Engine, SlotId};
use crate::platform::Platform;
use crate::send::{Purpose, Ringing};
use crate::slot::{Job, RESERVED, SLOTS};
use crate::targets::{Targets, Whom};

impl<P: Platform> Engine<P> {
    /// Sends `work` to `cpu` and returns. It runs there once, soon.
    ///
    /// Any context, both lanes. A call to the caller's own CPU runs at once where it may.
    ///
    /// # Errors
    ///
    /// [`Error::Offline`], [`Error::Busy`], [`Error::NoDoorbell`]: it was not sent.
    pub fn post(&self, cpu: CpuId, work: Work<'static>) -> Result<(), Error> {
        match self.post_whom(Whom::One(cpu), &work, None)? {
            0 => Err(Error::Offline),
            _ => Ok(()),
        }
    }

    /// Sends `work` to each of `targets` and returns how many it was sent to; `missed`, if given,
    /// receives those that were offline.
    ///
    /// Any context, both lanes.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], [`Error::NoDoorbell`], or [`Error::Offline`] after [`Engine::halt`]: nothing
    /// was sent.
    pub fn post_many(
        &self,
        targets: CpuSet<'_>,
        work: Work<'static>,
        missed: Option<CpuSetMut<'_>>,
    ) -> Result<u32, Error> {
        self.post_whom(Whom::Set(targets), &work, missed)
    }

    fn post_whom(
        &self,
        whom: Whom<'_>,
        work: &Work<'static>,
        mut missed: Option<CpuSetMut<'_>>,
    ) -> Result<u32, Error> {
        if self.is_halted() {
            return Err(Error::Offline);
        }
        self.pinned(|here| {
            self.post_here(here, whom, work, &mut |cpu| {
                if let Some(set) = &mut missed {
                    set.insert(cpu);
                }
            })
        })
    }

    fn post_here(
        &self,
        here: &Here,
        whom: Whom<'_>,
        work: &Work<'static>,
        offline: &mut impl FnMut(CpuId),
    ) -> Result<u32, Error> {
        // Our own part runs here and now, or goes through the mailbox where it may not.
        let runs_here = Targets::means(whom, here.cpu()) && here.may_run(work.lane);
        let mailed = Targets::new(whom, self.config.cpus, runs_here.then_some(here.cpu()));
        let mut sent = 0;
        if mailed.len() != 0 {
            if !self.ladder.has_any(work.lane) {
                return Err(Error::NoDoorbell);
            }
            let Some(id) = self.claim(here, Purpose::Post) else {
                self.count_busy(here);
                return Err(Error::Busy);
            };
            let rung = self.ladder.at_least(here, work.lane, 0);
            let slot = self.slot(id);
            slot.lane.set(work.lane as u64);
            slot.rung.set(rung.unwrap_or(0) as u64);
            let mut missed = 0;
            let ringing = Ringing { rung, again: true };
            let mail = self.send(here, id, work, &mailed, ringing, &mut |cpu| {
                missed += 1;
                offline(cpu);
            });
            sent = mail.targeted - missed;
            // A ring that could not be rung from here is overdue at once.
            let ring_again_ns = if mail.all_rung {
                let now_ns = self.platform.now_ns();
                now_ns.saturating_add(self.config.ring_again_ns)
            } else {
                0
            };
            slot.ring_again_ns.set(ring_again_ns);
            self.own(here).posted.set_bit(id.slot);
            if !slot.is_ended(&mut slot.span()) {
                self.platform.watch_posts(here);
            }
        }
        Targets::absent(whom, self.config.cpus, offline);
        if runs_here {
            self.own(here).counters.count_made(1);
            let irqs = self.platform.irqs_off();
            self.run(self.own(here), Job::of(work));
            self.platform.irqs_restore(irqs);
            sent += 1;
        }
        Ok(sent)
    }

    /// Looks after this CPU's posted calls: rings again where a target is overdue, and gives back
    /// the slots of those that have ended. Returns when to come again, in the platform's
    /// nanoseconds; None if nothing is under way.
    ///
    /// What the platform's timer calls, see [`Platform::watch_posts`]. Any context.
    pub fn tend(&self) -> Option<u64> {
        self.pinned(|here| self.tend_here(here))
    }

    #[inline]
    pub(crate) fn tend_here(&self, here: &Here) -> Option<u64> {
        let own = self.own(here);
        let looking = own.looking.get();
        if own.posted.get() == 0 && looking == 0 {
            return None;
        }
        self.tend_posts(here, looking)
    }

    /// `looking`: looks under way below this one.
    fn tend_posts(&self, here: &Here, looking: u64) -> Option<u64> {
        let own = self.own(here);
        own.looking.set(looking + 1);
        let now_ns = self.platform.now_ns();
        let later_ns = now_ns.saturating_add(self.config.ring_again_ns);
        // Somebody below us on this CPU holds marks: those calls may be under way.
        let mut next_ns = (looking != 0).then_some(later_ns);
        for slot in RESERVED..SLOTS {
            let id = SlotId {
                cpu: here.cpu(),
                slot,
            };
            // While the mark is ours, nobody else on this CPU uses the slot.
            if !own.posted.clear_bit(slot) {
                continue;
            }
            if self.has_ended(id) {
                self.release(here, id);
                continue;
            }
            let due_ns = self.tend_post(here, id, now_ns);
            own.posted.set_bit(slot);
            next_ns = Some(next_ns.map_or(due_ns, |n: u64| n.min(due_ns)));
        }
        own.looking.set(looking);
        next_ns
    }

    /// Rings again at the targets of a posted call if it is time; returns when it will be.
    fn tend_post(&self, here: &Here, id: SlotId, now_ns: u64) -> u64 {
        let slot = self.slot(id);
        let due_ns = slot.ring_again_ns.get();
        if now_ns < due_ns {
            return due_ns;
        }
        let lane = slot.lane();
        let rung = slot.rung.get() as usize;
        // Rung before and not heard: the next stronger one, if there is one. Never rung: the weakest.
        let stronger = rung + usize::from(due_ns != 0);
        let rung = [stronger, rung, 0]
            .into_iter()
            .find_map(|from| self.ladder.at_least(here, lane, from));
        let Some(rung) = rung else {
            return now_ns.saturating_add(self.config.ring_again_ns);
        };
        slot.rung.set(rung as u64);
        // Where a target has closed its mailbox since, it runs the call in the scan that follows: the
        // post found it open. To withdraw would lose a call that was sent.
        self.ring_unstarted(here, id, id, lane, rung, None);
        let due_ns = now_ns.saturating_add(self.config.ring_again_ns);
        slot.ring_again_ns.set(due_ns);
        due_ns
    }
}
