// SPDX-License-Identifier: GPL-2.0
//! A machine for models: a loom thread plays a CPU, a park token the doorbell's interrupt.
//!
//! A ring sets the target's `rung` mark and unparks it; the mark is one latch, like an NMI's. loom
//! reports a deadlock when every thread is parked, which is how a ring that nobody owes shows.
//! A waiting thread parks too (loom starves the second of two threads that spin); what may end its
//! wait, a ring or the end of its call, unparks it. Where one thread waits it may spin instead.

use loom::thread::{self, Thread};
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use xcall::{Config, CpuId, CpuSet, Doorbell, Engine, Here, Lane, Level, Platform};

/// Models use this many CPUs at most; the numbers 5 to 7 lie under another mid of the summary tree.
pub const CPUS: usize = 8;

pub const BOTH_LANES: [Lane; 2] = Lane::ALL;

loom::thread_local! {
    static CPU: Cell<u32> = Cell::new(0);
    static IS_WOKEN: Cell<bool> = Cell::new(false);
    static LEVEL: Cell<Level> = Cell::new(Level::Task);
    static IRQS_ON: Cell<bool> = Cell::new(true);
}

/// A flag that loom knows.
pub type AtomicFlag = loom::sync::atomic::AtomicBool;

/// The engine a model works on. Plain atomics and mutexes below are not loom's: they are the
/// machine, not the code under test.
pub type ModelEngine = Engine<Machine>;

#[derive(Default)]
struct Cpu {
    thread: Mutex<Option<Thread>>,
    rung: AtomicBool,
    turns: AtomicU32,
}

#[derive(Default)]
struct Cpus {
    cpus: [Cpu; CPUS],
    /// How many rings from now on are lost.
    drop_rings: AtomicU32,
    now_ns: AtomicU64,
    /// How many turns of waiting loops move the clock before they park instead.
    ticks: AtomicU32,
    /// Waiting loops do not park, and nothing tells them of the end of their call.
    spins: AtomicBool,
}

impl Cpus {
    fn wake(&self, cpu: CpuId) {
        let thread = self.cpus[cpu.index()].thread.lock().unwrap().clone();
        if let Some(thread) = thread {
            thread.unpark();
        }
    }
}

/// The platform.
pub struct Machine(Arc<Cpus>);

/// A doorbell: a ring is one mark and one wake-up.
pub struct Bell(Arc<Cpus>, &'static str);

impl Doorbell for Bell {
    fn name(&self) -> &'static str {
        self.1
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

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        for cpu in targets.iter() {
            self.ring_one(here, cpu);
        }
    }

    fn ring_one(&self, _: &Here, cpu: CpuId) {
        let lost = self
            .0
            .drop_rings
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if lost.is_err() {
            self.0.cpus[cpu.index()].rung.store(true, Ordering::Relaxed);
            self.0.wake(cpu);
        }
    }
}

// SAFETY:
// 1. A loom thread keeps the CPU number it was given, and its level and interrupts are what the
//    model set.
// 2. Only a model's own hook interrupts a thread, and it plays an NMI.
// 3. Memory comes from the system allocator.
unsafe impl Platform for Machine {
    type Doorbell = Bell;
    type IrqState = bool;

    fn pin(&self) -> Here {
        let cpu = CpuId(CPU.with(Cell::get));
        // SAFETY: see above, 1.
        unsafe { Here::new(cpu, LEVEL.with(Cell::get), IRQS_ON.with(Cell::get)) }
    }

    fn unpin(&self, _: Here) {}

    fn irqs_off(&self) -> bool {
        IRQS_ON.with(|on| on.replace(false))
    }

    fn irqs_restore(&self, on: bool) {
        IRQS_ON.with(|irqs| irqs.set(on));
    }

    fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Ordering::Relaxed)
    }

    fn relax(&self, here: &Here, _: u64) {
        self.0.cpus[here.cpu().index()]
            .turns
            .fetch_add(1, Ordering::Relaxed);
        let tick = self
            .0
            .ticks
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if tick.is_ok() {
            self.0.now_ns.fetch_add(1, Ordering::Relaxed);
        } else if self.0.spins.load(Ordering::Relaxed) {
            thread::yield_now();
        } else {
            thread::park();
        }
    }

    fn resched(&self) {}

    fn completed(&self, caller: CpuId) {
        if !self.0.spins.load(Ordering::Relaxed) {
            self.0.wake(caller);
        }
    }

    fn watch_posts(&self, _: &Here) {}

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the engine asks for layouts of some size only.
        NonNull::new(unsafe { std::alloc::alloc(layout) })
    }

    unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: as our caller promises.
        unsafe { std::alloc::dealloc(memory.as_ptr(), layout) }
    }
}

/// A machine of a model, its CPUs online.
#[derive(Clone)]
pub struct Model {
    pub engine: Arc<ModelEngine>,
    cpus: Arc<Cpus>,
}

impl Model {
    /// A machine with `online` CPUs online; the calling thread plays the last of them.
    pub fn new(online: &[u32]) -> Self {
        Self::with_config(online, |_| {})
    }

