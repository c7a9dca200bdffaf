// SPDX-License-Identifier: GPL-2.0
//! The CPUs, and the threads that play them.
//!
//! What a CPU knows of itself is written by the thread that plays it and by the signal handlers
//! that interrupt that thread, never by two threads at once. So its words are Relaxed atomics with
//! a compiler fence: a thread sees its own handlers' writes in program order.

use crate::platform::HostEngine;
use crate::signals;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{compiler_fence, AtomicBool, AtomicI32, AtomicU8, Ordering::*};
use std::sync::Arc;
use xcall::{CpuId, Lane, Level};

/// The CPUs of a machine made of threads, and the state each would have in hardware.
pub struct Cpus {
    each: Box<[CachePadded<State>]>,
}

impl Cpus {
    /// CPUs 0 to `count - 1`, all with interrupts on and no thread to play them yet.
    pub fn new(count: u32) -> Arc<Self> {
        signals::install();
        Arc::new(Self {
            each: (0..count).map(|_| CachePadded::new(State::new())).collect(),
        })
    }

    pub(crate) fn get(&self, cpu: CpuId) -> Option<&State> {
        self.each.get(cpu.index()).map(|s| &**s)
    }
}

impl fmt::Debug for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpus")
            .field("count", &self.each.len())
            .finish()
    }
}

/// A CPU's state.
pub(crate) struct State {
    /// The thread that plays it, as the kernel numbers threads; 0: none.
    thread: AtomicI32,
    irqs_on: AtomicBool,
    level: AtomicU8,
    /// A maskable signal came while interrupts were off.
    irq_pending: AtomicBool,
    /// The polled doorbell was rung. Set by other CPUs.
    rung: AtomicBool,
    /// Posted calls want tending.
    watching: AtomicBool,
}

impl State {
    fn new() -> Self {
        Self {
            thread: AtomicI32::new(0),
            irqs_on: AtomicBool::new(true),
            level: AtomicU8::new(Level::Task as u8),
            irq_pending: AtomicBool::new(false),
            rung: AtomicBool::new(false),
            watching: AtomicBool::new(false),
        }
    }

    /// The thread to signal, if one plays this CPU.
    pub(crate) fn thread(&self) -> Option<i32> {
        Some(self.thread.load(Relaxed)).filter(|tid| *tid != 0)
    }

    /// Release, pairs with the Acquire in [`Cpu::poll`]: who polls sees what was sent before.
    pub(crate) fn ring_polled(&self) {
        self.rung.store(true, Release);
    }

    pub(crate) fn watch_posts(&self) {
        self.watching.store(true, Relaxed);
    }

    pub(crate) fn irqs_are_on(&self) -> bool {
        self.irqs_on.load(Relaxed)
    }

    pub(crate) fn level(&self) -> Level {
        match self.level.load(Relaxed) {
            0 => Level::Task,
            1 => Level::SoftIrq,
            2 => Level::HardIrq,
            _ => Level::Nmi,
        }
    }

    /// Turns interrupts off; returns whether they were on.
    pub(crate) fn irqs_off(&self) -> bool {
        let were_on = self.irqs_on.swap(false, Relaxed);
        compiler_fence(SeqCst);
        were_on
    }

    fn set_irqs(&self, on: bool) {
        compiler_fence(SeqCst);
        self.irqs_on.store(on, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Runs `f` at `level` with interrupts off, as hardware enters a handler.
    fn interrupted<R>(&self, level: Level, f: impl FnOnce() -> R) -> R {
        let irqs = self.irqs_off();
        let below = self.level.swap(level as u8, Relaxed);
        compiler_fence(SeqCst);
        let result = f();
        compiler_fence(SeqCst);
        self.level.store(below, Relaxed);
        self.set_irqs(irqs);
        result
    }
}

/// A CPU as the thread that plays it sees it.
pub struct Cpu<'e> {
    id: CpuId,
    engine: &'e HostEngine,
    state: &'e State,
    _this_thread: PhantomData<*mut ()>,
}

thread_local! {
    /// The CPU this thread plays: a `Cpu` that lies in an `act_as` further up this thread's stack.
    /// No destructor and a constant start value: a signal handler may read it at any time.
    static PLAYED: Cell<*const Cpu<'static>> = const { Cell::new(std::ptr::null()) };
}

/// Gives `f` the CPU this thread plays, if it plays one. Any context.
pub fn with_played<R>(f: impl FnOnce(Option<&Cpu<'_>>) -> R) -> R {
    let played = PLAYED.get();
    // SAFETY: null, or set by `act_as`, which puts back the value from before ahead of the `Cpu`'s
    // end, also when it unwinds. Signal handlers run on this very thread, so not later than that.
    f(unsafe { played.as_ref() })
}

/// The CPU this thread plays. Any context.
pub fn current_cpu() -> Option<CpuId> {
    with_played(|cpu| cpu.map(|c| c.id))
}

/// Whether the CPU this thread plays is in an NMI. Any context.
pub fn in_nmi() -> bool {
    with_played(|cpu| cpu.is_some_and(|c| c.state.level() == Level::Nmi))
}

/// Whether the CPU this thread plays has interrupts on. Any context.
pub fn irqs_on() -> bool {
    with_played(|cpu| cpu.is_some_and(|c| c.state.irqs_are_on()))
}

/// Plays CPU `cpu` of `engine` on this thread while `play` runs. May be nested with other CPUs: the
/// innermost is played, the others stand still.
///
/// # Panics
///
/// If there is no such CPU, or a thread plays it already.
pub fn act_as<R>(engine: &HostEngine, cpu: CpuId, play: impl FnOnce(&Cpu<'_>) -> R) -> R {
    let state = engine.platform().cpus().get(cpu);
    let state = state.unwrap_or_else(|| panic!("the machine has no {cpu}"));
    // Acquire and, in Leave, Release: the next thread that plays it sees what this one left.
    let taken = state
        .thread
        .compare_exchange(0, signals::this_thread(), Acquire, Relaxed);
    assert!(taken.is_ok(), "{cpu} is played already");
    let playing = Cpu {
        id: cpu,
        engine,
        state,
        _this_thread: PhantomData,
    };

    /// Ends the play, also when it unwinds.
    struct Leave<'a> {
        outer: *const Cpu<'static>,
        state: &'a State,
    }
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            compiler_fence(SeqCst);
            PLAYED.set(self.outer);
            compiler_fence(SeqCst);
            self.state.thread.store(0, Release);
        }
    }
    let _leave = Leave {
        outer: PLAYED.get(),
        state,
    };
    compiler_fence(SeqCst);
    PLAYED.set((&raw const playing).cast());
    compiler_fence(SeqCst);
    play(&playing)
}

