// SPDX-License-Identifier: GPL-2.0
//! Sending: claim a slot, fill it, publish it to every target, ring.
//!
//! From claim to ring the sender stays on its CPU. An interrupt or NMI may come between any two
//! steps and send too; it then finds a due bit of ours whose ring cannot come before it returns.
//! So a send inside a send always rings.

use crate::call::{Error, Lane, Work};
use crate::context::Here;
use crate::cpu::{cpus_of_word, CpuId, CpuSet, CpuSetMut};
use crate::doorbell::{Doorbell, Rung};
use crate::engine::{Engine, SlotId};
use crate::mailbox::Raised;
use crate::platform::Platform;
use crate::point::{reach, Point};
use crate::slot::{Job, RESERVED, SLOTS};
use crate::targets::Targets;

/// What a claimed slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A call whose caller waits: it may have the slot reserved for its level.
    Wait,
    /// A posted call.
    Post,
}

/// How a call is rung for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ringing {
    /// The doorbell; None: none can be rung from here.
    pub(crate) rung: Option<Rung>,
    /// Whether its targets are rung again while they stay silent. If not, no ring is saved: the one
    /// that is due may have been lost.
    pub(crate) again: bool,
}

/// What a send did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// To how many targets the call was addressed, offline ones among them.
    pub(crate) targeted: u32,
    /// Whether every ring that was owed was rung.
    pub(crate) all_rung: bool,
}

impl<P: Platform> Engine<P> {
    /// Claims a call slot of this CPU, or None: all that `purpose` may use are taken.
    pub(crate) fn claim(&self, here: &Here, purpose: Purpose) -> Option<SlotId> {
        let own = self.own(here);
        let id = |slot| SlotId {
            cpu: here.cpu(),
            slot,
        };
        if purpose == Purpose::Wait {
            let reserved = here.level() as usize;
            if !own.claimed.set_bit(reserved) {
                return Some(id(reserved));
            }
        }
        for slot in RESERVED..SLOTS {
            if !own.claimed.set_bit(slot) {
                return Some(id(slot));
            }
            // Taken. A posted call that has ended? Take its mark first and look then: an NMI that
            // came in between the other way round could reuse the slot under us. While we hold it,
            // `looking` tells a tend on top of us that there may be something to tend.
            let looking = own.looking.get();
            own.looking.set(looking + 1);
            let taken = own.posted.clear_bit(slot);
            reach(Point::ClaimTaken);
            let ended = taken && self.slot(id(slot)).is_ended(&mut 0);
            if taken && !ended {
                own.posted.set_bit(slot);
            }
            own.looking.set(looking);
            if ended {
                return Some(id(slot));
            }
        }
        None
    }

    /// As [`Engine::claim`], for a call that is refused without one.
    pub(crate) fn claim_or_busy(&self, here: &Here, purpose: Purpose) -> Result<SlotId, Error> {
        self.claim(here, purpose).ok_or_else(|| self.busy(here))
    }

    /// Counts a call that is refused.
    pub(crate) fn busy(&self, here: &Here) -> Error {
        let counters = &self.own(here).counters;
        counters.count(&counters.busy, 1);
        Error::Busy
    }

    /// Gives a claimed slot back. Its call has ended everywhere.
    pub(crate) fn release(&self, here: &Here, id: SlotId) {
        self.own(here).claimed.clear_bit(id.slot);
    }

