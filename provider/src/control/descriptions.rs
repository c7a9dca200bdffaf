// SPDX-License-Identifier: GPL-2.0
//! EPROBE, AGGDESC and FORMAT: how to read what was recorded.

#![forbid(unsafe_code)]

use super::{ConsumerId, Control};
use crate::clause::Clause;
use crate::consumer::Ecb;
use crate::error::Error;
use crate::machine::Machine;
use dtrace_interface::record::RecordDescription;

/// An enabled probe, for EPROBE and the accounting.
pub struct EnabledProbe<'a, X> {
    /// The probe's number.
    pub probe: u32,
    /// The clause: sizes and records.
    pub clause: &'a Clause<X>,
}

impl<M: Machine> Control<M> {
    /// An enabled probe of a consumer: EPROBE.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn enabled_probe(
        &self,
        consumer: ConsumerId,
        epid: u32,
    ) -> Result<EnabledProbe<'_, M::Expression>, Error> {
        let ecb = self.ecb(consumer, epid)?;
        Ok(EnabledProbe {
            probe: ecb.probe,
            clause: &ecb.clause,
        })
    }

    pub(super) fn ecb(&self, consumer: ConsumerId, epid: u32) -> Result<&Ecb<M>, Error> {
        let state = self.state(consumer)?;
        let at = (epid as usize).checked_sub(1).ok_or(Error::NotFound)?;
        Ok(&state.ecbs.get(at).ok_or(Error::NotFound)?.ecb)
    }

    /// An aggregation of a consumer: its EPID, bytes of an entry and records: AGGDESC.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn aggregation(
        &self,
        consumer: ConsumerId,
        id: u32,
    ) -> Result<(u32, u32, impl Iterator<Item = &RecordDescription>), Error> {
        let state = self.state(consumer)?;
        let at = (id as usize).checked_sub(1).ok_or(Error::NotFound)?;
        let epid = *state.aggregation_epids.get(at).ok_or(Error::NotFound)?;
        let ecb = self.ecb(consumer, epid)?;
        let number = id.wrapping_sub(ecb.first_aggregation);
        let (size, records) = ecb.clause.aggregation(number).ok_or(Error::NotFound)?;
        Ok((epid, size, records))
    }

    /// A format string, without a NUL: FORMAT.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn format(&self, consumer: ConsumerId, number: u16) -> Result<&[u8], Error> {
        let at = usize::from(number).checked_sub(1).ok_or(Error::NotFound)?;
        let formats = &self.state(consumer)?.formats;
        Ok(formats.get(at).ok_or(Error::NotFound)?)
    }
}
