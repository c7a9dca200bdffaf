// SPDX-License-Identifier: GPL-2.0
//! GO, STOP and STATUS: when a consumer traces, and how that stands.

#![forbid(unsafe_code)]

use super::{ConsumerId, Control};
use crate::activity::Activity;
use crate::consumer::Consumer;
use crate::error::Error;
use crate::expression::Variables;
use crate::framework::{Framework, BEGIN, END};
use crate::machine::Machine;
use crate::memory::Node;
use dtrace_interface::options::OptionId;
use dtrace_interface::status::Status;
use dtrace_interface::Plain;

impl<M: Machine> Control<M> {
    /// Tracing begins: BEGIN fires on this CPU, then all probes may. The CPU's number.
    ///
    /// # Errors
    ///
    /// `Busy`: it has begun before. `TooMany`: END's records do not fit into a fill buffer. No memory, also
    /// with smaller buffers (unless `bufresize` is manual); a fill buffer is not made smaller than END's
    /// records.
    pub fn go(&mut self, consumer: ConsumerId) -> Result<usize, Error> {
        let at = self.at(consumer)?;
        let framework = self.framework.clone();
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        let wanted = state.options;
        let made = state.prepare(&framework).and_then(|()| {
            framework.machine.hold_cpus();
            let made = state.make_all_buffers(&framework);
            framework.machine.release_cpus();
            made
        });
        if let Err(error) = made {
            state.unprepare(&framework);
            state.options = wanted;
            return Err(error);
        }
        let shared = state.shared.clone();
        shared.heard(framework.machine.now_ns());
        shared.activity.step(Activity::Inactive, Activity::Warmup);
        let cpu = fire_own(&framework, BEGIN, &shared);
        shared.activity.step(Activity::Warmup, Activity::Active);
        Ok(cpu)
    }

    /// Tracing ends: END fires on this CPU, then nothing does. The CPU's number.
    ///
    /// # Errors
    ///
    /// `Invalid`: it is not tracing.
    pub fn stop(&mut self, consumer: ConsumerId) -> Result<usize, Error> {
        let framework = self.framework.clone();
        let state = self.state_mut(consumer)?;
        let shared = state.shared.clone();
        let activity = &shared.activity;
        if !activity.step(Activity::Active, Activity::Draining)
            && !matches!(activity.get(), Activity::Draining | Activity::Killed)
        {
            return Err(Error::Invalid);
        }
        framework.sync();
        // A killed consumer's END does not fire: its activity does not let it.
        let cpu = fire_own(&framework, END, &shared);
        activity.step(Activity::Draining, Activity::Cooldown);
        framework.sync();
        activity.step(Activity::Cooldown, Activity::Stopped);
        Ok(cpu)
    }

    /// Nothing of this consumer fires from now on: the deadman's.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn kill(&mut self, consumer: ConsumerId) -> Result<(), Error> {
        self.state(consumer)?.shared.activity.kill();
        Ok(())
    }

    /// How a consumer's tracing stands: STATUS. CPUs that came on line get their buffers here.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn status(&mut self, consumer: ConsumerId) -> Result<Status, Error> {
        let framework = self.framework.clone();
        let at = self.at(consumer)?;
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        state.shared.heard(framework.machine.now_ns());
        state.attend_cpus(&framework);
        let mut status = Status::ZERO;
        state.clean(&framework);
        if let Some(running) = &state.running {
            let drops = running.variables.drops(None);
            status.dynamic_drops = drops.full;
            status.dynamic_rinsing_drops = drops.rinsing;
            status.dynamic_dirty_drops = drops.dirty;
        }
        let activity = state.shared.activity.get();
        (status.errors, status.double_errors) = state.shared.errors();
        status.filled = state.shared.filled();
        status.killed = (activity == Activity::Killed).into();
        status.exiting = (activity == Activity::Draining).into();
        Ok(status)
    }

    /// Variables that probes gave up may be used again. In how many nanoseconds it is to be called next, by
    /// the option `cleanrate`; None: no consumer that traces needs it.
    pub fn clean(&mut self) -> Option<u64> {
        const SHORTEST_NS: u64 = 1_000_000;
        let framework = &self.framework;
        let tracing = self.states.iter().filter(|state| {
            matches!(
                state.shared.activity.get(),
                Activity::Warmup | Activity::Active | Activity::Draining
            )
        });
        let rates = tracing.filter_map(|state| {
            let rate = state.options.get(OptionId::CleanRate).max(SHORTEST_NS);
            state.clean(framework).then_some(rate)
        });
        rates.min()
    }
}

/// Fires one of the framework's own probes for one consumer; on which CPU.
fn fire_own<M: Machine>(
    framework: &Framework<M>,
    probe: u32,
    consumer: &Node<Consumer<M>>,
) -> usize {
    let irqs = framework.machine.irqs_off();
    let cpu = framework.machine.this_cpu();
    if let Some(chain) = framework.slots.get(probe) {
        framework.fire_here(cpu, chain, &[0; 10], Some(consumer));
    }
    framework.machine.irqs_restore(irqs);
    cpu
}
