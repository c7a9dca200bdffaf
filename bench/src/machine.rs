// SPDX-License-Identifier: GPL-2.0
//! A machine that costs nothing: one thread plays all CPUs in turn, so what is counted is the
//! engine's own.

use crate::step::{self, Side};
use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use xcall::{Config, CpuId, CpuSet, Doorbell, Engine, Here, Lane, Level, Platform};

/// The CPU that is played now. Its interrupts are on, its clock stands still.
struct Played(AtomicU32);

/// The platform.
pub struct Machine(Arc<Played>);

// SAFETY:
// 1. One thread plays all CPUs, one at a time: `Bench::on`.
// 2. Nothing interrupts it.
// 3. Memory is the process's allocator's.
unsafe impl Platform for Machine {
    type Doorbell = Bell;
    type IrqState = ();

    #[inline]
    fn pin(&self) -> Here {
        // SAFETY:
        // 1. This thread plays that CPU, and plays another only by `Bench::on`, within which values
        //    from before are not used.
        // 2. It says so: a task, interrupts on.
        unsafe { Here::new(CpuId(self.0 .0.load(Relaxed)), Level::Task, true) }
    }

    #[inline]
    fn unpin(&self, _: Here) {}

    #[inline]
    fn irqs_off(&self) {}

    #[inline]
    fn irqs_restore(&self, (): ()) {}

    #[inline]
    fn now_ns(&self) -> u64 {
        0
    }

    #[inline]
    fn relax(&self, _: &Here, _: u64) {}

    #[inline]
    fn resched(&self) {}

    #[inline]
    fn completed(&self, _: CpuId) {}

    #[inline]
    fn watch_posts(&self, _: &Here) {}

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

/// A doorbell that has its targets answer within the ring, or does nothing.
pub struct Bell {
    shared: Arc<Shared>,
}

struct Shared {
    played: Arc<Played>,
    engine: OnceLock<&'static Engine<Machine>>,
    answers: AtomicBool,
}

impl Shared {
    fn on<R>(&self, cpu: CpuId, f: impl FnOnce() -> R) -> R {
        let outer = self.played.0.load(Relaxed);
        self.played.0.store(cpu.0, Relaxed);
        let result = f();
        self.played.0.store(outer, Relaxed);
        result
    }
}

impl Doorbell for Bell {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn drains(&self, _: Lane) -> bool {
        true
    }

    fn maskable(&self) -> bool {
        false
    }

    fn rings_from_nmi(&self) -> bool {
        true
    }

    #[inline]
    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        targets.iter().for_each(|cpu| self.ring_one(here, cpu));
    }

    #[inline]
    fn ring_one(&self, _: &Here, cpu: CpuId) {
        if !self.shared.answers.load(Relaxed) {
            return;
        }
        let Some(engine) = self.shared.engine.get() else {
            return;
        };
        self.shared.on(cpu, || {
            step::on_side(Side::Drain);
            engine.answer(&[Lane::NmiSafe]);
            step::on_side(Side::Send);
        });
    }
}

/// An engine with all its CPUs online, and the thread that plays them.
pub struct Bench {
    shared: Arc<Shared>,
    engine: &'static Engine<Machine>,
}

impl Bench {
    /// `cpus` CPUs. Its memory is never given back: the doorbell refers to the engine.
    pub fn new(cpus: u32) -> Self {
        let played = Arc::new(Played(AtomicU32::new(0)));
        let shared = Arc::new(Shared {
            played: played.clone(),
            engine: OnceLock::new(),
            answers: AtomicBool::new(false),
        });
        let bell = Bell {
            shared: shared.clone(),
        };
        let engine = Engine::new(Machine(played), Config::new(cpus), [bell]);
        let engine: &'static _ = Box::leak(Box::new(engine.expect("memory for an engine")));
        let _ = shared.engine.set(engine);
        let bench = Self { shared, engine };
        for cpu in (0..cpus).map(CpuId) {
            bench.on(cpu, || engine.open());
        }
        bench
    }

    /// The engine.
    pub fn engine(&self) -> &'static Engine<Machine> {
        self.engine
    }

    /// Runs `f` on `cpu`.
    #[inline]
    pub fn on<R>(&self, cpu: CpuId, f: impl FnOnce() -> R) -> R {
        self.shared.on(cpu, f)
    }

    /// Whether a ring has its target answer at once.
    pub fn answer_rings(&self, answer: bool) {
        self.shared.answers.store(answer, Relaxed);
    }
}
