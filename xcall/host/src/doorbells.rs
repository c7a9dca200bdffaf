// SPDX-License-Identifier: GPL-2.0
//! The doorbells of a machine made of threads.

use crate::cpus::{Cpus, State};
use crate::signals;
use std::sync::Arc;
use xcall::{CpuId, CpuSet, Doorbell, Here, Lane};

fn signal(cpus: &Cpus, cpu: CpuId, signal: i32) {
    if let Some(tid) = cpus.get(cpu).and_then(State::thread) {
        signals::send(tid, signal);
    }
}

/// A signal that comes at any instruction, interrupts off or not: what an NMI is to a CPU.
#[derive(Debug)]
pub struct Signal {
    cpus: Arc<Cpus>,
}

impl Signal {
    /// The doorbell of `cpus`.
    pub fn new(cpus: &Arc<Cpus>) -> Self {
        Self { cpus: cpus.clone() }
    }
}

impl Doorbell for Signal {
    fn name(&self) -> &'static str {
        "signal"
    }

    fn drains(&self, lane: Lane) -> bool {
        lane == Lane::NmiSafe
    }

    fn maskable(&self) -> bool {
        false
    }

    fn rings_from_nmi(&self) -> bool {
        true
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        targets.iter().for_each(|cpu| self.ring_one(here, cpu));
    }

    fn ring_one(&self, _: &Here, cpu: CpuId) {
        signal(&self.cpus, cpu, signals::NMI);
    }
}

/// A signal that waits while the target has interrupts off: what an event channel or a maskable
/// IPI is to a CPU.
#[derive(Debug)]
pub struct MaskedSignal {
    cpus: Arc<Cpus>,
    from_nmi: bool,
}

impl MaskedSignal {
    /// The doorbell of `cpus`. It may be rung from an NMI, as an event channel may.
    pub fn new(cpus: &Arc<Cpus>) -> Self {
        Self {
            cpus: cpus.clone(),
            from_nmi: true,
        }
    }

    /// Not to be rung from an NMI, as a maskable IPI must not be.
    #[must_use]
    pub fn not_from_nmi(mut self) -> Self {
        self.from_nmi = false;
        self
    }
}

impl Doorbell for MaskedSignal {
    fn name(&self) -> &'static str {
        "masked-signal"
    }

    fn drains(&self, _: Lane) -> bool {
        true
    }

    fn maskable(&self) -> bool {
        true
    }

    fn rings_from_nmi(&self) -> bool {
        self.from_nmi
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        targets.iter().for_each(|cpu| self.ring_one(here, cpu));
    }

    fn ring_one(&self, here: &Here, cpu: CpuId) {
        assert!(self.from_nmi || !here.in_nmi(), "rung from an NMI");
        signal(&self.cpus, cpu, signals::IRQ);
    }
}

/// A flag that the target looks at when it polls ([`Cpu::poll`](crate::Cpu::poll)).
#[derive(Debug)]
pub struct Polled {
    cpus: Arc<Cpus>,
}

impl Polled {
    /// The doorbell of `cpus`.
    pub fn new(cpus: &Arc<Cpus>) -> Self {
        Self { cpus: cpus.clone() }
    }
}

impl Doorbell for Polled {
    fn name(&self) -> &'static str {
        "polled"
    }

    fn drains(&self, _: Lane) -> bool {
        true
    }

    fn maskable(&self) -> bool {
        true
    }

    fn rings_from_nmi(&self) -> bool {
        true
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        targets.iter().for_each(|cpu| self.ring_one(here, cpu));
    }

    fn ring_one(&self, _: &Here, cpu: CpuId) {
        if let Some(state) = self.cpus.get(cpu) {
            state.ring_polled();
        }
    }
}
