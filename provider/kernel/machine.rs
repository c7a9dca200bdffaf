// SPDX-License-Identifier: GPL-2.0
//! The kernel as the framework's machine.

use crate::surroundings::{now_ns, Kernel};
use crate::{cpus, shim};
use core::ptr;
use dtrace_program::{Cpu, Program, State};
use dtrace_provider::{Called, Error, Expression, Machine, Options};
use kernel::prelude::*;
use xcall_interface::{xcall_call, Work, NMI_SAFE};

/// The running kernel.
pub(crate) struct Host;

/// A function, as [`Machine::call`] is given one.
type Function<'a> = &'a (dyn Fn() + Sync);

/// # Safety
///
/// `arg` points to a [`Function`] that lives.
unsafe extern "C" fn trampoline(arg: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { (*arg.cast::<Function<'_>>())() }
}

// SAFETY:
// 1. local_irq_save and local_irq_restore; nothing moves with interrupts off; CPUs are numbered below
//    nr_cpu_ids.
// 2. An NMI-safe xcall: it waits, and what it runs has interrupts off. ENXIO with the hotplug lock held
//    and the CPU offline: it stays so. A CPU that is online but takes no calls is `NotReached`.
unsafe impl Machine for Host {
    type Irqs = c_ulong;
    type Environment = Cpu<Kernel>;
    type Expression = Program<Kernel>;

    fn irqs_off(&self) -> c_ulong {
        // SAFETY: any context; `irqs_restore` undoes it.
        unsafe { shim::dtrace_shim_local_irq_save() }
    }

    fn irqs_restore(&self, irqs: c_ulong) {
        // SAFETY: it came from `irqs_off` on this CPU.
        unsafe { shim::dtrace_shim_local_irq_restore(irqs) }
    }

    fn this_cpu(&self) -> usize {
        cpus::this() as usize
    }

    fn call(&self, cpu: usize, function: Function<'_>) -> Called {
        let work = Work {
            function: Some(trampoline),
            arg: (&raw const function).cast_mut().cast(),
            lane: NMI_SAFE,
            reserved: 0,
            within_ns: 0,
        };
        let cpu = cpu as u32;
        // SAFETY: `function` outlives the call, which waits; any CPU may run it.
        let errno = unsafe { xcall_call(cpu, &work, ptr::null_mut()) };
        match errno {
            0 => Called::Ran,
            _ if !cpus::is_online(cpu) => Called::Offline,
            _ => Called::NotReached,
        }
    }

    fn hold_cpus(&self) {
        // SAFETY: a task; `release_cpus` undoes it.
        unsafe { shim::dtrace_shim_cpus_read_lock() }
    }

    fn release_cpus(&self) {
        // SAFETY: `hold_cpus` took it.
        unsafe { shim::dtrace_shim_cpus_read_unlock() }
    }

    fn is_online(&self, cpu: usize) -> bool {
        cpus::is_online(cpu as u32)
    }

    fn pause(&self) {
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_msleep(1) }
    }

    fn is_late(&self, cpu: usize, waited_ns: u64) {
        pr_warn!(
            "CPU {cpu} has not answered for {} s: it takes no calls, or does not come out of a probe. Waiting on.\n",
            waited_ns / 1_000_000_000
        );
    }

    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn environment(&self, cpu: usize) -> Result<Cpu<Kernel>, Error> {
        Ok(Cpu::new(Kernel::new(cpu))?)
    }

    fn variables(
        &self,
        options: &Options,
        programs: &mut dyn Iterator<Item = &Program<Kernel>>,
    ) -> Result<<Program<Kernel> as Expression>::Variables, Error> {
        State::new(options, programs, cpus::count() as usize)
    }
}
