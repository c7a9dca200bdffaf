// SPDX-License-Identifier: GPL-2.0
//! A CPU that masks everything for a while: calls to it time out and name it, and when it comes
//! back it does not run them.
//!
//! A called function keeps it there, sent with the strongest doorbell: inside an NMI no NMI comes.

use crate::machine::{Lane, Machine};
use crate::storm::Storm;
use crate::ticket::Action;
use core::sync::atomic::{AtomicU32, Ordering::*};

const FREE: u32 = 0;
const WANTED: u32 = 1;
const HELD: u32 = 2;
const LET_GO: u32 = 3;

/// How long the CPU is kept at most, beyond the deadline of calls.
const BEYOND_NS: u64 = 500_000_000;

/// Where the masked CPU stands: free, wanted, held, let go, free.
#[derive(Debug)]
pub(crate) struct Hold {
    state: AtomicU32,
}

impl Hold {
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicU32::new(FREE),
        }
    }

    /// Keeps this CPU until it is let go. In a called function.
    pub(crate) fn keep(&self, machine: &impl Machine, deadline_ns: u64) {
        if self
            .state
            .compare_exchange(WANTED, HELD, AcqRel, Relaxed)
            .is_err()
        {
            return;
        }
        let give_up_ns = machine.now_ns() + deadline_ns + BEYOND_NS;
        while self.state.load(Acquire) == HELD && machine.now_ns() < give_up_ns {
            machine.relax();
        }
        self.state.store(FREE, Release);
    }
}

impl<M: Machine> Storm<M> {
    /// One round, on a worker that is not the masked one: mask, call, let go, call.
    pub(crate) fn mask_once(&self, me: usize, target: usize) {
        let hold = &self.hold.state;
        hold.store(WANTED, Release);
        self.machine.strongest_doorbell_only(true);
        self.post_one(me, target, Action::Hold, Lane::NmiSafe);
        let held = self.wait_within(|| hold.load(Acquire) == HELD);
        self.machine.strongest_doorbell_only(false);
        if held {
            self.call_one(me, target, Action::Count, Lane::NmiSafe);
            let _ = hold.compare_exchange(HELD, LET_GO, AcqRel, Relaxed);
        } else {
            let _ = hold.compare_exchange(WANTED, FREE, AcqRel, Relaxed);
        }
        self.wait_within(|| hold.load(Acquire) == FREE);
        self.wait_within(|| self.reclaim(me) == 0);
        // It is back: it runs this call, and not the one before.
        self.call_one(me, target, Action::Count, Lane::NmiSafe);
    }

    /// Breathes until `until` holds; gives up after the deadline of calls and a bit.
    pub(crate) fn wait_within(&self, until: impl Fn() -> bool) -> bool {
        let give_up_ns = self.machine.now_ns() + self.plan.deadline_ns + BEYOND_NS;
        while !until() {
            if self.machine.now_ns() >= give_up_ns {
                return false;
            }
            self.machine.breathe();
        }
        true
    }
}
