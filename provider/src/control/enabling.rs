// SPDX-License-Identifier: GPL-2.0
//! ENABLE: clauses become ECBs at the probes that match, all of a file or none.

#![forbid(unsafe_code)]

use super::state::{OwnEcb, State};
use super::{ConsumerId, Control};
use crate::activity::{Activity, Role};
use crate::clause::Clause;
use crate::consumer::{Consumer, Ecb};
use crate::counts::EcbCounters;
use crate::description::ClauseDescription;
use crate::error::Error;
use crate::expression::Expression;
use crate::framework::{BEGIN, END, ERROR};
use crate::machine::Machine;
use crate::memory::{List, Node, Shared};

/// ECBs of a consumer, at most.
const MAX_ECBS: usize = 1 << 20;
/// ECBs of a probe, of all consumers, at most: a firing walks them all.
const MAX_ECBS_OF_PROBE: usize = 4096;
/// Format strings of a consumer, at most: their numbers are 16 bits wide.
const MAX_FORMATS: usize = u16::MAX as usize;

impl<M: Machine> Control<M> {
    /// Enables a clause at every probe that matches, before GO; how many those are. Either all of them or
    /// none.
    ///
    /// # Errors
    ///
    /// `Unsupported`, `Invalid`, `TooMany`: the clause. `Busy`: tracing. A provider's error. No memory.
    pub fn enable(
        &mut self,
        consumer: ConsumerId,
        description: ClauseDescription<'_, M::Expression>,
    ) -> Result<usize, Error> {
        let at = self.at(consumer)?;
        let cpus = self.framework.cpus();
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        if state.shared.activity.get() != Activity::Inactive {
            return Err(Error::Busy);
        }
        let pattern = description.pattern;
        let State {
            formats, options, ..
        } = &mut *state;
        let clause = Clause::new(description, options, |text| number_of(formats, text))?;
        let clause = Shared::new(clause)?;
        state.key_size = state.key_size.max(clause.key_size);

        let first = state.ecbs.len();
        let mut from = 1;
        let mut result = Ok(());
        while let Some(probe) = self.registry.first_match(from, &pattern) {
            from = probe.id.saturating_add(1);
            result = self.enable_one(at, probe.id, &clause, cpus);
            if result.is_err() {
                break;
            }
        }
        let Some(state) = self.states.get_mut(at) else {
            return Err(Error::NotFound);
        };
        match result {
            Ok(()) => Ok(state.ecbs.len().saturating_sub(first)),
            Err(error) => {
                self.undo(at, first);
                Err(error)
            }
        }
    }

    /// Runs `f`; if it fails, what it enabled and set for the consumer is taken back: ENABLE is of a whole
    /// file or of nothing.
    ///
    /// # Errors
    ///
    /// `f`'s.
    pub fn all_or_nothing<R, E>(
        &mut self,
        consumer: ConsumerId,
        f: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let before = self.state(consumer).map(|state| {
            let formats = state.formats.len();
            (state.ecbs.len(), formats, state.options, state.key_size)
        });
        let result = f(self);
        if let (Err(_), Ok((ecbs, formats, options, key_size))) = (&result, before) {
            if let Ok(at) = self.at(consumer) {
                self.undo(at, ecbs);
            }
            if let Ok(state) = self.state_mut(consumer) {
                while state.formats.len() > formats {
                    state.formats.pop();
                }
                (state.options, state.key_size) = (options, key_size);
            }
        }
        result
    }

    /// Whether all that a consumer has enabled agrees on its variables: asked within
    /// [`all_or_nothing`](Self::all_or_nothing), when the file's last clause is in.
    ///
    /// # Errors
    ///
    /// `Variable`, `TooMany`. `NotFound`. No memory.
    pub fn check_variables(&self, consumer: ConsumerId) -> Result<(), Error> {
        let state = self.state(consumer)?;
        let programs = state.programs()?;
        M::Expression::agree(&state.options, &mut programs.iter().copied())
    }

