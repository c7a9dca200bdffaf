// SPDX-License-Identifier: GPL-2.0
//! Tickets: the argument of a storm's call.
//!
//! A ticket lives as long as its storm, so a function that runs when it should not harms nothing
//! but the accounts. It is filled before its call is sent and read by the called function; the
//! engine orders the two. Its fields are atomics because a call that runs when it should not finds
//! the ticket in use by another.

use crate::machine::{Job, Lane, Machine};
use crate::nested;
use crate::storm::Storm;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};

/// Tickets each CPU has: more than an engine has call slots.
pub(crate) const TICKETS: usize = 32;

/// What a called function does, besides counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    /// Nothing.
    Count = 0,
    /// Nothing, and it counts on its ticket only: its targets are not known beforehand.
    CountOnTicket = 1,
    /// Calls on, two levels deep.
    OnwardTwice = 2,
    /// Calls on, one level deep.
    Onward = 3,
    /// Calls all others if this is an NMI.
    OnwardInNmi = 4,
    /// Posts on.
    PostOn = 5,
    /// Keeps its CPU until it is let go.
    Hold = 6,
}

impl Action {
    const ALL: [Action; 7] = [
        Action::Count,
        Action::CountOnTicket,
        Action::OnwardTwice,
        Action::Onward,
        Action::OnwardInNmi,
        Action::PostOn,
        Action::Hold,
    ];
}

/// The argument of a call.
#[derive(Debug)]
#[repr(align(64))]
pub struct Ticket {
    storm: AtomicPtr<c_void>,
    /// How many targets have run it.
    ran: AtomicU32,
    /// How many were posted it; 0 if it is not posted.
    owed: AtomicU32,
    caller: AtomicU32,
    action: AtomicU32,
}

impl Default for Ticket {
    fn default() -> Self {
        Self::new()
    }
}

impl Ticket {
    /// A fresh ticket.
    pub const fn new() -> Self {
        Self {
            storm: AtomicPtr::new(null_mut()),
            ran: AtomicU32::new(0),
            owed: AtomicU32::new(0),
            caller: AtomicU32::new(0),
            action: AtomicU32::new(0),
        }
    }

    /// Fills it for a call by worker `caller` of `storm`.
    pub(crate) fn fill<M: Machine>(&self, storm: &Storm<M>, caller: usize, action: Action) {
        // Relaxed: the engine carries it to the targets.
        self.ran.store(0, Relaxed);
        self.caller.store(caller as u32, Relaxed);
        self.action.store(action as u32, Relaxed);
        self.storm
            .store(core::ptr::from_ref(storm).cast_mut().cast(), Relaxed);
    }

    /// What to call with it.
    pub(crate) fn job<M: Machine>(&self, lane: Lane, within_ns: u64) -> Job {
        Job {
            entry: M::ENTRY,
            ticket: self,
            lane,
            within_ns,
        }
    }

    /// How many targets have run it.
    pub(crate) fn ran(&self) -> u32 {
        // Acquire, pairs with the Release in `called`: for the contrast, which waits on this alone.
        self.ran.load(Acquire)
    }

    /// It was posted to `targets`.
    pub(crate) fn posted(&self, targets: u32) {
        self.owed.store(targets, Relaxed);
    }

    /// Whether it is posted and has run everywhere.
    pub(crate) fn has_come_back(&self) -> bool {
        let owed = self.owed.load(Relaxed);
        owed != 0 && self.ran() >= owed
    }

    /// Whether it is posted.
    pub(crate) fn is_posted(&self) -> bool {
        self.owed.load(Relaxed) != 0
    }
}

/// What every target of a storm's call does: what [`Machine::ENTRY`] passes its argument to.
///
/// # Safety
///
/// `arg` is the argument of a [`Job`] of a `Storm<M>`, and this is its call.
pub unsafe fn called<M: Machine>(arg: *mut c_void) {
    // SAFETY: promised by the caller; tickets live as long as their storm.
    let ticket = unsafe { &*arg.cast_const().cast::<Ticket>() };
    let storm = ticket.storm.load(Relaxed).cast_const().cast::<Storm<M>>();
    // SAFETY: as above. A storm is dropped only when every call it posted has come back.
    let Some(storm) = (unsafe { storm.as_ref() }) else {
        return;
    };
    let caller = ticket.caller.load(Relaxed) as usize;
    let action = ticket.action.load(Relaxed) as usize;
    let action = Action::ALL.get(action).copied().unwrap_or(Action::Count);
    if let Some(target) = storm.worker_of(storm.machine.this_cpu()) {
        if action != Action::CountOnTicket {
            storm.ledger().count_run(caller, target);
        }
        nested::act(storm, target, action);
    }
    // Release, pairs with the Acquire in `ran`.
    ticket.ran.fetch_add(1, Release);
}
