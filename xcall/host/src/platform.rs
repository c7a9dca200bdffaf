// SPDX-License-Identifier: GPL-2.0
//! What the engine asks of a machine, answered by threads.

use crate::bell::Bell;
use crate::cpus::{with_played, Cpu, Cpus};
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use xcall::{Config, CpuId, Engine, Here, NewError, Platform};

/// An engine on threads.
pub type HostEngine = Engine<Host>;

/// An engine for `cpus`. All are offline until the threads that play them open them.
///
/// # Errors
///
/// As [`Engine::new`].
pub fn engine(
    cpus: &Arc<Cpus>,
    config: Config,
    doorbells: impl IntoIterator<Item = Bell>,
) -> Result<HostEngine, NewError> {
    Engine::new(Host { cpus: cpus.clone() }, config, doorbells)
}

/// A machine made of threads.
#[derive(Debug)]
pub struct Host {
    cpus: Arc<Cpus>,
}

/// Turns of a waiting loop before it lets other threads run: there may be more CPUs than cores.
const SPINS: u64 = 16;

impl Host {
    /// The CPUs.
    pub fn cpus(&self) -> &Arc<Cpus> {
        &self.cpus
    }

    /// Gives `f` the CPU of this machine that this thread plays.
    fn here<R>(&self, f: impl FnOnce(&Cpu<'_>) -> R) -> R {
        with_played(|cpu| match cpu {
            Some(cpu) if Arc::ptr_eq(cpu.engine().platform().cpus(), &self.cpus) => f(cpu),
            _ => panic!("this thread plays no CPU of this engine: see act_as"),
        })
    }
}

// SAFETY:
// 1. A thread plays a CPU alone (`act_as` sees to it), until `act_as` ends; level and flag are the
//    CPU's own.
// 2. While the flag says off, the maskable signal's handler only notes that it came.
// 3. Memory is the process's allocator's.
unsafe impl Platform for Host {
    type Doorbell = Bell;
    type IrqState = bool;

    fn pin(&self) -> Here {
        self.here(|cpu| {
            let state = cpu.state();
            // SAFETY:
            // 1. This thread plays `cpu`, and nobody else does.
            // 2. Both are what the CPU's state says.
            unsafe { Here::new(cpu.id(), state.level(), state.irqs_are_on()) }
        })
    }

    fn unpin(&self, _: Here) {}

    fn irqs_off(&self) -> bool {
        self.here(|cpu| cpu.state().irqs_off())
    }

    fn irqs_restore(&self, were_on: bool) {
        self.here(|cpu| cpu.irqs_restore(were_on));
    }

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn relax(&self, _: &Here, turn: u64) {
        if turn < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }

    fn resched(&self) {
        std::thread::yield_now();
    }

    fn completed(&self, _: CpuId) {}

    /// The next [`Cpu::poll`] of this CPU tends.
    fn watch_posts(&self, _: &Here) {
        self.here(|cpu| cpu.state().watch_posts());
    }

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        assert_ne!(layout.size(), 0);
        // SAFETY: the size is not zero.
        NonNull::new(unsafe { std::alloc::alloc(layout) })
    }

    unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller gives back what `allocate` gave, with the same layout.
        unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
    }
}

/// Nanoseconds of CLOCK_MONOTONIC. Any context, signal handlers included (signal-safety(7)).
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` lives; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
