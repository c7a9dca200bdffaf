// SPDX-License-Identifier: GPL-2.0
//! CPUs that come and go, and a kernel that ends.

use crate::platform::engine;
use crate::{selection, shim};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::error::to_result;
use kernel::prelude::*;
use xcall::CpuId;

/// Set while all CPUs close for good, and none can go offline by itself: one grace period serves
/// for all.
static ALL_CLOSE: AtomicBool = AtomicBool::new(false);

/// `cpu`, which is this one, comes online. Task context.
#[no_mangle]
extern "C" fn xcall_cpu_online(cpu: c_uint) -> c_int {
    if let Some(engine) = engine() {
        for bell in engine.doorbells() {
            if !bell.cpu_online(CpuId(cpu)) {
                selection::give_up(engine, bell.kind());
            }
        }
        engine.open();
        crate::posts::cpu_online(engine.platform());
    }
    0
}

/// `cpu`, which is this one, goes offline. Task context.
#[no_mangle]
extern "C" fn xcall_cpu_offline(_cpu: c_uint) -> c_int {
    if let Some(engine) = engine() {
        engine.close();
        // Relaxed: set before this callback was made to run, by the task that waits for it.
        if ALL_CLOSE.load(Ordering::Relaxed) {
            return 0;
        }
        // Whoever found us open before has rung when this returns, since rings are rung with
        // preemption off. An NMI that arrived later would wait in a vCPU that is down, and be
        // nobody's when it comes up again.
        // SAFETY: Task context.
        unsafe { shim::xcall_shim_synchronize_rcu() };
    }
    0
}

/// CPUs are opened and closed as they come and go. Dropped, all are closed.
pub(crate) struct OnlineCpus;

impl OnlineCpus {
    /// Opens all that are online, and those to come. Task context; the engine is set.
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Task context, and not registered yet: the module is loaded once.
        to_result(unsafe { shim::xcall_shim_cpuhp_setup() })?;
        Ok(Self)
    }
}

impl Drop for OnlineCpus {
    fn drop(&mut self) {
        // SAFETY: Task context; unlocked below.
        unsafe { shim::xcall_shim_cpus_read_lock() };
        ALL_CLOSE.store(true, Ordering::Relaxed);
        // SAFETY: Registered in `register`; task context, CPUs locked.
        unsafe { shim::xcall_shim_cpuhp_remove_cpuslocked() };
        // As in `xcall_cpu_offline`, for all of them.
        // SAFETY: Task context.
        unsafe { shim::xcall_shim_synchronize_rcu() };
        // SAFETY: Locked above.
        unsafe { shim::xcall_shim_cpus_read_unlock() };
    }
}

/// The kernel has begun to panic: other CPUs may be stopped already. One CPU is left, any context.
#[no_mangle]
extern "C" fn xcall_panic() {
    if let Some(engine) = engine() {
        engine.halt();
    }
}

/// Calls end when the kernel panics. Dropped, they do no more.
pub(crate) struct PanicNotifier;

impl PanicNotifier {
    /// Task context.
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Task context, and not registered yet: the module is loaded once.
        to_result(unsafe { shim::xcall_shim_panic_notifier_register() })?;
        Ok(Self)
    }
}

impl Drop for PanicNotifier {
    fn drop(&mut self) {
        // SAFETY: Registered in `register`.
        unsafe { shim::xcall_shim_panic_notifier_unregister() }
    }
}
