// SPDX-License-Identifier: GPL-2.0
//! The actions of a clause in a firing: their records, and what joins aggregations. Probe context.

#![forbid(unsafe_code)]

use crate::aggregation::AggregationHalf;
use crate::clause::{Step, Work};
use crate::consumer::{CpuBuffers, Ecb};
use crate::cpu::Pen;
use crate::expression::{Expression, Fault, Site};
use crate::fire::Failure;
use crate::half::write;
use crate::machine::{Machine, Surroundings};

type SiteOf<'a, M> = Site<'a, <<M as Machine>::Expression as Expression>::Variables>;

/// The actions of an ECB, under way.
pub(crate) struct Actions<'a, 'b, M: Machine> {
    pub(crate) ecb: &'a Ecb<M>,
    pub(crate) site: &'a SiteOf<'a, M>,
    pub(crate) buffers: &'a CpuBuffers,
    pub(crate) pen: &'a mut Pen<'b, AggregationHalf>,
    pub(crate) environment: &'a mut M::Environment,
    /// An aggregation had no room.
    pub(crate) has_dropped: bool,
}

/// All actions; records go into `area`, which holds zeros behind the EPID unless they fill it all.
#[inline]
pub(crate) fn run<M: Machine>(
    actions: &mut Actions<'_, '_, M>,
    area: &mut [u8],
) -> Result<(), Failure> {
    for (at, step) in actions.ecb.clause.steps.iter().enumerate() {
        let done = match &step.work {
            Work::Store(expression) if !step.is_key => {
                let record = area.get_mut(step.offset..step.end).unwrap_or_default();
                expression.store(actions.site, actions.environment, record)
            }
            _ => seldom(actions, at, step, area),
        };
        if let Err(fault) = done {
            let action = (at as u64).saturating_add(1);
            return Err(Failure { action, fault });
        }
    }
    Ok(())
}

/// Any other action than the value of an expression.
#[inline(never)]
fn seldom<M: Machine>(
    actions: &mut Actions<'_, '_, M>,
    at: usize,
    step: &Step<M::Expression>,
    area: &mut [u8],
) -> Result<(), Fault> {
    if step.is_key {
        return Ok(());
    }
    match &step.work {
        Work::Aggregate { .. } => actions.aggregate(at, step),
        Work::Exit(expression) => {
            let status = expression.value(actions.site, actions.environment)?;
            write(area, step.offset, &(status as u32).to_ne_bytes());
            actions.ecb.consumer.activity.exit();
            Ok(())
        }
        _ => {
            let record = area.get_mut(step.offset..step.end).unwrap_or_default();
            store::<M>(step, actions.site, actions.environment, record)
        }
    }
}

impl<M: Machine> Actions<'_, '_, M> {
    fn aggregate(&mut self, at: usize, step: &Step<M::Expression>) -> Result<(), Fault> {
        let Work::Aggregate {
            function,
            expression,
            number,
            keys,
            key_size,
        } = &step.work
        else {
            return Ok(());
        };
        let value = match expression {
            Some(expression) => expression.value(self.site, self.environment)?,
            None => 0,
        };
        let id = self.ecb.first_aggregation.wrapping_add(*number);
        let parts = at
            .checked_sub(*keys)
            .and_then(|from| self.ecb.clause.steps.get(from..at))
            .unwrap_or_default();
        let Some(mut half) = self.buffers.aggregation.own(self.pen) else {
            self.has_dropped = true;
            return Ok(());
        };
        let key = half.key(*key_size);
        write(key, 0, &id.to_ne_bytes());
        for part in parts {
            let to = key.get_mut(part.offset..part.end).unwrap_or_default();
            if let Err(fault) = store::<M>(part, self.site, self.environment, to) {
                half.failed();
                return Err(fault);
            }
        }
        self.has_dropped |= !half.join(*key_size, *function, value);
        Ok(())
    }
}

/// A record, or a part of a key.
fn store<M: Machine>(
    part: &Step<M::Expression>,
    site: &SiteOf<'_, M>,
    environment: &mut M::Environment,
    to: &mut [u8],
) -> Result<(), Fault> {
    match &part.work {
        Work::Store(expression) => expression.store(site, environment, to)?,
        Work::ProcessAddress(expression) => {
            let address = expression.value(site, environment)?;
            write(to, 0, &u64::from(environment.process()).to_ne_bytes());
            write(to, 8, &address.to_ne_bytes());
        }
        Work::Stack(frames) => write_words(to, environment.kernel_stack(*frames)),
        Work::UserStack(frames) => {
            write(to, 0, &u64::from(environment.process()).to_ne_bytes());
            let end = frames.saturating_add(1).saturating_mul(8).min(to.len());
            let place = to.get_mut(8..end).unwrap_or_default();
            write_words(place, environment.user_stack(*frames));
        }
        Work::Exit(_) | Work::Aggregate { .. } | Work::Nothing => {}
    }
    Ok(())
}

/// As many words as there is room for.
fn write_words(to: &mut [u8], words: &[u64]) {
    for (place, word) in to.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}
