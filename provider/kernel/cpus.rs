// SPDX-License-Identifier: GPL-2.0
//! The machine's CPUs, and how something is done on one of them: by an xcall, or directly where the
//! CPU is offline.

use crate::shim;
use core::ptr;
use kernel::error::to_result;
use kernel::prelude::*;
use xcall_interface::{xcall_call, Work, NMI_SAFE};

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

/// While there is one, no CPU comes or goes.
pub(crate) struct Held(());

impl Held {
    /// Task context.
    pub(crate) fn new() -> Self {
        // SAFETY: a task; given back in `drop`.
        unsafe { shim::dtrace_shim_cpus_read_lock() };
        Self(())
    }

    /// Whether `cpu` is online, as long as this lasts.
    pub(crate) fn is_online(&self, cpu: u32) -> bool {
        // SAFETY: a number of a CPU, checked first.
        cpu < count() && unsafe { shim::dtrace_shim_cpu_online(cpu) }
    }

    /// Runs `work` on `cpu`, with interrupts off there, and in an NMI maybe, on top of a probe; here
    /// and now where that CPU is offline. Not at all on an error: ETIMEDOUT: it did not answer.
    pub(crate) fn run_on<F: Fn() + Sync>(&self, cpu: u32, work: &F) -> Result {
        if cpu >= count() {
            return Err(EINVAL);
        }
        if !self.is_online(cpu) {
            // Nothing runs there, and it cannot come back before this is dropped.
            work();
            return Ok(());
        }
        let work = Work {
            function: Some(trampoline::<F>),
            arg: ptr::from_ref(work).cast_mut().cast(),
            lane: NMI_SAFE,
            reserved: 0,
            within_ns: 0,
        };
        // SAFETY: `work` outlives the call, which waits; `F: Sync`, so any CPU may run it.
        to_result(unsafe { xcall_call(cpu, &work, ptr::null_mut()) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: taken in `new`.
        unsafe { shim::dtrace_shim_cpus_read_unlock() };
    }
}

/// # Safety
///
/// `arg` is an `&F` that lives.
unsafe extern "C" fn trampoline<F: Fn()>(arg: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { (*arg.cast::<F>())() }
}

/// Interrupts are off on this CPU while there is one.
pub(crate) struct InterruptsOff(c_ulong);

impl InterruptsOff {
    /// Any context.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: given back in `drop`, on the same CPU: nothing moves with interrupts off.
        Self(unsafe { shim::dtrace_shim_local_irq_save() })
    }
}

impl Drop for InterruptsOff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: came from `new`, on this CPU.
        unsafe { shim::dtrace_shim_local_irq_restore(self.0) };
    }
}
