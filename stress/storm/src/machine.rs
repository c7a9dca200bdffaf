// SPDX-License-Identifier: GPL-2.0
//! What a storm asks of the machine it blows on.

use core::ffi::c_void;
use core::ops::Deref;
use core::sync::atomic::AtomicU64;
use xcall_stress_protocol::{FUNCTION, LATENCY_BUCKETS, NAME};

use crate::ticket::Ticket;

/// Where a called function may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Anywhere, an NMI included.
    NmiSafe,
    /// Not on top of code that has interrupts off.
    Ordinary,
}

/// A function a target runs.
pub type Entry = unsafe extern "C" fn(arg: *mut c_void);

/// What to call: a storm's function with one of its tickets.
///
/// Only this crate makes one, of a function that is sound in its lane's contexts, on several CPUs
/// at once and on top of itself, and of a ticket that lives as long as its storm.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub(crate) entry: Entry,
    pub(crate) ticket: *const Ticket,
    pub(crate) lane: Lane,
    pub(crate) within_ns: u64,
}

impl Job {
    /// The function.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// Its argument.
    pub fn arg(&self) -> *mut c_void {
        self.ticket.cast_mut().cast()
    }

    /// The lane.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The time limit of a waiting call.
    pub fn within_ns(&self) -> u64 {
        self.within_ns
    }
}

/// Targets that did not start in time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    /// How many.
    pub count: u32,
    /// The first of them.
    pub first: u32,
    /// Targets that did run.
    pub ran: u32,
    /// How long the caller waited.
    pub age_ns: u64,
    /// The doorbell last rung, ended by a NUL.
    pub last_doorbell: [u8; NAME],
}

/// Why a call did not run everywhere.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The target takes no calls.
    Offline,
    /// Targets did not start in time, and will not.
    Timeout(Silence),
    /// No call slot was free.
    Busy,
    /// It cannot be done at all: the context, the lane, the doorbells.
    Refused,
}

/// The engine's counters, over all CPUs.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineCounters {
    /// Calls made.
    pub made: u64,
    /// Calls run.
    pub run: u64,
    /// Calls that never ran.
    pub withdrawn: u64,
    /// Doorbells rung.
    pub rings: u64,
    /// Rings saved.
    pub rings_saved: u64,
    /// Second and later rings for the same call.
    pub rerings: u64,
    /// Steps up the ladder.
    pub escalations: u64,
    /// Deepest nesting.
    pub deepest: u64,
}

/// A machine with CPUs, and xcall on it.
///
/// Functions that call may be called from any context, unless they say otherwise.
pub trait Machine: Sync + Sized {
    /// A row of counters, zero at first.
    type Words: Deref<Target = [AtomicU64]> + Sync;
    /// A row of tickets, fresh at first.
    type Tickets: Deref<Target = [Ticket]> + Sync;

    /// The function that targets run. It does nothing but pass its argument to [`called`](crate::called);
    /// that the machine has it gives it a name people can read.
    const ENTRY: Entry;

    /// Nanoseconds of a clock that does not go back on one CPU.
    fn now_ns(&self) -> u64;

    /// The CPU this runs on, in a called function or a thread that stays on its CPU.
    fn this_cpu(&self) -> u32;

    /// Whether this is an NMI.
    fn in_nmi(&self) -> bool;

    /// xcall's `call`.
    fn call(&self, cpu: u32, job: Job) -> Result<(), Failure>;

    /// xcall's `call_many`: returns how many ran it. `missed` receives those that did not and will
    /// not.
    fn call_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure>;

    /// xcall's `call_all`.
    fn call_all(&self, job: Job) -> Result<u32, Failure>;

    /// xcall's `post`.
    fn post(&self, cpu: u32, job: Job) -> Result<(), Failure>;

    /// xcall's `post_many`: returns to how many it was sent.
    fn post_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure>;

    /// xcall's `flush`. Task context. False: posted calls are still under way.
    fn flush(&self, within_ns: u64) -> bool;

    /// Runs `f` with maskable interrupts off. Task context.
    fn irqs_off(&self, f: impl FnOnce());

    /// Runs `f` in an NMI on this CPU. Task context. False: no NMI came.
    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool;

    /// Between calls: lets others run, answers what wants answering. Task context.
    fn breathe(&self);

    /// Whether the worker that asks is to leave its CPU soon. Task context.
    fn is_called_away(&self) -> bool;

    /// A turn of a spinning loop.
    fn relax(&self);

    /// Allows the strongest doorbell alone, or all that the storm is to use. Task context.
    fn strongest_doorbell_only(&self, only: bool);

    /// The engine's counters. Task context.
    fn engine_counters(&self) -> EngineCounters;

    /// Fills in how long calls took that rang doorbell `number` last, and gives its name.
    /// None past the last. Task context.
    fn doorbell_latency(
        &self,
        number: usize,
        buckets: &mut [u64; LATENCY_BUCKETS],
    ) -> Option<[u8; NAME]>;

    /// Rings that went wrong on purpose.
    fn faults(&self) -> u64;

    /// The name of [`ENTRY`](Self::ENTRY), ended by a NUL. Task context.
    fn entry_name(&self, name: &mut [u8; FUNCTION]);
}
