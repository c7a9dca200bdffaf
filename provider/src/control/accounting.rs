// SPDX-License-Identifier: GPL-2.0
//! Where firings went, and what was lost beside them.

#![forbid(unsafe_code)]

use super::{ConsumerId, Control};
use crate::consumer::Ecb;
use crate::counts::EcbCounts;
use crate::error::Error;
use crate::expression::{DynamicDrops, Variables};
use crate::machine::Machine;

impl<M: Machine> Control<M> {
    /// Where firings went: of one ECB or (0) of all of a consumer, on one CPU or (None) on all.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn counts(
        &self,
        consumer: ConsumerId,
        epid: u32,
        cpu: Option<usize>,
    ) -> Result<EcbCounts, Error> {
        if epid != 0 {
            return counts_of(self.ecb(consumer, epid)?, cpu);
        }
        let mut sum = EcbCounts::default();
        for own in &self.state(consumer)?.ecbs {
            sum += counts_of(&own.ecb, cpu)?;
        }
        Ok(sum)
    }

    /// How often this consumer took a buffer over, and aggregation drops it was told of.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn switches(&self, consumer: ConsumerId) -> Result<(u64, u64), Error> {
        let state = self.state(consumer)?;
        Ok((state.switches, state.aggregation_drops))
    }

    /// Dynamic variables of a consumer that were dropped, on one CPU or (None) on all; none before GO.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn dynamic_drops(
        &self,
        consumer: ConsumerId,
        cpu: Option<usize>,
    ) -> Result<DynamicDrops, Error> {
        let running = self.state(consumer)?.running.as_ref();
        Ok(running.map_or_else(DynamicDrops::default, |running| {
            running.variables.drops(cpu)
        }))
    }
}

fn counts_of<M: Machine>(ecb: &Ecb<M>, cpu: Option<usize>) -> Result<EcbCounts, Error> {
    if let Some(cpu) = cpu {
        let counters = ecb.counters.get(cpu).ok_or(Error::NotFound)?;
        return Ok(counters.read());
    }
    let mut sum = EcbCounts::default();
    for counters in &ecb.counters {
        sum += counters.read();
    }
    Ok(sum)
}
