// SPDX-License-Identifier: GPL-2.0
//! One call, for a tool that wants to know whether a CPU takes calls right now.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::prelude::*;
use xcall_interface as xcall;
use xcall_stress_protocol::OneCall;

/// Calls `cpu` and waits, within xcall's own time limit. A task.
pub(crate) fn make(cpu: u32) -> OneCall {
    let ran = AtomicU32::new(0);
    let work = xcall::Work {
        function: Some(count),
        arg: (&raw const ran).cast_mut().cast(),
        lane: xcall::NMI_SAFE,
        reserved: 0,
        within_ns: 0,
    };
    // SAFETY: `count` is sound anywhere; `ran` outlives the waiting call; no report is wanted.
    let errno = unsafe { xcall::xcall_call(cpu, &work, core::ptr::null_mut()) };
    OneCall {
        size: size_of::<OneCall>() as u32,
        cpu,
        errno,
        // Relaxed: a call that ran has ended, and xcall orders that.
        ran: ran.load(Relaxed),
    }
}

/// # Safety
///
/// `arg` is the `AtomicU32` of a `make` that has not returned.
unsafe extern "C" fn count(arg: *mut c_void) {
    // SAFETY: promised by the caller.
    unsafe { &*arg.cast::<AtomicU32>() }.fetch_add(1, Relaxed);
}
