// SPDX-License-Identifier: GPL-2.0
//! What probes reach: CPUs, ECBs by probe, consumers; and what the control side waits for them by.

#![forbid(unsafe_code)]

use crate::aggregation::AggregationHalf;
use crate::consumer::{Consumer, CpuBuffers, Ecb};
use crate::cpu::Cpu;
use crate::error::Error;
use crate::half::Half;
use crate::machine::{Called, Machine};
use crate::memory::{Chain, Writer};
use crate::memory::{Clock, List, Synced};
use crate::slots::Slots;
use core::sync::atomic::{AtomicU64, Ordering};

/// The number of dtrace:::BEGIN.
pub const BEGIN: u32 = 1;
/// The number of dtrace:::END.
pub const END: u32 = 2;
/// The number of dtrace:::ERROR.
pub const ERROR: u32 = 3;

/// How often the control side looks for a switch before it asks again.
const LOOKS: usize = if cfg!(loom) { 2 } else { 20 };

/// How long the control side waits for a CPU before it says so.
const LATE_NS: u64 = 10_000_000_000;

/// A wait for one CPU: it goes on as long as it must, and is told of once when it is long.
struct Wait {
    cpu: usize,
    begun_ns: u64,
    is_told: bool,
}

impl Wait {
    fn new<M: Machine>(machine: &M, cpu: usize) -> Self {
        Self {
            cpu,
            begun_ns: machine.now_ns(),
            is_told: false,
        }
    }

    /// A pause. Task.
    fn pause<M: Machine>(&mut self, machine: &M) {
        machine.pause();
        let waited_ns = machine.now_ns().saturating_sub(self.begun_ns);
        if waited_ns >= LATE_NS && !self.is_told {
            self.is_told = true;
            machine.is_late(self.cpu, waited_ns);
        }
    }
}

/// The part of the framework that probes reach, from any context.
///
/// A module keeps it where its probes find it, and drops it when no probe can call
/// [`fire`](Self::fire) any more: after `Control` is gone and the hooks' own synchronisation is over.
pub struct Framework<M: Machine> {
    pub(crate) machine: M,
    pub(crate) cpus: List<Cpu<M::Environment>>,
    pub(crate) slots: Slots<Ecb<M>>,
    pub(crate) consumers: Chain<Consumer<M>>,
    pub(crate) clock: Clock,
}

/// Which buffer a switch is about.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    Principal,
    Aggregation,
}

