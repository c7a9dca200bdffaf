// SPDX-License-Identifier: GPL-2.0
//! The machine's CPUs.

use crate::shim;

/// One more than the highest number of a CPU. Any context.
pub(crate) fn count() -> u32 {
    // SAFETY: reads a variable that no longer changes.
    unsafe { shim::dtrace_shim_nr_cpu_ids() }
}

/// The CPU this is, with preemption off.
pub(crate) fn this() -> u32 {
    // SAFETY: reads a per-CPU variable.
    unsafe { shim::dtrace_shim_smp_processor_id() }
}

/// Whether `cpu` is online; it stays so only while CPUs are held. Any context.
pub(crate) fn is_online(cpu: u32) -> bool {
    // SAFETY: the number of a CPU, checked first.
    cpu < count() && unsafe { shim::dtrace_shim_cpu_online(cpu) }
}
