// SPDX-License-Identifier: GPL-2.0
//! Sending: claim a slot, fill it, publish it to every target, ring.
//!
//! From claim to ring the sender stays on its CPU. An interrupt or NMI may come between any two
//! steps and send too; it then finds a due bit of ours whose ring cannot come before it returns.
//! So a send inside a send always rings.

use crate::call::{Lane, Work};
use crate::context::Here;
use crate::cpu::{split, CpuId, CpuSet, CpuSetMut};
use crate::doorbell::{Doorbell, Rung};
use crate::engine::{Engine, SlotId};
use crate::mailbox::{CallBit, Raised};
use crate::platform::Platform;
use crate::point::{reach, Point};
use crate::slot::{Job, SlotRef, Span, RESERVED, SLOTS};
use crate::stats::CpuCounters;
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

/// A call on its way to its targets.
struct Mail<'e> {
    slot: SlotRef<'e>,
    bit: CallBit,
    lane: Lane,
    rung: Option<Rung>,
    /// Whether a ring that is due counts: not if this send interrupted another, and not if nobody
    /// rings again.
    saves_rings: bool,
    /// Whether targets that are offline are not even written to.
    spares_absent: bool,
}

/// What became of a call at one target.
enum Published {
    /// It must be rung.
    RingOwed,
    /// A ring is due already.
    RingSaved,
    /// The target is offline, and has taken the call all the same: its last scan runs it.
    Taken,
    /// The target is offline: withdrawn.
    Offline,
}

impl<P: Platform> Engine<P> {
    /// Claims a call slot of this CPU, or None: all that `purpose` may use are taken.
    #[inline]
    pub(crate) fn claim(&self, here: &Here, purpose: Purpose) -> Option<SlotId> {
        if purpose == Purpose::Wait {
            let reserved = here.level() as usize;
            if !self.own(here).claimed.set_bit(reserved) {
                return Some(SlotId {
                    cpu: here.cpu(),
                    slot: reserved,
                });
            }
        }
        self.claim_shared(here)
    }