    pub fn with_config(online: &[u32], change: impl Fn(&mut Config)) -> Self {
        let count = online.iter().max().map_or(1, |n| n + 1);
        let mut config = Config::new(count);
        config.deadline_ns = 1_000_000;
        config.ring_again_ns = 500_000;
        change(&mut config);
        let cpus = Arc::new(Cpus::default());
        let bells = ["weak", "strong"].map(|name| Bell(cpus.clone(), name));
        let engine = ModelEngine::new(Machine(cpus.clone()), config, bells).unwrap();
        let model = Self {
            engine: Arc::new(engine),
            cpus,
        };
        for cpu in online {
            CPU.with(|c| c.set(*cpu));
            model.engine.open();
        }
        model
    }

    /// The calling thread plays `cpu` from now on.
    pub fn become_cpu(&self, cpu: u32) {
        self.leave_cpu();
        CPU.with(|c| c.set(cpu));
        IS_WOKEN.with(|woken| woken.set(true));
        *self.cpus.cpus[cpu as usize].thread.lock().unwrap() = Some(thread::current());
        if self.is_rung(cpu) {
            thread::current().unpark();
        }
    }

    /// Waits for another thread's end. The calling thread plays no CPU any more, so that nothing
    /// unparks it: loom takes a join for a park.
    pub fn join<T>(&self, thread: thread::JoinHandle<T>) -> T {
        self.leave_cpu();
        thread.join().unwrap()
    }

    fn leave_cpu(&self) {
        if IS_WOKEN.with(|woken| woken.replace(false)) {
            let cpu = CPU.with(Cell::get) as usize;
            *self.cpus.cpus[cpu].thread.lock().unwrap() = None;
        }
    }

    /// Sets `flag` and wakes `cpu`, which waits for it by [`Model::wait_for`].
    pub fn tell(&self, cpu: u32, flag: &AtomicFlag) {
        flag.store(true, Ordering::Release);
        self.cpus.wake(CpuId(cpu));
    }

    /// Sleeps until `flag` is set.
    pub fn wait_for(&self, flag: &AtomicFlag) {
        while !flag.load(Ordering::Acquire) {
            thread::park();
        }
    }

    /// Another thread plays `cpu`: it runs `body`.
    pub fn on_cpu<T: 'static>(
        &self,
        cpu: u32,
        body: impl FnOnce(&Model) -> T + 'static,
    ) -> thread::JoinHandle<T> {
        let model = self.clone();
        thread::spawn(move || {
            model.become_cpu(cpu);
            body(&model)
        })
    }

    fn is_rung(&self, cpu: u32) -> bool {
        self.cpus.cpus[cpu as usize].rung.load(Ordering::Relaxed)
    }

    /// An idle CPU: sleeps, answers the doorbell, until `enough`.
    pub fn idle_until(&self, enough: impl Fn() -> bool) {
        let cpu = CPU.with(Cell::get);
        loop {
            if self.cpus.cpus[cpu as usize]
                .rung
                .swap(false, Ordering::Relaxed)
            {
                self.engine.answer(&BOTH_LANES);
            } else if enough() {
                return;
            } else {
                thread::park();
            }
        }
    }

    /// Waiting loops spin: only the engine's own words tell them of the end of their call, where a
    /// wake-up would order it too. For models with one waiter.
    pub fn waits_spin(&self) {
        self.cpus.spins.store(true, Ordering::Relaxed);
    }

    /// How many turns of waiting loops `cpu` has made.
    pub fn turns(&self, cpu: u32) -> u32 {
        self.cpus.cpus[cpu as usize].turns.load(Ordering::Relaxed)
    }

    /// The next `n` rings are lost.
    pub fn lose_rings(&self, n: u32) {
        self.cpus.drop_rings.store(n, Ordering::Relaxed);
    }

    /// Moves the clock.
    pub fn pass_time(&self, ns: u64) {
        self.cpus.now_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The next `n` turns of waiting loops take a nanosecond each.
    pub fn tick(&self, n: u32) {
        self.cpus.ticks.store(n, Ordering::Relaxed);
    }
}

/// Runs `body` as an NMI would on the CPU this thread plays.
pub fn in_nmi<T>(body: impl FnOnce() -> T) -> T {
    let level = LEVEL.with(|l| l.replace(Level::Nmi));
    let irqs = IRQS_ON.with(|on| on.replace(false));
    let result = body();
    IRQS_ON.with(|on| on.set(irqs));
    LEVEL.with(|l| l.set(level));
    // An interrupt ends a pause; and a wait in it may have taken a wake-up meant for one below.
    thread::current().unpark();
    result
}

/// Runs `body` with interrupts off on the CPU this thread plays.
pub fn irqs_off<T>(body: impl FnOnce() -> T) -> T {
    let irqs = IRQS_ON.with(|on| on.replace(false));
    let result = body();
    IRQS_ON.with(|on| on.set(irqs));
    result
}
