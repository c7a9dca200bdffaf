// SPDX-License-Identifier: GPL-2.0
//! BUFSNAP and AGGSNAP: what a CPU wrote goes to the client.

#![forbid(unsafe_code)]

use super::{ConsumerId, Control};
use crate::activity::Activity;
use crate::consumer::CpuBuffers;
use crate::error::Error;
use crate::framework::{Framework, Which};
use crate::machine::Machine;
use crate::memory::Shared;
use dtrace_interface::options::BufferPolicy;

/// A snapshot of one CPU's buffer: what BUFSNAP and AGGSNAP answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes given to the copy.
    pub size: usize,
    /// Where the oldest record lies in them.
    pub oldest: usize,
    /// Firings dropped since the last snapshot.
    pub drops: u64,
    /// Firings failed since the last snapshot.
    pub errors: u64,
}

impl<M: Machine> Control<M> {
    /// Takes a CPU's principal buffer over and gives its bytes to `copy`, once: BUFSNAP. A CPU without
    /// a buffer gives none.
    ///
    /// # Errors
    ///
    /// `NotFound`: no such consumer or CPU. `Invalid`: before GO. `Busy`: a ring or a fill buffer is read
    /// when tracing has stopped. What `copy` answers: the bytes are lost then; what
    /// the half counted, the snapshot tells that takes it next.
    pub fn snapshot(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
        copy: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Snapshot, Error> {
        let (framework, buffers) = match self.buffers_of(consumer, cpu)? {
            (framework, Some(buffers)) => (framework, buffers),
            (_, None) => {
                copy(&[])?;
                let drops = self.state_mut(consumer)?.tell_unbuffered(cpu);
                return Ok(Snapshot {
                    drops,
                    ..Snapshot::default()
                });
            }
        };
        let state = self.state_mut(consumer)?;
        let is_over = matches!(
            state.shared.activity.get(),
            Activity::Stopped | Activity::Killed
        );
        if state.options.policy() != BufferPolicy::Switch && !is_over {
            return Err(Error::Busy);
        }
        state.switches = state.switches.wrapping_add(1);
        let writer = &mut self.writer;
        framework.switch(cpu, &buffers, Which::Principal, writer);
        let snapshot = buffers.principal.read(writer, |half| {
            let contents = half.contents();
            let snapshot = Snapshot {
                size: contents.bytes.len(),
                oldest: contents.oldest,
                drops: contents.drops,
                errors: contents.errors,
            };
            let copied = copy(contents.bytes);
            half.clear();
            if copied.is_ok() {
                half.told();
            }
            copied.map(|()| snapshot)
        })?;
        let early = self.state_mut(consumer)?.tell_unbuffered(cpu);
        Ok(Snapshot {
            drops: snapshot.drops.saturating_add(early),
            ..snapshot
        })
    }

    /// Takes a CPU's aggregation buffer over and gives its bytes to `copy`, once: AGGSNAP.
    ///
    /// # Errors
    ///
    /// As of [`snapshot`](Self::snapshot), without `Busy`.
    pub fn aggregation_snapshot(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
        copy: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Snapshot, Error> {
        let (framework, buffers) = match self.buffers_of(consumer, cpu)? {
            (framework, Some(buffers)) => (framework, buffers),
            (_, None) => return copy(&[]).map(|()| Snapshot::default()),
        };
        let state = self.state_mut(consumer)?;
        state.switches = state.switches.wrapping_add(1);
        let writer = &mut self.writer;
        framework.switch(cpu, &buffers, Which::Aggregation, writer);
        let snapshot = buffers.aggregation.read(writer, |half| {
            let (bytes, drops, errors) = half.contents();
            let snapshot = Snapshot {
                size: bytes.len(),
                oldest: 0,
                drops,
                errors,
            };
            let copied = copy(bytes);
            half.clear();
            if copied.is_ok() {
                half.told();
            }
            copied.map(|()| snapshot)
        })?;
        let state = self.state_mut(consumer)?;
        state.aggregation_drops = state.aggregation_drops.saturating_add(snapshot.drops);
        Ok(snapshot)
    }

    #[allow(
        clippy::type_complexity,
        reason = "two owners, taken apart by the callers"
    )]
    fn buffers_of(
        &mut self,
        consumer: ConsumerId,
        cpu: usize,
    ) -> Result<(Shared<Framework<M>>, Option<Shared<CpuBuffers>>), Error> {
        let framework = self.framework.clone();
        if cpu >= framework.cpus() {
            return Err(Error::NotFound);
        }
        let state = self.state_mut(consumer)?;
        if state.running.is_none() {
            return Err(Error::Invalid);
        }
        state.attend_cpus(&framework);
        state.clean(&framework);
        let buffers = state.buffers.get(cpu).cloned().flatten();
        Ok((framework, buffers))
    }

    /// Bytes of a half of this consumer's principal buffers and aggregation buffers, the largest of any CPU:
    /// at GO they may have become smaller than the options say.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub fn buffer_sizes(&self, consumer: ConsumerId) -> Result<(usize, usize), Error> {
        let state = self.state(consumer)?;
        let (principal, aggregation) = state.largest;
        Ok((
            principal.max(state.buffer_size),
            aggregation.max(state.aggregation_size),
        ))
    }

    /// Whether a half of the principal buffers, and one of the aggregation buffers, fits into so many bytes
    /// of a client: asked before a snapshot, which gives all that there is.
    ///
    /// # Errors
    ///
    /// `NotFound`. `Invalid`: it does not.
    pub fn has_room(&self, consumer: ConsumerId, room: (usize, usize)) -> Result<(), Error> {
        let (principal, aggregation) = self.buffer_sizes(consumer)?;
        match principal <= room.0 && aggregation <= room.1 {
            true => Ok(()),
            false => Err(Error::Invalid),
        }
    }
}
