// SPDX-License-Identifier: GPL-2.0
//! The kernel as the engine's platform, and the one engine of this machine.

use crate::doorbell::{Bell, Kinds};
use crate::percpu::{self, PerCpu};
use crate::shim;
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use kernel::prelude::*;
use xcall::credit::Credit;
use xcall::{CpuId, Here, Level, Platform};

/// The engine on this kernel.
pub(crate) type Engine = xcall::Engine<Kernel>;

/// After how many turns of a waiting loop a virtual CPU under Xen yields.
const YIELD_EVERY: u64 = 256;

/// What one CPU heard.
#[derive(Default)]
pub(crate) struct Heard {
    /// Runs of doorbell handlers, by [`Kind`](crate::doorbell::Kind).
    pub(crate) runs: [AtomicU64; Kinds::COUNT],
    /// Of those, the ones that found no call.
    pub(crate) empty: [AtomicU64; Kinds::COUNT],
    /// NMIs that nobody claimed and that were ours.
    pub(crate) unknown_claimed: AtomicU64,
}

/// The running kernel.
pub(crate) struct Kernel {
    /// Set if this is a guest of Xen's.
    xen: bool,
    /// NMIs sent and not seen yet.
    pub(crate) credits: PerCpu<Credit>,
    pub(crate) heard: PerCpu<Heard>,
    /// Set while a CPU's irq_work or timer looks after its posted calls, see `posts.rs`.
    pub(crate) watching: PerCpu<AtomicBool>,
}

impl Kernel {
    /// Task context.
    pub(crate) fn new(nmi_credit_ns: u64) -> Result<Self> {
        Ok(Self {
            // SAFETY: Reads a variable that no longer changes.
            xen: unsafe { shim::xcall_shim_xen_domain() },
            credits: PerCpu::new(|| Credit::lasting(nmi_credit_ns))?,
            heard: PerCpu::new(Heard::default)?,
            watching: PerCpu::new(AtomicBool::default)?,
        })
    }
}

/// The CPU the caller is on. It may be another at once, unless preemption is off. Any context.
pub(crate) fn current_cpu_racy() -> CpuId {
    // SAFETY: Reads a per-CPU variable.
    CpuId(unsafe { shim::xcall_shim_smp_processor_id() })
}

/// The kernel's fast monotonic clock in nanoseconds: any context, and it goes on with interrupts off
/// whatever clock source the machine has, which the scheduler's clock does not. Waits for no other CPU.
pub(crate) fn now_ns() -> u64 {
    // SAFETY: No precondition; any context is said in kernel/time/timekeeping.c.
    unsafe { shim::xcall_shim_now_ns() }
}

/// Whether the kernel counts `cpu`, which is this one, as online. On its way down a CPU runs its
/// irq_works once more after that has ended, and then none until it comes up again. Any context.
pub(crate) fn runs_irq_works(cpu: CpuId) -> bool {
    // SAFETY: Reads a set of CPUs, for a possible one.
    unsafe { shim::xcall_shim_cpu_online(cpu.0) }
}

/// Where a caller stands, by the bits of shim.h.
fn level(place: u64) -> Level {
    const IN_NMI: u64 = 1 << 32;
    const IN_HARDIRQ: u64 = 1 << 33;
    const IN_SOFTIRQ: u64 = 1 << 34;
    if place & IN_NMI != 0 {
        Level::Nmi
    } else if place & IN_HARDIRQ != 0 {
        Level::HardIrq
    } else if place & IN_SOFTIRQ != 0 {
        Level::SoftIrq
    } else {
        Level::Task
    }
}

// SAFETY:
// 1. `pin` turns preemption off before it looks where it is; `unpin` turns it on again.
// 2. local_irq_save and local_irq_restore.
// 3. `percpu::allocate`, `percpu::free`.
unsafe impl Platform for Kernel {
    type Doorbell = Bell;
    type IrqState = c_ulong;

    fn pin(&self) -> Here {
        const IRQS_DISABLED: u64 = 1 << 35;
        // SAFETY: `unpin` enables preemption again.
        let place = unsafe { shim::xcall_shim_preempt_disable_where() };
        let irqs_on = place & IRQS_DISABLED == 0;
        // SAFETY: Preemption is off until `unpin`, so the caller stays on the CPU named in the lower
        // half; read from this CPU.
        unsafe { Here::new(CpuId(place as u32), level(place), irqs_on) }
    }

    fn unpin(&self, _here: Here) {
        // SAFETY: Matches the one in `pin`.
        unsafe { shim::xcall_shim_preempt_enable() }
    }

    fn irqs_off(&self) -> c_ulong {
        // SAFETY: `irqs_restore` undoes it.
        unsafe { shim::xcall_shim_local_irq_save() }
    }

    fn irqs_restore(&self, state: c_ulong) {
        // SAFETY: `state` came from `irqs_off` on this CPU.
        unsafe { shim::xcall_shim_local_irq_restore(state) }
    }

    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn relax(&self, _here: &Here, turn: u64) {
        if self.xen && turn % YIELD_EVERY == YIELD_EVERY - 1 {
            // SAFETY: Yields this vCPU; it comes back with nothing changed. The answer is always 0.
            unsafe { shim::xcall_shim_HYPERVISOR_sched_op(xen_sys::SCHEDOP_yield as c_int) };
        } else {
            // SAFETY: A pause instruction.
            unsafe { shim::xcall_shim_cpu_relax() }
        }
    }

    fn resched(&self) {
        // SAFETY: A task that may sleep.
        unsafe { shim::xcall_shim_cond_resched() }
    }

    fn completed(&self, _caller: CpuId) {}

    fn watch_posts(&self, here: &Here) {
        crate::posts::watch(self, here.cpu());
    }

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        percpu::allocate(layout)
    }

    unsafe fn free(&self, memory: NonNull<u8>, _layout: Layout) {
        // SAFETY: The caller's promise.
        unsafe { percpu::free(memory) }
    }
}

/// The engine, from the moment it is made until nobody can call it.
static ENGINE: AtomicPtr<Engine> = AtomicPtr::new(ptr::null_mut());

/// The engine, while there is one.
///
/// Callers: doorbell handlers and other callbacks, which run with preemption off and which
/// `Live::drop` waits for; and the exported functions, whose callers' modules hold this one.
#[inline]
pub(crate) fn engine() -> Option<&'static Engine> {
    // Acquire engine:get, pairs with engine:set: the engine is complete.
    let engine = ENGINE.load(Ordering::Acquire);
    // SAFETY: Null, or set by `set_engine`, whose caller keeps the engine until those above are
    // through with it.
    unsafe { engine.as_ref() }
}

/// Makes `engine` the one that [`engine`] answers.
///
/// # Safety
///
/// It stays where it is until [`clear_engine`] has returned.
pub(crate) unsafe fn set_engine(engine: &Engine) {
    // Release engine:set, pairs with engine:get: the engine is complete.
    ENGINE.store(ptr::from_ref(engine).cast_mut(), Ordering::Release);
}

/// Takes the engine back: when this returns, no callback uses it any more. Task context.
pub(crate) fn clear_engine() {
    // Relaxed: nothing is passed on; the grace period below orders the end of its use.
    ENGINE.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: Task context. Callbacks that still see the engine run with preemption off, or in an
    // interrupt or NMI: they end before the grace period does.
    unsafe { shim::xcall_shim_synchronize_rcu() }
}