impl<'e> Cpu<'e> {
    /// Its number.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// The engine it belongs to.
    pub fn engine(&self) -> &'e HostEngine {
        self.engine
    }

    pub(crate) fn state(&self) -> &State {
        self.state
    }

    /// What an idle CPU does: answers the polled doorbell if it was rung, and tends posted calls.
    /// With interrupts off it does nothing, as a maskable doorbell would. Returns calls run.
    pub fn poll(&self) -> u32 {
        assert_eq!(current_cpu(), Some(self.id), "another CPU is played here");
        if !self.state.irqs_are_on() {
            return 0;
        }
        let ran = if self.state.rung.swap(false, Acquire) {
            self.answer_irq() + self.answer_pending()
        } else {
            0
        };
        if self.state.watching.swap(false, Relaxed) && self.engine.tend().is_some() {
            self.state.watch_posts();
        }
        ran
    }

    /// Runs `f` with maskable interrupts off.
    pub fn irqs_off<R>(&self, f: impl FnOnce() -> R) -> R {
        let were_on = self.state.irqs_off();
        let result = f();
        self.irqs_restore(were_on);
        result
    }

    /// Runs `f` in a soft interrupt.
    pub fn softirq<R>(&self, f: impl FnOnce() -> R) -> R {
        let below = self.state.level.swap(Level::SoftIrq as u8, Relaxed);
        let result = f();
        self.state.level.store(below, Relaxed);
        result
    }

    /// Runs `f` in a hard interrupt, at this instruction.
    pub fn irq<R>(&self, f: impl FnOnce() -> R) -> R {
        let result = self.state.interrupted(Level::HardIrq, f);
        self.answer_pending();
        result
    }

    /// Runs `f` in an NMI, at this instruction: no signal of ours is taken meanwhile.
    pub fn nmi<R>(&self, f: impl FnOnce() -> R) -> R {
        signals::blocked(|| self.state.interrupted(Level::Nmi, f))
    }

    pub(crate) fn irqs_restore(&self, were_on: bool) {
        if !were_on {
            return;
        }
        self.state.set_irqs(true);
        self.answer_pending();
    }

    /// Answers the maskable signals that came while interrupts were off, if they are on now: one
    /// that comes from here on is answered by its handler. Returns calls run.
    fn answer_pending(&self) -> u32 {
        let mut ran = 0;
        while self.state.irqs_are_on() && self.state.irq_pending.swap(false, Relaxed) {
            ran += self.answer_irq();
        }
        ran
    }

    fn answer_irq(&self) -> u32 {
        self.state
            .interrupted(Level::HardIrq, || self.engine.answer(&Lane::ALL))
    }

    /// The maskable signal has come.
    pub(crate) fn take_irq(&self) {
        if self.state.irqs_are_on() {
            self.answer_irq();
            self.answer_pending();
        } else {
            self.state.irq_pending.store(true, Relaxed);
        }
    }

    /// The signal that plays an NMI has come.
    pub(crate) fn take_nmi(&self) {
        self.state
            .interrupted(Level::Nmi, || self.engine.answer(&[Lane::NmiSafe]));
    }
}

impl fmt::Debug for Cpu<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cpu").field(&self.id).finish()
    }
}