    fn enable_one(
        &mut self,
        at: usize,
        probe: u32,
        clause: &Shared<Clause<M::Expression>>,
        cpus: usize,
    ) -> Result<(), Error> {
        let state = self.states.get_mut(at).ok_or(Error::NotFound)?;
        let probe = self.registry.probe(probe).ok_or(Error::NotFound)?;
        let (id, argument, provider) = (probe.id, probe.argument, probe.provider);
        if state.ecbs.len() >= MAX_ECBS {
            return Err(Error::TooMany("enabled probes"));
        }
        if probe.ecbs >= MAX_ECBS_OF_PROBE {
            return Err(Error::TooMany("clauses of a probe"));
        }
        let epid = (state.ecbs.len() as u32).saturating_add(1);
        let ecb = Shared::new(Node::new(Ecb {
            epid,
            probe: probe.id,
            role: match probe.id {
                BEGIN => Role::Begin,
                END => Role::End,
                ERROR => Role::Error,
                _ => Role::Any,
            },
            name: probe.name.clone(),
            clause: clause.clone(),
            first_aggregation: state.aggregations.wrapping_add(1),
            consumer: state.shared.clone(),
            counters: List::try_made(cpus, |_| Ok::<_, Error>(EcbCounters::new()))?,
        }))?;
        let chain = self.framework.slots.get(probe.id).ok_or(Error::NotFound)?;
        // From here on only the provider may refuse, and then nothing was done.
        state.ecbs.reserve(1)?;
        state
            .aggregation_epids
            .reserve(clause.aggregations as usize)?;
        if probe.ecbs == 0 {
            let provider = self.registry.provider(provider).ok_or(Error::NotFound)?;
            provider.enable(id, argument)?;
        }
        for _ in 0..clause.aggregations {
            state.aggregation_epids.push(epid)?;
        }
        state.aggregations = state.aggregations.saturating_add(clause.aggregations);
        state.ecbs.push(OwnEcb {
            ecb: ecb.clone(),
            retired: None,
        })?;
        // A consumer's clauses stand together, so that no other's run between them and take their
        // clause-local variables.
        let shared: *const Node<Consumer<M>> = &*state.shared;
        let is_kin = |other: &Ecb<M>| core::ptr::eq(&*other.consumer, shared);
        chain.append_to(ecb, is_kin, &mut self.writer);
        if let Some(probe) = self.registry.probe_mut(id) {
            probe.ecbs = probe.ecbs.saturating_add(1);
        }
        Ok(())
    }

    /// Takes back the ECBs of a consumer from number `first` on.
    fn undo(&mut self, at: usize, first: usize) {
        let Some(state) = self.states.get_mut(at) else {
            return;
        };
        if state.ecbs.len() <= first {
            return;
        }
        let mut gone = core::mem::take(&mut state.ecbs);
        let kept = first.min(gone.len());
        self.withdraw(gone.get_mut(kept..).unwrap_or_default());
        let synced = self.framework.synced();
        while gone.len() > kept {
            if let Some(OwnEcb { ecb, retired }) = gone.pop() {
                if let Some(retired) = retired {
                    retired.free(&synced);
                }
                if let Some(state) = self.states.get_mut(at) {
                    for _ in 0..ecb.clause.aggregations {
                        while state.aggregation_epids.last() == Some(&ecb.epid) {
                            state.aggregation_epids.pop();
                        }
                    }
                    state.aggregations = state.aggregation_epids.len() as u32;
                }
            }
        }
        if let Some(state) = self.states.get_mut(at) {
            state.ecbs = gone;
        }
    }
}

/// The number of a format string, which is given to each text once.
fn number_of(formats: &mut List<List<u8>>, text: List<u8>) -> Result<u16, Error> {
    let at = match formats.iter().position(|known| **known == *text) {
        Some(at) => at,
        None => {
            if formats.len() >= MAX_FORMATS {
                return Err(Error::TooMany("formats"));
            }
            formats.push(text)?;
            formats.len().saturating_sub(1)
        }
    };
    u16::try_from(at.saturating_add(1)).map_err(|_| Error::TooMany("formats"))
}
