// SPDX-License-Identifier: GPL-2.0
//! DTrace's deadman: the tracing of a consumer that has not asked for its status for long is ended. What
//! it traces may be what keeps it from running.

use crate::{live, shim};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::prelude::*;

/// How often consumers are looked at, where the limit is longer than that.
const LOOK_MS: c_uint = 1000;

/// The limit, or None: consumers may be silent for ever.
fn limit_ms() -> Option<c_uint> {
    // SAFETY: reads a parameter.
    let ms = unsafe { shim::dtrace_shim_param_deadman_ms() };
    (ms != 0).then_some(ms)
}

/// Consumers that are looked after. Relaxed: what is written before work is queued, the work sees
/// (queue_work() in include/linux/workqueue.h), and whoever counts itself queues it afterwards.
static WATCHED: AtomicU32 = AtomicU32::new(0);

/// Looks after consumers, until it is dropped.
pub(crate) struct Deadman(());

impl Deadman {
    /// Task context; once.
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Drop for Deadman {
    fn drop(&mut self) {
        // SAFETY: a task, and the control side's lock is not held.
        unsafe { shim::dtrace_shim_deadman_stop() };
    }
}

/// A consumer's share: it is looked after until this is dropped.
pub(crate) struct Watched(());

impl Watched {
    /// Task context.
    pub(crate) fn new() -> Self {
        WATCHED.fetch_add(1, Relaxed);
        arm();
        Self(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        WATCHED.fetch_sub(1, Relaxed);
    }
}

fn arm() {
    if let Some(ms) = limit_ms() {
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_deadman_arm(ms.min(LOOK_MS)) };
    }
}

/// It is time to look. A task.
#[no_mangle]
extern "C" fn dtrace_deadman_due() {
    let limit_ns = u64::from(limit_ms().unwrap_or(c_uint::MAX)).saturating_mul(1_000_000);
    // Not the control side: an ioctl that tracing keeps from its end may hold its lock.
    let killed = live::framework(|framework| framework.kill_silent(limit_ns)).unwrap_or(0);
    if killed != 0 {
        pr_warn!("ended {killed} consumers that were silent for too long (parameter deadman_ms)\n");
    }
    if WATCHED.load(Relaxed) != 0 {
        arm();
    }
}
