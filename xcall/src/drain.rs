// SPDX-License-Identifier: GPL-2.0
//! Draining: running the calls in this CPU's mailboxes.

use crate::call::Lane;
use crate::context::{Here, Level};
use crate::cpu::CpuId;
use crate::engine::{Engine, Own, SlotId};
use crate::mailbox::Claimed;
use crate::platform::Platform;
use crate::point::{reach, Point};
use crate::slot::Job;

impl<P: Platform> Engine<P> {
    /// Runs the calls waiting for this CPU in `lanes`; returns how many. What a doorbell's handler
    /// calls.
    ///
    /// Any context. The handler of an NMI names [`Lane::NmiSafe`], that of a maskable doorbell both:
    /// it could only come while interrupts were on, so no code below it holds a lock with interrupts
    /// off. [`Lane::Ordinary`] is left out, whoever names it, in an NMI, with interrupts off in a
    /// task or softirq, and inside an ordinary call.
    pub fn answer(&self, lanes: &[Lane]) -> u32 {
        self.pinned(|here| {
            let mut ran = 0;
            for &lane in lanes {
                if here.may_run(lane) || self.is_handler(here) {
                    ran += self.drain(here, lane);
                }
            }
            self.tend_here(here);
            ran
        })
    }

    /// Whether this can be a maskable doorbell's handler: a hard interrupt, not within a drain of
    /// ordinary calls, which keeps interrupts off.
    fn is_handler(&self, here: &Here) -> bool {
        here.level() == Level::HardIrq && self.own(here).draining[Lane::Ordinary.index()].get() == 0
    }

    /// Runs the calls of one lane that its summary names; returns how many.
    ///
    /// A drain that interrupted another on this CPU looks into every word instead: the other has
    /// cleared the summary and may hold calls it named.
    #[inline]
    pub(crate) fn drain(&self, here: &Here, lane: Lane) -> u32 {
        let nested = self.own(here).draining[lane.index()].get() != 0;
        self.drain_how(here, lane, nested)
    }

    /// Runs every call of one lane, whatever its summary names; returns how many.
    pub(crate) fn scan(&self, here: &Here, lane: Lane) -> u32 {
        self.drain_how(here, lane, true)
    }

    fn drain_how(&self, here: &Here, lane: Lane, every_word: bool) -> u32 {
        let mailbox = self.mailbox(here.cpu(), lane);
        let own = self.own(here);
        let draining = &own.draining[lane.index()];
        // In a handler they are off already.
        let irqs = here.irqs_on().then(|| self.platform.irqs_off());
        let depth = draining.get();
        draining.set(depth + 1);
        reach(Point::DrainBegun);
        let run = |claimed: Claimed| self.run_claimed(here, own, claimed);
        let ran = if every_word {
            mailbox.scan(run)
        } else {
            mailbox.drain(run)
        };
        draining.set(depth);
        reach(Point::DrainDone);
        if let Some(irqs) = irqs {
            self.platform.irqs_restore(irqs);
        }
        ran
    }

    #[inline]
    fn run_claimed(&self, here: &Here, own: &Own, claimed: Claimed) {
        let id = SlotId {
            cpu: CpuId(claimed.sender as u32),
            slot: claimed.slot,
        };
        let slot = self.slot(id);
        // SAFETY: the mailbox hands out a claim once, after taking the call bit down; it is ended
        // below and not used after that.
        if let Some(job) = unsafe { slot.job() } {
            self.run(own, job);
        }
        slot.end(here.cpu());
        self.platform.completed(id.cpu);
    }

    /// Runs one function, interrupts off already.
    #[inline]
    pub(crate) fn run(&self, own: &Own, job: Job) {
        // SAFETY: Work::new's caller promised that this is sound on any CPU with interrupts and
        // preemption off, in this lane's contexts; the argument lives, because the caller waits
        // until this call ends, or posted it with `'static`.
        unsafe { (job.entry)(job.arg) };
        own.counters.count_run();
    }
}