    /// Fills claimed slot `id`, publishes it to `targets` and rings where a ring is owed.
    ///
    /// Calls `offline` for each target that was offline.
    pub(crate) fn send(
        &self,
        here: &Here,
        id: SlotId,
        work: &Work<'_>,
        targets: &Targets<'_>,
        ringing: Ringing,
        offline: &mut dyn FnMut(CpuId),
    ) -> Sent {
        let Ringing { rung, again } = ringing;
        let own = self.own(here);
        let slot = self.slot(id);
        let bit = self.call_bit(id);
        reach(Point::SendClaimed);
        let nested = own.sending.get();
        own.sending.set(nested + 1);
        let mut send_all = |to_ring: &mut CpuSetMut<'_>| {
            // The caller's set may change under us: it is read once, here.
            to_ring.fill_words(|i| targets.word(i));
            let targeted = to_ring.as_set().len();
            // SAFETY: `id` was claimed by our caller, is not published yet, and its last call has
            // ended (a waiting call frees its slot only then, a posted one is taken over only then).
            unsafe { slot.fill(Job::of(work), to_ring.as_set()) };
            own.counters.count_made(u64::from(targeted));
            reach(Point::SendFilled);

            let (mut saved, mut withdrawn) = (0, 0);
            for i in 0..to_ring.as_set().words().len() {
                for cpu in cpus_of_word(i, to_ring.as_set().words()[i]) {
                    let mailbox = self.mailbox(cpu, work.lane);
                    // Spares the mailboxes of all the CPUs a machine could have and has not.
                    let absent = targets.are_all() && mailbox.is_closed();
                    let raised = if absent {
                        Raised::Closed
                    } else {
                        mailbox.publish(bit, rung)
                    };
                    match raised {
                        Raised::RingOwed => {}
                        Raised::AlreadyDue if nested != 0 || !again => {}
                        Raised::AlreadyDue => {
                            saved += 1;
                            to_ring.remove(cpu);
                        }
                        Raised::Closed => {
                            to_ring.remove(cpu);
                            if absent || mailbox.withdraw(bit) {
                                slot.forgo(cpu);
                                withdrawn += 1;
                                offline(cpu);
                            }
                        }
                    }
                }
            }
            if let Some(rung) = rung {
                self.ring(here, rung, to_ring.as_set());
            }
            own.counters.count(&own.counters.rings_saved, saved);
            own.counters.count_withdrawn(withdrawn);
            Sent {
                targeted,
                all_rung: rung.is_some() || to_ring.as_set().is_empty(),
            }
        };
        // SAFETY: we hold the claim on `id`, and `send_all` does not use its ring set again.
        let sent = unsafe { self.ring_sets.with(id.index(), &mut send_all) };
        own.sending.set(nested);
        reach(Point::SendRung);
        sent
    }

    /// Rings, with doorbell `rung`, at those targets of `call` that have not started, by the ring
    /// set of claimed slot `own`. The owner of the call withdraws it from targets that have gone
    /// offline, and is told them; others pass None.
    pub(crate) fn ring_unstarted(
        &self,
        here: &Here,
        call: SlotId,
        own: SlotId,
        lane: Lane,
        rung: Rung,
        mut offline: Option<&mut dyn FnMut(CpuId)>,
    ) {
        let words = self.own(here);
        let slot = self.slot(call);
        let bit = self.call_bit(call);
        let mut withdrawn = 0;
        let nested = words.sending.get();
        words.sending.set(nested + 1);
        // SAFETY: our caller holds the claim on `own`, and nothing below uses its ring set again.
        unsafe {
            self.ring_sets.with(own.index(), |to_ring| {
                for cpu in slot.unended() {
                    let mailbox = self.mailbox(cpu, lane);
                    if !mailbox.is_waiting(bit) {
                        continue;
                    }
                    // Whatever is due already, we ring: the ring that was due did not come.
                    let raised = mailbox.raise(bit, Some(rung));
                    if raised != Raised::Closed {
                        to_ring.insert(cpu);
                    } else if let Some(offline) = &mut offline {
                        if mailbox.withdraw(bit) {
                            slot.forgo(cpu);
                            withdrawn += 1;
                            offline(cpu);
                        }
                    }
                }
                let rerings = u64::from(to_ring.as_set().len());
                words.counters.count(&words.counters.rerings, rerings);
                self.ring(here, rung, to_ring.as_set());
            });
        }
        words.sending.set(nested);
        words.counters.count_withdrawn(withdrawn);
    }

    fn ring(&self, here: &Here, rung: Rung, targets: CpuSet<'_>) {
        let rings = targets.len();
        if rings == 0 {
            return;
        }
        if let Some(doorbell) = self.ladder.get(rung) {
            let counters = &self.own(here).counters;
            counters.count(&counters.rings, u64::from(rings));
            doorbell.ring(here, targets);
        }
    }
}
