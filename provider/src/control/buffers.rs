// SPDX-License-Identifier: GPL-2.0
//! A consumer's buffers: for CPUs as they come, smaller where memory is short.

#![forbid(unsafe_code)]

use super::state::State;
use crate::aggregation::AggregationHalf;
use crate::consumer::CpuBuffers;
use crate::error::Error;
use crate::framework::Framework;
use crate::half::Half;
use crate::halves::Halves;
use crate::machine::Machine;
use crate::memory::Shared;
use dtrace_interface::options::{BufferPolicy, OptionId};

/// A half of a buffer is not made smaller than this where memory is short.
pub(super) const SMALLEST_BUFFER: usize = 4096;

impl<M: Machine> State<M> {
    /// Buffers for the CPUs that are on line; smaller ones where memory is short. CPUs held.
    pub(super) fn make_all_buffers(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        loop {
            match self.make_buffers(framework) {
                Err(Error::OutOfMemory) if !self.is_exact() => {
                    if self.buffer_size.max(self.aggregation_size) <= SMALLEST_BUFFER {
                        return Err(Error::OutOfMemory);
                    }
                    let half = |size: usize| match size {
                        0 => 0,
                        size => (size / 2)
                            .max(SMALLEST_BUFFER.min(size))
                            .next_multiple_of(8),
                    };
                    self.buffer_size = half(self.buffer_size);
                    self.aggregation_size = half(self.aggregation_size);
                    let keep = self.running.as_ref().map_or(0, |running| running.keep);
                    if self.options.policy() == BufferPolicy::Fill && keep > self.buffer_size {
                        return Err(Error::OutOfMemory);
                    }
                }
                Ok(()) => break,
                Err(error) => return Err(error),
            }
        }
        self.options.lower(OptionId::BufferSize, self.buffer_size);
        if self.aggregations != 0 {
            let size = self.aggregation_size;
            self.options.lower(OptionId::AggregationSize, size);
        }
        Ok(())
    }

    /// Buffers for the CPUs that are on line and have none. CPUs held.
    pub(super) fn make_buffers(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        let Some(running) = self.running.clone() else {
            return Ok(());
        };
        for (cpu, place) in self.buffers.iter_mut().enumerate() {
            let is_traced = running.only_cpu.is_none_or(|only| only == cpu);
            if place.is_some() || !is_traced || !framework.machine.is_online(cpu) {
                continue;
            }
            let policy = self.options.policy();
            let second = match policy {
                BufferPolicy::Switch => self.buffer_size,
                // Read once: there is nothing to switch to.
                _ => 0,
            };
            let (size, key) = (self.aggregation_size, self.key_size);
            let first = Half::new(self.buffer_size, policy)?;
            let buffers = Shared::new(CpuBuffers {
                principal: Halves::new(cpu, first, Half::new(second, policy)?),
                aggregation: Halves::new(
                    cpu,
                    AggregationHalf::new(size, key)?,
                    AggregationHalf::new(size, key)?,
                ),
            })?;
            *place = Some(buffers.clone());
            let (principal, aggregation) = self.largest;
            self.largest = (principal.max(self.buffer_size), aggregation.max(size));
            if let Some(published) = running.cpus.get(cpu) {
                let old = published.replace(Some(buffers), &framework.clock);
                debug_assert!(old.is_none());
            }
        }
        Ok(())
    }

    /// Firings that a CPU dropped while it had no buffers and that no snapshot told.
    pub(super) fn tell_unbuffered(&mut self, cpu: usize) -> u64 {
        let running = self.running.as_ref();
        let count = running.and_then(|running| running.unbuffered.get(cpu));
        let (Some(count), Some(told)) = (count, self.told_unbuffered.get_mut(cpu)) else {
            return 0;
        };
        let now = count.load();
        now.wrapping_sub(core::mem::replace(told, now))
    }

    /// Buffers for CPUs that came on line. Without memory their firings are dropped, and counted.
    pub(super) fn attend_cpus(&mut self, framework: &Framework<M>) {
        framework.machine.hold_cpus();
        let _ = self.make_buffers(framework);
        framework.machine.release_cpus();
    }
}
