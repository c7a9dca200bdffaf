// SPDX-License-Identifier: GPL-2.0
//! Looking after posted calls, for which nobody spins: an irq_work soon, then a timer, both on the
//! CPU that posted.

use crate::platform::{current_cpu_racy, engine, now_ns, runs_irq_works, Kernel};
use crate::shim;
use core::sync::atomic::Ordering;
use xcall::{CpuId, Platform};

/// Makes sure that [`xcall_posts_due`] runs soon on `cpu`, which is this one. Any context.
///
/// On a CPU that is going down it may be too late for an irq_work, which unloading would wait for:
/// then a flush looks after the call, or the CPU itself when it comes up again.
pub(crate) fn watch(kernel: &Kernel, cpu: CpuId) {
    let Some(watching) = kernel.watching.get(cpu) else {
        return;
    };
    if !runs_irq_works(cpu) {
        return;
    }
    // Relaxed: own CPU only.
    if !watching.swap(true, Ordering::Relaxed) {
        // SAFETY: Preemption is off: our caller is pinned.
        unsafe { shim::xcall_shim_posts_irq_work_queue() }
    }
}

/// This CPU comes online. A timer it had when it went offline ran elsewhere, and calls it has posted
/// since may be under way. Task context.
pub(crate) fn cpu_online(kernel: &Kernel) {
    let here = kernel.pin();
    if let Some(watching) = kernel.watching.get(here.cpu()) {
        // Relaxed: own CPU only.
        watching.store(false, Ordering::Relaxed);
    }
    watch(kernel, here.cpu());
    kernel.unpin(here);
}

/// The irq_work, or the timer: a hard or soft interrupt on the CPU that posted.
#[no_mangle]
extern "C" fn xcall_posts_due() {
    let Some(engine) = engine() else {
        return;
    };
    let Some(watching) = engine.platform().watching.get(current_cpu_racy()) else {
        return;
    };
    // First this, then the look: an NMI that posts in between has us called again.
    // Relaxed: own CPU only.
    watching.store(false, Ordering::Relaxed);
    if let Some(next_ns) = engine.tend() {
        watching.store(true, Ordering::Relaxed);
        // SAFETY: An interrupt, so preemption is off, and not an NMI.
        unsafe { shim::xcall_shim_posts_mod_timer(next_ns.saturating_sub(now_ns())) }
    }
}