impl<M: Machine> Framework<M> {
    /// For CPUs numbered below `cpus`. Task.
    ///
    /// # Errors
    ///
    /// No memory.
    pub(crate) fn new(machine: M, cpus: usize) -> Result<Self, Error> {
        let made = List::try_made(cpus, |cpu| {
            Ok::<_, Error>(Cpu::new(cpu, machine.environment(cpu)?))
        })?;
        Ok(Self {
            machine,
            cpus: made,
            slots: Slots::new()?,
            consumers: Chain::empty(),
            clock: Clock::new(),
        })
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// How many CPUs there can be.
    pub fn cpus(&self) -> usize {
        self.cpus.len()
    }

    /// Whether a probe has an ECB. Any context; a hint.
    #[inline]
    pub fn is_enabled(&self, probe: u32) -> bool {
        self.slots.get(probe).is_some_and(|chain| !chain.is_empty())
    }

    /// Firings that a CPU refused as it was inside one. Any context.
    pub fn nested(&self, cpu: usize) -> u64 {
        self.cpus.get(cpu).map_or(0, Cpu::nested)
    }

    /// Ends the tracing of each consumer that has not asked for its status for `limit_ns`; how many. Task.
    ///
    /// It needs nothing that the control side holds, which may be what tracing keeps from going on:
    /// consumers are looked at from inside a firing of no probe.
    pub fn kill_silent(&self, limit_ns: u64) -> usize {
        let now_ns = self.machine.now_ns();
        let irqs = self.machine.irqs_off();
        let mut killed = 0_usize;
        let cpu = self.cpus.get(self.machine.this_cpu());
        if let Some((cpu, mut entered)) = cpu.and_then(|cpu| Some((cpu, cpu.enter()?))) {
            entered.with(|inside, _, _, _| {
                for consumer in self.consumers.walk(inside) {
                    let is_silent = now_ns.saturating_sub(consumer.heard_ns()) > limit_ns;
                    if is_silent && consumer.activity.kill_active() {
                        killed = killed.saturating_add(1);
                    }
                }
            });
            self.leave(cpu, entered);
        }
        self.machine.irqs_restore(irqs);
        killed
    }

    /// Waits until every firing that is under way on any CPU is over. Task, CPUs not held.
    ///
    /// A cross-call's answer is not enough: it may come from inside a firing. So the call says which
    /// firing it landed in, and that one is waited for.
    pub fn sync(&self) {
        let _ = self.synced();
    }

    /// [`sync`](Self::sync); the proof of it.
    pub(crate) fn synced(&self) -> Synced {
        let synced = self.clock.begin();
        self.machine.hold_cpus();
        for (number, cpu) in self.cpus.iter().enumerate() {
            let seen = AtomicU64::new(0);
            let mut wait = Wait::new(&self.machine, number);
            loop {
                let look = || {
                    let firing = cpu.firing().unwrap_or(0);
                    // Relaxed: the call orders it before its answer.
                    seen.store(firing, Ordering::Relaxed);
                };
                match self.machine.call(number, &look) {
                    // Off line: it runs nothing.
                    Called::Offline => break,
                    Called::NotReached => self.let_cpus_change(&mut wait),
                    Called::Ran => {
                        // Odd: a firing. 0: none.
                        let firing = seen.load(Ordering::Relaxed);
                        while firing != 0 && cpu.is_in(firing) {
                            wait.pause(&self.machine);
                        }
                        break;
                    }
                }
            }
        }
        self.machine.release_cpus();
        synced
    }

    /// Has `cpu` give its half of one of `buffers` to the control side; returns when it did. Task, CPUs
    /// not held, buffers of that CPU.
    ///
    /// The call switches at once where it lands outside of a firing. Where it lands inside one it leaves a
    /// wish that the firing's end fulfils. So the answer of the call is not looked at, but the count of
    /// switches is.
    pub(crate) fn switch(&self, cpu: usize, buffers: &CpuBuffers, which: Which, _: &mut Writer) {
        let switches = || match which {
            Which::Principal => buffers.principal.switches(),
            Which::Aggregation => buffers.aggregation.switches(),
        };
        let before = switches();
        let mut wait = Wait::new(&self.machine, cpu);
        self.machine.hold_cpus();
        while switches() == before {
            let ask = || self.switch_here(cpu, buffers, which, before);
            match self.machine.call(cpu, &ask) {
                Called::Ran => {}
                // It runs nothing and stays so while the CPUs are held: on its behalf.
                Called::Offline => ask(),
                Called::NotReached => {
                    self.let_cpus_change(&mut wait);
                    continue;
                }
            }
            for _ in 0..LOOKS {
                if switches() != before {
                    break;
                }
                wait.pause(&self.machine);
            }
        }
        self.machine.release_cpus();
    }

    /// A pause without the CPUs, which the caller holds: one that takes no calls may be on its way off line.
    fn let_cpus_change(&self, wait: &mut Wait) {
        self.machine.release_cpus();
        wait.pause(&self.machine);
        self.machine.hold_cpus();
    }

    /// The call of a switch, on `cpu` or on its behalf. Interrupts off, NMI-safe.
    fn switch_here(&self, cpu: usize, buffers: &CpuBuffers, which: Which, before: u64) {
        let Some(cpu) = self.cpus.get(cpu) else {
            return;
        };
        match cpu.enter::<Half, AggregationHalf>() {
            Some(mut entered) => {
                entered.with(|_, pen, aggregation_pen, _| match which {
                    Which::Principal => buffers.principal.switch_from(before, pen),
                    Which::Aggregation => buffers.aggregation.switch_from(before, aggregation_pen),
                });
                self.leave(cpu, entered);
            }
            None => {
                match which {
                    Which::Principal => buffers.principal.want_from(before),
                    Which::Aggregation => buffers.aggregation.want_from(before),
                }
                cpu.want();
            }
        }
    }
}
