// SPDX-License-Identifier: GPL-2.0
//! Calls: made by workers, and by called functions wherever these run.

use crate::ledger::Count;
use crate::machine::{Failure, Lane, Machine};
use crate::storm::Storm;
use crate::ticket::{Action, Ticket, TICKETS};
use core::sync::atomic::Ordering::Relaxed;

/// Called functions of one CPU that call on at a time, each on top of the one before: an NMI has a
/// stack of 8 KiB.
const NESTED_MOST: u64 = 3;

/// What a called function does besides counting. Any context.
pub(crate) fn act<M: Machine>(storm: &Storm<M>, me: usize, action: Action) {
    match action {
        Action::Count | Action::CountOnTicket => {}
        Action::OnwardTwice => {
            on_top(storm, me, || {
                storm.call_one(me, storm.another(me), Action::Onward, Lane::NmiSafe)
            });
        }
        Action::Onward => {
            on_top(storm, me, || {
                storm.call_one(me, storm.another(me), Action::Count, Lane::NmiSafe)
            });
        }
        Action::OnwardInNmi => {
            if storm.machine.in_nmi() {
                on_top(storm, me, || storm.call_others_from_nmi(me));
            }
        }
        Action::PostOn => storm.post_one(me, storm.another(me), Action::Count, Lane::NmiSafe),
        Action::Hold => storm.hold.keep(&storm.machine, storm.plan.deadline_ns),
    }
}

fn on_top<M: Machine>(storm: &Storm<M>, me: usize, call: impl FnOnce()) {
    let nested = storm.ledger().of(me, Count::Nested);
    if nested.fetch_add(1, Relaxed) < NESTED_MOST {
        call();
    }
    nested.fetch_sub(1, Relaxed);
}

impl<M: Machine> Storm<M> {
    /// A worker other than `me`; not the masked one, so that functions do not wait for it.
    pub(crate) fn another(&self, me: usize) -> usize {
        let count = self.plan.count;
        let other = self.around(me + 1 + self.random(me, count as u64 - 1) as usize);
        if count > 2 && self.plan.mask_target == Some(self.cpu_of(other)) {
            let next = self.around(other + 1);
            return match next == me {
                true => self.around(next + 1),
                false => next,
            };
        }
        other
    }

    /// Counts workers around: after the last comes the first.
    pub(crate) fn around(&self, n: usize) -> usize {
        // There are workers; that the compiler need not know it spares a panic.
        n % self.plan.count.max(1)
    }

    /// Takes a free ticket of `me`.
    pub(crate) fn claim(&self, me: usize) -> Option<(usize, &Ticket)> {
        let used = self.ledger().of(me, Count::Tickets);
        for (n, ticket) in self.tickets_of(me).iter().enumerate() {
            if used.fetch_or(1 << n, Relaxed) & (1 << n) == 0 {
                return Some((n, ticket));
            }
        }
        self.ledger().add(me, Count::Busy, 1);
        None
    }

    pub(crate) fn release(&self, me: usize, ticket: usize) {
        self.ledger()
            .of(me, Count::Tickets)
            .fetch_and(!(1 << ticket), Relaxed);
    }

    /// Calls worker `to` and waits. Any context that `lane` allows.
    pub(crate) fn call_one(&self, me: usize, to: usize, action: Action, lane: Lane) {
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, action);
        let job = ticket.job::<M>(lane, self.plan.deadline_ns);
        let started_ns = self.machine.now_ns();
        let result = self.machine.call(self.cpu_of(to), job);
        let ledger = self.ledger();
        match result {
            Ok(()) => {
                ledger.took_to(me, to, self.machine.now_ns().saturating_sub(started_ns));
                ledger.add(me, Count::Calls, 1);
                ledger.owe(me, to);
                ledger.add(me, Count::Lost, u64::from(ticket.ran() == 0));
            }
            Err(Failure::Timeout(silence)) => {
                ledger.add(me, Count::Calls, 1);
                // A wait within a wait for the masked CPU ends with it, whomever it is for.
                let within_wait = ledger.of(me, Count::Nested).load(Relaxed) != 0;
                let explained = match self.plan.mask_target {
                    Some(cpu) => cpu == silence.first || within_wait,
                    None => false,
                };
                self.note_timeout(me, &silence, u64::from(explained));
            }
            Err(other) => self.note_refusal(me, other, 1),
        }
        self.release(me, n);
    }

    /// Calls all others, from an NMI.
    #[inline(never)]
    pub(crate) fn call_others_from_nmi(&self, me: usize) {
        for to in (0..self.plan.count).filter(|to| *to != me) {
            self.call_one(me, to, Action::Count, Lane::NmiSafe);
            self.ledger().add(me, Count::FromNmi, 1);
        }
    }

    /// Posts to worker `to`. Any context.
    pub(crate) fn post_one(&self, me: usize, to: usize, action: Action, lane: Lane) {
        let Some((n, ticket)) = self.claim(me) else {
            return;
        };
        ticket.fill(self, me, action);
        let job = ticket.job::<M>(lane, 0);
        match self.machine.post(self.cpu_of(to), job) {
            Ok(()) => {
                self.ledger().add(me, Count::Calls, 1);
                self.ledger().owe(me, to);
                ticket.posted(1);
            }
            Err(failure) => {
                self.note_refusal(me, failure, 1);
                self.release(me, n);
            }
        }
    }

    /// Nothing was sent to `targets` targets.
    pub(crate) fn note_refusal(&self, me: usize, failure: Failure, targets: u64) {
        let count = match failure {
            Failure::Offline => Count::Offline,
            Failure::Busy => Count::Busy,
            Failure::Refused | Failure::Timeout(_) => Count::Refused,
        };
        self.ledger().add(me, count, targets);
    }

    /// Takes back the posted tickets of `me` that have run everywhere; returns how many have not.
    /// Task context, the worker of `me` only.
    pub(crate) fn reclaim(&self, me: usize) -> usize {
        let mut under_way = 0;
        for n in 0..TICKETS {
            let ticket = &self.tickets_of(me)[n];
            if ticket.has_come_back() {
                ticket.posted(0);
                self.release(me, n);
            } else if ticket.is_posted() {
                under_way += 1;
            }
        }
        under_way
    }
}
