// SPDX-License-Identifier: GPL-2.0
//! What is called, how, and what can come of it.

use crate::cpu::{CpuId, CpuList};
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;

/// Which mailbox a call goes through: by where its function may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lane {
    /// May run in an NMI, and may be re-entered by itself on the same CPU at any instruction.
    NmiSafe = 0,
    /// Runs with interrupts off, never on top of code that had them off.
    Ordinary = 1,
}

/// How many lanes there are.
pub const LANES: usize = 2;

impl Lane {
    /// Both lanes.
    pub const ALL: [Lane; LANES] = [Lane::NmiSafe, Lane::Ordinary];

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// A function a target runs, with the argument the caller gave.
pub type Entry = unsafe extern "C" fn(arg: *mut c_void);

/// A function with its argument, lane and time limit: what a call carries.
///
/// `'a` is how long the argument lives. A waiting call returns only when no target will touch it
/// any more; a posted one needs `'static`.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub(crate) entry: Entry,
    pub(crate) arg: *mut c_void,
    pub(crate) lane: Lane,
    pub(crate) within_ns: Option<u64>,
    /// The doorbell to ring, and no other.
    pub(crate) through: Option<usize>,
    _argument: PhantomData<&'a ()>,
}

impl<'a> Work<'a> {
    /// Work by a C function pointer and its argument.
    ///
    /// # Safety
    ///
    /// 1. `entry(arg)` is sound on every CPU it is called on, on several at once, for all of `'a`,
    ///    with interrupts and preemption off; it does not sleep and does not unwind.
    /// 2. If `lane` is [`Lane::NmiSafe`], also in an NMI, and on top of itself on the same CPU, and without
    ///    waiting for another CPU but by a call.
    pub const unsafe fn new(lane: Lane, entry: Entry, arg: *mut c_void) -> Self {
        Self {
            entry,
            arg,
            lane,
            within_ns: None,
            through: None,
            _argument: PhantomData,
        }
    }

    /// An ordinary closure. It runs with interrupts and preemption off and must not sleep.
    pub fn ordinary<F: Fn() + Sync>(f: &'a F) -> Self {
        // SAFETY:
        // 1. `F: Sync`, so calling it by shared reference on several CPUs at once is sound, and `f`
        //    lives for `'a`.
        // 2. Not NMI-safe, not claimed to be.
        unsafe { Self::new(Lane::Ordinary, run_closure::<F>, arg_of(f)) }
    }

    /// A closure that may run in an NMI.
    ///
    /// # Safety
    ///
    /// `f` may be called in an NMI and on top of itself on the same CPU: it takes no lock, and
    /// every step of it leaves its data usable by another run of itself.
    pub unsafe fn nmi_safe<F: Fn() + Sync>(f: &'a F) -> Self {
        // SAFETY:
        // 1. `F: Sync`, so calling it by shared reference on several CPUs at once is sound, and `f`
        //    lives for `'a`.
        // 2. Promised by the caller.
        unsafe { Self::new(Lane::NmiSafe, run_closure::<F>, arg_of(f)) }
    }

    /// Sets the time limit of a waiting call, in nanoseconds from its start.
    #[must_use]
    pub const fn within_ns(mut self, ns: u64) -> Self {
        self.within_ns = Some(ns);
        self
    }

    /// Has a waiting call ring doorbell `number`, in the order of
    /// [`Engine::doorbells`](crate::Engine::doorbells), and no other: allowed or not, without
    /// climbing. For trying a doorbell beside other traffic. The call is refused with
    /// [`Error::NoDoorbell`] where that one does not serve it.
    #[must_use]
    pub const fn through(mut self, number: usize) -> Self {
        self.through = Some(number);
        self
    }

    /// The lane.
    pub const fn lane(&self) -> Lane {
        self.lane
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("entry", &(self.entry as *const ()))
            .field("lane", &self.lane)
            .field("within_ns", &self.within_ns)
            .finish_non_exhaustive()
    }
}

fn arg_of<F>(f: &F) -> *mut c_void {
    core::ptr::from_ref(f).cast_mut().cast()
}

unsafe extern "C" fn run_closure<F: Fn() + Sync>(arg: *mut c_void) {
    // SAFETY: `arg` was made by `arg_of` from a `&F` that outlives the call (Work's `'a`).
    let f = unsafe { &*arg.cast_const().cast::<F>() };
    f();
}

/// What a broadcast reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// How many targets ran the function (posted: were sent it).
    pub ran: u32,
    /// Targets that were offline: they did not and will not run it.
    pub offline: CpuList,
}

/// Targets that did not start in time. They did not and will not run the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// The silent targets.
    pub silent: CpuList,
    /// Who called.
    pub caller: CpuId,
    /// Address of the function.
    pub function: usize,
    /// How long the caller waited, in nanoseconds.
    pub age_ns: u64,
    /// The doorbell last rung.
    pub last_doorbell: &'static str,
    /// What the call did reach.
    pub reached: Reached,
}

/// Why a call did not do all it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The target takes no calls: it is offline, no such CPU, or the kernel has begun to panic.
    Offline,
    /// Targets did not start in time; they will not.
    Timeout(Timeout),
    /// Calls are nested too deep on this CPU (two in an NMI, four elsewhere: their stacks are small),
    /// or all call slots that this context may use are taken. Nothing was sent.
    Busy,
    /// A waiting ordinary call with interrupts off or in an NMI, where the caller could not answer
    /// ordinary calls to itself: two such callers would wait for each other. Nothing was sent.
    Context,
    /// No doorbell allowed for this lane can be rung from this context. Nothing was sent.
    NoDoorbell,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Offline => f.write_str("target is offline"),
            Error::Timeout(t) => write!(
                f,
                "{} not started in {} ms, last doorbell {}, withdrawn",
                t.silent,
                t.age_ns / 1_000_000,
                t.last_doorbell
            ),
            Error::Busy => f.write_str("all call slots of this CPU are taken"),
            Error::Context => {
                f.write_str("an ordinary call cannot wait with interrupts off or in an NMI")
            }
            Error::NoDoorbell => f.write_str("no doorbell can be rung from here"),
        }
    }
}

impl core::error::Error for Error {}
