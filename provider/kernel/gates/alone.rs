// SPDX-License-Identifier: GPL-2.0
//! One CPU writes while all others stand still.

use super::shim as gates;
use crate::{cpus, shim};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dtrace_gates::patience::{gather_ns, waited, ATTEMPTS};
use dtrace_gates::{Parked, Rendezvous};
use kernel::prelude::*;
use xcall_interface::{xcall_flush, xcall_now_ns, xcall_post_many, Work, NMI_SAFE};

/// Words of a set of as many CPUs as [`dtrace_gates::Facts`] allows.
const WORDS: usize = 64;

static MEETING: Rendezvous = Rendezvous::new();

/// How long the writer gathers this time. Written before calls are posted, which orders it before what they do:
/// Relaxed.
static GATHER: AtomicU64 = AtomicU64::new(0);

/// Why there was no moment alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crowd {
    /// Calls could not be made.
    NotSent(c_int),
    /// They were sent to so many CPUs of so many.
    NotAll(c_int, c_int),
    /// A CPU did not come in time.
    Missing,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(errno) => write!(f, "the other CPUs could not be called: error {errno}"),
            Self::NotAll(sent, all) => write!(f, "only {sent} of {all} other CPUs could be called"),
            Self::Missing => write!(f, "a CPU did not stand still in time"),
        }
    }
}

/// # Safety
///
/// None: it looks at statics only. NMI-safe. That it counts each CPU once holds because xcall runs a posted call
/// once on each target, and no call is on its way when the next meeting is prepared.
unsafe extern "C" fn park(_: *mut c_void) {
    // SAFETY: any context, as are those below.
    let began = unsafe { xcall_now_ns() };
    let gather_ns = GATHER.load(Relaxed);
    let parked = MEETING.park(|| {
        // SAFETY: as above.
        unsafe { gates::dtrace_gates_relax() };
        // SAFETY: as above.
        let now = unsafe { xcall_now_ns() };
        waited(now.wrapping_sub(began), gather_ns)
    });
    match parked {
        // The writer is told by the meeting.
        Parked::LetGo | Parked::GaveUp | Parked::Left => {}
    }
}

/// Runs `write` once with interrupts off while every other CPU that is online stands still in an NMI-safe
/// call; or not at all. No CPU comes or goes meanwhile. Task context; one caller at a time.
pub(super) fn alone<R>(write: impl FnOnce() -> R) -> Result<R, Crowd> {
    let mut write = Some(write);
    let mut last = Crowd::Missing;
    for turn in 0..ATTEMPTS {
        // Nobody is on the way to a meeting when the next is prepared.
        settle()?;
        // SAFETY: a task; undone below.
        unsafe { shim::dtrace_shim_cpus_read_lock() };
        let done = attempt(&mut write, gather_ns(turn));
        // SAFETY: taken above.
        unsafe { shim::dtrace_shim_cpus_read_unlock() };
        // Nor when the module goes. After a write it has no bearing: the next meeting settles first.
        let settled = settle();
        match done {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => break,
            Err(crowd) => last = crowd,
        }
        settled?;
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_msleep(10) };
    }
    Err(last)
}

/// Waits until all posted calls have ended. Task context, without the hotplug lock: it has no limit, because the code
/// they run must stay until then.
fn settle() -> Result<(), Crowd> {
    // SAFETY: a task that may sleep.
    match unsafe { xcall_flush(0) } {
        0 => Ok(()),
        errno => Err(Crowd::NotSent(errno)),
    }
}

/// As [`alone`], once, with CPUs held. None: it was written before.
fn attempt<R>(write: &mut Option<impl FnOnce() -> R>, gather_ns: u64) -> Result<Option<R>, Crowd> {
    let work = Work {
        function: Some(park),
        arg: ptr::null_mut(),
        lane: NMI_SAFE,
        reserved: 0,
        within_ns: 0,
    };
    let mut others = [0_u64; WORDS];
    GATHER.store(gather_ns, Relaxed);
    MEETING.prepare();
    // SAFETY: any context; restored below.
    let irqs = unsafe { shim::dtrace_shim_local_irq_save() };
    let me = cpus::this();
    let mut count = 0;
    for cpu in (0..cpus::count()).filter(|cpu| *cpu != me && cpus::is_online(*cpu)) {
        if let Some(word) = others.get_mut(cpu as usize / 64) {
            *word |= 1 << (cpu % 64);
        }
        count += 1;
    }
    let sent = match count {
        0 => 0,
        // SAFETY: `park` may run anywhere at any time; it has no argument, and `alone` flushes.
        _ => unsafe { xcall_post_many(others.as_ptr(), &work, ptr::null_mut()) },
    };
    let result = if sent < 0 {
        Err(Crowd::NotSent(sent))
    } else if sent != count {
        Err(Crowd::NotAll(sent, count))
    } else {
        // SAFETY: any context.
        let began = unsafe { xcall_now_ns() };
        let all = MEETING.gather(count as u32, || {
            // SAFETY: any context.
            unsafe { gates::dtrace_gates_relax() };
            // SAFETY: any context.
            unsafe { xcall_now_ns() }.wrapping_sub(began) < gather_ns
        });
        match all {
            true => Ok(write.take().map(|write| write())),
            false => Err(Crowd::Missing),
        }
    };
    let all_stayed = MEETING.let_go();
    // SAFETY: saved above, on this CPU.
    unsafe { shim::dtrace_shim_local_irq_restore(irqs) };
    if !all_stayed {
        pr_warn!("gates: a CPU went on before they were written: that took seconds\n");
    }
    result
}
