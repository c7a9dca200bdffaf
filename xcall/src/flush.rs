// SPDX-License-Identifier: GPL-2.0
//! Flushing: waiting until posted calls have ended.

use crate::call::Lane;
use crate::context::{Here, Level};
use crate::cpu::{CpuId, CpuList};
use crate::doorbell::MAX_DOORBELLS;
use crate::engine::{Engine, SlotId};
use crate::platform::Platform;
use crate::send::Purpose;
use crate::slot::{RESERVED, SLOTS};
use core::fmt;

/// Why a flush gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushError {
    /// Not a task with interrupts on.
    Context,
    /// Posted calls are still under way on these CPUs. The caller must not unload.
    Unfinished(CpuList),
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlushError::Context => f.write_str("a flush needs a task with interrupts on"),
            FlushError::Unfinished(cpus) => write!(f, "posted calls under way on {cpus}"),
        }
    }
}

impl core::error::Error for FlushError {}

impl<P: Platform> Engine<P> {
    /// Waits until every call posted before, from any CPU, has ended: what a module does before it
    /// unloads. A task that may sleep.
    ///
    /// Calls that others post meanwhile are not waited for, but for one a slot. Waits `within_ns`
    /// nanoseconds at most, or without limit if None.
    ///
    /// # Errors
    ///
    /// [`FlushError`].
    pub fn flush(&self, within_ns: Option<u64>) -> Result<(), FlushError> {
        let in_task =
            self.pinned(|here| here.level() == Level::Task && here.may_run(Lane::Ordinary));
        if !in_task {
            return Err(FlushError::Context);
        }
        let started_ns = self.platform.now_ns();
        let deadline_ns = within_ns.map_or(u64::MAX, |ns| started_ns.saturating_add(ns));
        for cpu in (0..self.config.cpus).map(CpuId) {
            for slot in RESERVED..SLOTS {
                self.flush_slot(SlotId { cpu, slot }, deadline_ns)?;
            }
        }
        Ok(())
    }

    fn flush_slot(&self, id: SlotId, deadline_ns: u64) -> Result<(), FlushError> {
        let slot = self.slot(id);
        let generation = slot.generation();
        let mut left = slot.whole();
        let mut rings = 0;
        let mut ring_again_ns = self
            .platform
            .now_ns()
            .saturating_add(self.config.ring_again_ns);
        for turn in 0.. {
            // Moved on: the call we wait for ended before its slot was filled again.
            if slot.is_ended(&mut left) || slot.generation() != generation {
                break;
            }
            let now_ns = self.platform.now_ns();
            if now_ns >= deadline_ns {
                let mut unfinished = CpuList::new();
                slot.unended().for_each(|cpu| unfinished.push(cpu));
                return Err(FlushError::Unfinished(unfinished));
            }
            let ring = now_ns >= ring_again_ns;
            if ring {
                rings += 1;
                ring_again_ns = now_ns.saturating_add(self.config.ring_again_ns);
            }
            self.pinned(|here| {
                self.answer_while_waiting(here, turn == 0);
                self.tend_here(here);
                if ring {
                    self.ring_for(here, id, rings);
                }
                self.platform.relax(here, turn);
            });
            self.platform.resched();
        }
        Ok(())
    }

    /// Rings, from any CPU, at the targets of posted call `id` that have not started, a rung higher
    /// each time: its own CPU may be offline by now. At worst a ring too many, if the slot has moved
    /// on.
    fn ring_for(&self, here: &Here, id: SlotId, rings: usize) {
        if id.cpu == here.cpu() {
            return;
        }
        let Some(own) = self.claim(here, Purpose::Wait) else {
            return;
        };
        for lane in Lane::ALL {
            let mut climb = (0..=rings.min(MAX_DOORBELLS)).rev();
            if let Some(rung) = climb.find_map(|from| self.ladder.at_least(here, lane, from)) {
                self.ring_unstarted(here, id, own, lane, rung, None);
            }
        }
        self.release(here, own);
    }
}
