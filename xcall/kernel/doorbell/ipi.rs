// SPDX-License-Identifier: GPL-2.0
//! The maskable IPI: the kernel's own cross-call, one descriptor per target. Every machine has it.
//!
//! `smp_call_function_single_async` takes its descriptor's lock bit with plain stores, so it must
//! not be called twice at once for the same one. Our own atomic decides who may. It is given back
//! at the start of the handler: a ring after that is a new one, a ring before that is heard by the
//! drain that follows.
//!
//! A ring to the own CPU would run at once, whatever its interrupts; an irq_work waits for them.

use super::{answer, Bell, Kind, Without};
use crate::percpu::PerCpu;
use crate::platform::{self, engine};
use crate::shim;
use core::sync::atomic::{AtomicBool, Ordering};
use xcall::{CpuId, Here, Lane};

pub(crate) struct Ipi {
    /// Set while a ring to that CPU is on its way.
    taken: PerCpu<AtomicBool>,
}

impl Ipi {
    pub(super) fn new() -> Result<Self, Without> {
        Ok(Self {
            taken: PerCpu::new(AtomicBool::default)?,
        })
    }

    pub(super) fn ring_one(&self, here: &Here, cpu: CpuId) {
        let Some(taken) = self.taken.get(cpu) else {
            return;
        };
        // Interrupts off from taking to queueing: one in between would find it taken, and nothing
        // on its way before it returns. NMIs do not ring this.
        // SAFETY: Restored below, on this CPU.
        let irqs = unsafe { shim::xcall_shim_local_irq_save() };
        Self::take_and_ring(here, cpu, taken);
        // SAFETY: Saved above.
        unsafe { shim::xcall_shim_local_irq_restore(irqs) };
    }

    fn take_and_ring(here: &Here, cpu: CpuId, taken: &AtomicBool) {
        // AcqRel ipi:take, pairs with ipi:give: if a ring is on its way already, its handler has
        // not drained yet and sees what we have published.
        if taken.swap(true, Ordering::AcqRel) {
            return;
        }
        if cpu == here.cpu() {
            // SAFETY: Not an NMI (`rings_from_nmi`), and preemption is off.
            unsafe { shim::xcall_shim_irq_work_queue_ring() };
            return;
        }
        // SAFETY: Not an NMI; we took the descriptor.
        let errno = unsafe { shim::xcall_shim_smp_call_function_single_async(cpu.0) };
        if errno != 0 {
            // The CPU is offline: nothing is on its way. The engine finds its mailbox closed.
            // Relaxed: passes nothing on.
            taken.store(false, Ordering::Relaxed);
        }
    }

    /// A ring has arrived at `cpu`, which is this one.
    fn arrived(&self, cpu: CpuId) {
        if let Some(taken) = self.taken.get(cpu) {
            // AcqRel ipi:give, pairs with ipi:take: what was published before a ring that found
            // this taken is seen by the drain that follows.
            taken.swap(false, Ordering::AcqRel);
        }
    }

    /// Waits until no ring is on its way. Nobody rings any more.
    pub(super) fn retire(&self) {
        // Relaxed: nothing is read after it but by the grace period's leave.
        while self.taken.iter().any(|taken| taken.load(Ordering::Relaxed)) {
            // SAFETY: Task context.
            unsafe { shim::xcall_shim_msleep(1) };
        }
        // SAFETY: Task context.
        unsafe { shim::xcall_shim_irq_work_sync_rings() };
        // Handlers run with interrupts off: the grace period in `clear_engine` outlasts them.
    }
}

/// A maskable IPI or irq_work of ours: interrupts off here, on in what it interrupted.
#[no_mangle]
extern "C" fn xcall_ipi_rung() {
    let Some(engine) = engine() else {
        return;
    };
    for bell in engine.doorbells() {
        if let Bell::Ipi(ipi) = bell {
            ipi.arrived(platform::current_cpu_racy());
        }
    }
    answer(engine, Kind::Ipi, &Lane::ALL);
}
