// SPDX-License-Identifier: GPL-2.0
//! One CPU writes while all others stand still.

use super::shim as gates;
use crate::{cpus, shim};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dtrace_gates::{Parked, Rendezvous};
use kernel::prelude::*;
use xcall_interface::{xcall_flush, xcall_now_ns, xcall_post_many, Work, NMI_SAFE};

/// How long the writer waits for the others at first, with interrupts off; twice as long each time after. A
/// CPU that hears NMIs comes within microseconds, if its hypervisor lets it run.
const GATHER_NS: u64 = 20_000_000;
/// How often all others are asked. The last time they have 1.3 s.
const ATTEMPTS: u32 = 7;
/// Words of a set of as many CPUs as [`dtrace_gates::Facts`] allows.
const WORDS: usize = 64;

static MEETING: Rendezvous = Rendezvous::new();

/// How long a CPU waits for the others to come and stand still: longer than the writer gathers, and at first shorter than calls
/// from an NMI wait, for one may sit on the writer and wait for a CPU that stands still. Written before calls are
/// posted, which orders it before what they do: Relaxed.
static PATIENCE_NS: AtomicU64 = AtomicU64::new(0);

/// Why there was no moment alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crowd {
    /// The calls could not be sent.
    NotSent(c_int),
    /// A CPU did not come in time.
    Missing,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(errno) => write!(f, "the other CPUs could not be called: error {errno}"),
            Self::Missing => write!(f, "a CPU did not stand still in time"),
        }
    }
}

/// # Safety
///
/// None: it looks at statics only. NMI-safe: a CPU that parks on top of itself counts twice, which `gather` does
/// not take for all of them.
unsafe extern "C" fn park(_: *mut c_void) {
    // SAFETY: any context, as are those below.
    let began = unsafe { xcall_now_ns() };
    let patience_ns = PATIENCE_NS.load(Relaxed);
    let parked = MEETING.park(|| {
        // SAFETY: as above.
        unsafe { gates::dtrace_gates_relax() };
        // SAFETY: as above.
        unsafe { xcall_now_ns() }.wrapping_sub(began) < patience_ns
    });
    match parked {
        // The writer is told by the meeting.
        Parked::LetGo | Parked::GaveUp => {}
    }
}

/// Runs `write` once with interrupts off while every other CPU that is online stands still in an NMI-safe
/// call; or not at all. No CPU comes or goes meanwhile. Task context; one caller at a time.
pub(super) fn alone<R>(write: impl FnOnce() -> R) -> Result<R, Crowd> {
    // SAFETY: a task; undone below.
    unsafe { shim::dtrace_shim_cpus_read_lock() };
    let mut write = Some(write);
    let mut last = Crowd::Missing;
    let mut answer = None;
    for turn in 0..ATTEMPTS {
        match attempt(&mut write, GATHER_NS << turn) {
            Ok(done) => {
                answer = done;
                break;
            }
            Err(crowd) => last = crowd,
        }
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_msleep(10) };
    }
    // SAFETY: taken above.
    unsafe { shim::dtrace_shim_cpus_read_unlock() };
    answer.ok_or(last)
}

/// As [`alone`], once, with CPUs held.
fn attempt<R>(write: &mut Option<impl FnOnce() -> R>, gather_ns: u64) -> Result<Option<R>, Crowd> {
    let work = Work {
        function: Some(park),
        arg: ptr::null_mut(),
        lane: NMI_SAFE,
        reserved: 0,
        within_ns: 0,
    };
    let mut others = [0_u64; WORDS];
    PATIENCE_NS.store(gather_ns.saturating_mul(2), Relaxed);
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
        // SAFETY: `park` may run anywhere at any time; it has no argument, and is flushed below.
        _ => unsafe { xcall_post_many(others.as_ptr(), &work, ptr::null_mut()) },
    };
    let result = if sent != count {
        Err(Crowd::NotSent(sent))
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
    MEETING.let_go();
    // SAFETY: saved above, on this CPU.
    unsafe { shim::dtrace_shim_local_irq_restore(irqs) };
    // Nobody is on the way to the next meeting when it begins. With no limit, it succeeds in a task.
    // SAFETY: a task that may sleep.
    let _ = unsafe { xcall_flush(0) };
    result
}