    /// Claims one of the slots that no level has for itself.
    fn claim_shared(&self, here: &Here) -> Option<SlotId> {
        let own = self.own(here);
        let id = |slot| SlotId {
            cpu: here.cpu(),
            slot,
        };
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
            let ended = taken && self.has_ended(id(slot));
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

    /// Counts a call that is refused.
    #[cold]
    pub(crate) fn count_busy(&self, here: &Here) {
        let counters = &self.own(here).counters;
        counters.count(&counters.busy, 1);
    }

    /// Gives a claimed slot back. Its call has ended everywhere.
    pub(crate) fn release(&self, here: &Here, id: SlotId) {
        self.own(here).claimed.clear_bit(id.slot);
    }

    /// Whether the posted call in slot `id`, of this CPU, has ended.
    pub(crate) fn has_ended(&self, id: SlotId) -> bool {
        let slot = self.slot(id);
        slot.is_ended(&mut slot.span())
    }

    /// Fills claimed slot `id`, publishes it to `targets` and rings where a ring is owed.
    ///
    /// Calls `offline` for each target that was offline.
    #[inline]
    pub(crate) fn send(
        &self,
        here: &Here,
        id: SlotId,
        work: &Work<'_>,
        targets: &Targets<'_>,
        ringing: Ringing,
        offline: &mut impl FnMut(CpuId),
    ) -> Sent {
        let own = self.own(here);
        reach(Point::SendClaimed);
        let nested = own.sending.get();
        own.sending.set(nested + 1);
        let mail = Mail {
            slot: self.slot(id),
            bit: self.call_bit(id),
            lane: work.lane,
            rung: ringing.rung,
            saves_rings: nested == 0 && ringing.again,
            spares_absent: targets.are_all(),
        };
        let sent = match targets.one() {
            Some(cpu) => self.send_one(here, &own.counters, &mail, work, cpu, offline),
            None => self.send_many(here, id, &mail, work, targets, offline),
        };
        own.sending.set(nested);
        reach(Point::SendRung);
        sent
    }

    #[inline]
    fn send_one(
        &self,
        here: &Here,
        counters: &CpuCounters,
        mail: &Mail<'_>,
        work: &Work<'_>,
        cpu: CpuId,
        offline: &mut impl FnMut(CpuId),
    ) -> Sent {
        let (word, bit) = split(cpu);
        // SAFETY: as in `send_many`.
        unsafe {
            mail.slot
                .fill(Job::of(work), Span::new(word, word + 1), |_| bit)
        };
        counters.count_made(1);
        reach(Point::SendFilled);
        let mut all_rung = true;
        match self.publish(mail, cpu) {
            Published::RingOwed => match mail.rung {
                Some(rung) => self.ring_one(here, counters, rung, cpu),
                None => all_rung = false,
            },
            Published::RingSaved => counters.count(&counters.rings_saved, 1),
            Published::Taken => {}
            Published::Offline => {
                counters.count_withdrawn(1);
                offline(cpu);
            }
        }
        Sent {
            targeted: 1,
            all_rung,
        }
    }

    fn send_many(
        &self,
        here: &Here,
        id: SlotId,
        mail: &Mail<'_>,
        work: &Work<'_>,
        targets: &Targets<'_>,
        offline: &mut impl FnMut(CpuId),
    ) -> Sent {
        let counters = &self.own(here).counters;
        let send_all = |to_ring: &mut CpuSetMut<'_>| {
            // The caller's set may change under us: it is read once, here.
            to_ring.fill_words(|i| targets.word(i));
            let members = to_ring.as_set();
            let targeted = members.len();
            // SAFETY: the slot was claimed by our caller, is not published yet, and its last call has
            // ended (a waiting call frees its slot only then, a posted one is taken over only then).
            unsafe {
                mail.slot
                    .fill(Job::of(work), targets.span(), |i| members.words()[i])
            };
            counters.count_made(u64::from(targeted));
            reach(Point::SendFilled);

            let (mut saved, mut withdrawn, mut owed) = (0, 0, 0);
            to_ring.retain(|cpu| match self.publish(mail, cpu) {
                Published::RingOwed => {
                    owed += 1;
                    true
                }
                Published::RingSaved => {
                    saved += 1;
                    false
                }
                Published::Taken => false,
                Published::Offline => {
                    withdrawn += 1;
                    offline(cpu);
                    false
                }
            });
            if let Some(rung) = mail.rung {
                self.ring(here, rung, to_ring.as_set(), owed);
            }
            counters.count(&counters.rings_saved, saved);
            counters.count_withdrawn(withdrawn);
            Sent {
                targeted,
                all_rung: mail.rung.is_some() || owed == 0,
            }
        };
        // SAFETY: we hold the claim on `id`, and `send_all` does not use its ring set again.
        unsafe { self.ring_sets.with(id.index(), send_all) }
    }

    /// Publishes a filled call to one target; withdraws it if the target is offline.
    #[inline]
    fn publish(&self, mail: &Mail<'_>, cpu: CpuId) -> Published {
        let mailbox = self.mailbox(cpu, mail.lane);
        // Spares the mailboxes of all the CPUs a machine could have and has not.
        let absent = mail.spares_absent && mailbox.is_closed();
        let raised = if absent {
            Raised::Closed
        } else {
            mailbox.publish(mail.bit, mail.rung)
        };
        match raised {
            Raised::RingOwed => Published::RingOwed,
            Raised::AlreadyDue if !mail.saves_rings => Published::RingOwed,
            Raised::AlreadyDue => Published::RingSaved,
            Raised::Closed => {
                if absent || mailbox.withdraw(mail.bit) {
                    mail.slot.forgo(cpu);
                    Published::Offline
                } else {
                    Published::Taken
                }
            }
        }
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
                let rings = u64::from(to_ring.as_set().len());
                words.counters.count(&words.counters.rerings, rings);
                self.ring(here, rung, to_ring.as_set(), rings);
            });
        }
        words.sending.set(nested);
        words.counters.count_withdrawn(withdrawn);
    }

    /// Rings at `targets`, which are so many.
    fn ring(&self, here: &Here, rung: Rung, targets: CpuSet<'_>, rings: u64) {
        if rings == 0 {
            return;
        }
        if let Some(doorbell) = self.ladder.get(rung) {
            let counters = &self.own(here).counters;
            counters.count(&counters.rings, rings);
            doorbell.ring(here, targets);
        }
    }

    #[inline]
    fn ring_one(&self, here: &Here, counters: &CpuCounters, rung: Rung, cpu: CpuId) {
        if let Some(doorbell) = self.ladder.get(rung) {
            counters.count(&counters.rings, 1);
            doorbell.ring_one(here, cpu);
        }
    }
}
