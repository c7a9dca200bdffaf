// SPDX-License-Identifier: GPL-2.0
//! Consumers come, say what they want, and go.

#![forbid(unsafe_code)]

use super::state::{OwnEcb, State};
use super::{ConsumerId, Control};
use crate::activity::Activity;
use crate::consumer::Consumer;
use crate::error::Error;
use crate::machine::Machine;
use crate::memory::{List, Node, Shared};
use crate::options::Options;
use dtrace_interface::options::OptionId;

/// Consumers at a time, at most.
const MAX_CONSUMERS: usize = 64;

impl<M: Machine> Control<M> {
    /// A consumer comes. `process` is whose firings are not recorded, see
    /// [`trace_itself`](Self::trace_itself) and [`set_process`](Self::set_process).
    ///
    /// # Errors
    ///
    /// `TooMany`. No memory.
    pub fn open(&mut self, process: u32) -> Result<ConsumerId, Error> {
        if self.states.len() >= MAX_CONSUMERS {
            return Err(Error::TooMany("consumers"));
        }
        let id = self.next_consumer;
        let now_ns = self.framework.machine.now_ns();
        let shared = Shared::new(Node::new(Consumer::new(process, now_ns)))?;
        let options = Options::default();
        let buffer_size = options.bytes(OptionId::BufferSize);
        self.states.push(State {
            id,
            shared: shared.clone(),
            options,
            formats: List::new(),
            ecbs: List::new(),
            aggregations: 0,
            aggregation_epids: List::new(),
            running: None,
            buffers: List::new(),
            told_unbuffered: List::new(),
            buffer_size,
            aggregation_size: 0,
            largest: (0, 0),
            key_size: 4,
            switches: 0,
            aggregation_drops: 0,
        })?;
        self.framework.consumers.append(shared, &mut self.writer);
        self.next_consumer = id.wrapping_add(1);
        Ok(ConsumerId(id))
    }

    /// A consumer goes, whatever it was doing: nothing of it is left. Cannot fail.
    pub fn close(&mut self, consumer: ConsumerId) {
        let Some(at) = self.states.iter().position(|state| state.id == consumer.0) else {
            return;
        };
        let Some(mut state) = self.states.swap_remove(at) else {
            return;
        };
        if self.states.is_empty() {
            self.states = List::new();
        }
        state.shared.activity.kill();
        self.withdraw(&mut state.ecbs);
        let framework = &self.framework;
        let running = state.shared.running.replace(None, &framework.clock);
        let shared =
            framework
                .consumers
                .take_out(&state.shared, &framework.clock, &mut self.writer);
        let synced = framework.synced();
        for own in &mut state.ecbs {
            if let Some(retired) = own.retired.take() {
                retired.free(&synced);
            }
        }
        if let Some(running) = running {
            running.free(&synced);
        }
        if let Some(shared) = shared {
            shared.free(&synced);
        }
    }

    /// Takes ECBs out of their probes; providers are told first where it was the last.
    pub(super) fn withdraw(&mut self, ecbs: &mut [OwnEcb<M>]) {
        for own in ecbs {
            let ecb = &own.ecb;
            if let Some(probe) = self.registry.probe_mut(ecb.probe) {
                probe.ecbs = probe.ecbs.saturating_sub(1);
                let (left, argument, provider) = (probe.ecbs, probe.argument, probe.provider);
                if left == 0 {
                    if let Some(provider) = self.registry.provider(provider) {
                        provider.disable(ecb.probe, argument);
                    }
                }
            }
            if let Some(chain) = self.framework.slots.get(ecb.probe) {
                own.retired = chain.take_out(ecb, &self.framework.clock, &mut self.writer);
            }
        }
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.states.len()
    }

    /// What a consumer is doing.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn activity(&self, consumer: ConsumerId) -> Result<Activity, Error> {
        Ok(self.state(consumer)?.shared.activity.get())
    }

    /// Another process traces now, before GO: that one's firings are not recorded.
    ///
    /// # Errors
    ///
    /// `NotFound`. `Busy`: tracing.
    pub fn set_process(&mut self, consumer: ConsumerId, process: u32) -> Result<(), Error> {
        let shared = &self.state(consumer)?.shared;
        if shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        shared.set_process(process);
        Ok(())
    }

    /// Whether the consumer's own process is traced as well.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn trace_itself(&mut self, consumer: ConsumerId, on: bool) -> Result<(), Error> {
        self.state(consumer)?.shared.trace_itself(on);
        Ok(())
    }

    /// Sets an option, before GO.
    ///
    /// # Errors
    ///
    /// `Invalid`: no such option or value. `Unsupported`: destructive actions. `Busy`: tracing.
    pub fn set_option(
        &mut self,
        consumer: ConsumerId,
        option: u32,
        value: u64,
    ) -> Result<(), Error> {
        let state = self.state_mut(consumer)?;
        let option = OptionId::from_raw(option).ok_or(Error::Invalid)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        let is_set = value != 0 && value != dtrace_interface::options::UNSET;
        match option {
            OptionId::Destructive if is_set => Err(Error::Unsupported("destructive actions")),
            _ if state.options.set(option, value) => Ok(()),
            _ => Err(Error::Invalid),
        }
    }

    /// The options: DOFGET.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn options(&self, consumer: ConsumerId) -> Result<&Options, Error> {
        Ok(&self.state(consumer)?.options)
    }
}
