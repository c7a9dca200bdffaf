// SPDX-License-Identifier: GPL-2.0
//! The control side's part of a consumer: made when it begins to trace.

#![forbid(unsafe_code)]

use super::buffers::SMALLEST_BUFFER;
use crate::activity::Role;
use crate::clause::Clause;
use crate::consumer::{Consumer, CpuBuffers, Ecb, Running};
use crate::error::Error;
use crate::expression::Variables;
use crate::framework::Framework;
use crate::machine::Machine;
use crate::memory::{List, Node, Published, Retired, Shared};
use crate::options::Options;
use crate::primitive::Counter;
use dtrace_interface::options::{BufferPolicy, BufferResize, OptionId};

/// An ECB, and that it was taken out.
pub(super) struct OwnEcb<M: Machine> {
    pub(super) ecb: Shared<Node<Ecb<M>>>,
    pub(super) retired: Option<Retired<Node<Ecb<M>>>>,
}

/// The control side's part of a consumer.
pub(super) struct State<M: Machine> {
    pub(super) id: u64,
    pub(super) shared: Shared<Node<Consumer<M>>>,
    pub(super) options: Options,
    pub(super) formats: List<List<u8>>,
    pub(super) ecbs: List<OwnEcb<M>>,
    /// Aggregation numbers given so far.
    pub(super) aggregations: u32,
    /// Which EPID an aggregation is of, by number less one.
    pub(super) aggregation_epids: List<u32>,
    pub(super) running: Option<Shared<Running<M>>>,
    pub(super) buffers: List<Option<Shared<CpuBuffers>>>,
    /// Of [`Running::unbuffered`], what snapshots told already.
    pub(super) told_unbuffered: List<u64>,
    pub(super) buffer_size: usize,
    pub(super) aggregation_size: usize,
    /// The largest of both that a CPU has: one may have got its buffers before memory was short.
    pub(super) largest: (usize, usize),
    pub(super) key_size: usize,
    pub(super) switches: u64,
    pub(super) aggregation_drops: u64,
}

impl<M: Machine> State<M> {
    /// The programs of all clauses.
    pub(super) fn programs(&self) -> Result<List<&M::Expression>, Error> {
        // Not an iterator of iterators: its type's name is longer than objtool takes.
        let mut programs = List::new();
        let mut previous = core::ptr::null();
        for own in &self.ecbs {
            // A clause's ECBs stand together: its programs are looked at once.
            let clause: *const Clause<_> = &*own.ecb.clause;
            if core::ptr::eq(clause, previous) {
                continue;
            }
            previous = clause;
            for program in own.ecb.clause.expressions() {
                programs.push(program)?;
            }
        }
        Ok(programs)
    }

    /// Makes what a tracing consumer has, without buffers.
    pub(super) fn prepare(&mut self, framework: &Framework<M>) -> Result<(), Error> {
        let mut sizes = List::new();
        let mut keep = 0_usize;
        for own in &self.ecbs {
            let clause = &own.ecb.clause;
            sizes.push(u32::try_from(clause.size).unwrap_or(u32::MAX))?;
            if own.ecb.role == Role::End {
                keep = keep.saturating_add(clause.size.saturating_add(8));
            }
        }
        let is_filled_once = self.options.policy() == BufferPolicy::Fill;
        if is_filled_once && keep > self.options.bytes(OptionId::BufferSize) {
            return Err(Error::TooMany("bytes of END's records in a fill buffer"));
        }
        let (variables, options) = {
            let programs = self.programs()?;
            let mut options = self.options;
            loop {
                let mut programs = programs.iter().copied();
                let made = framework.machine.variables(&options, &mut programs);
                let smaller = options.halved(OptionId::DynamicVariableSize, SMALLEST_BUFFER);
                match (made, smaller) {
                    (Err(Error::OutOfMemory), Some(smaller)) if !self.is_exact() => {
                        options = smaller;
                    }
                    (made, _) => break (made?, options),
                }
            }
        };
        self.options = options;
        let cpus = framework.cpus();
        self.buffers = List::try_made(cpus, |_| Ok::<_, Error>(None))?;
        self.buffer_size = self.options.bytes(OptionId::BufferSize);
        self.aggregation_size = match self.aggregations {
            0 => 0,
            _ => self.options.bytes(OptionId::AggregationSize),
        };
        self.told_unbuffered = List::try_made(cpus, |_| Ok::<_, Error>(0))?;
        let running = Shared::new(Running {
            cpus: List::try_made(cpus, |_| Ok::<_, Error>(Published::empty()))?,
            unbuffered: List::try_made(cpus, |_| Ok::<_, Error>(Counter::new()))?,
            sizes,
            keep,
            only_cpu: self.options.only_cpu(),
            variables,
        })?;
        self.running = Some(running.clone());
        let old = self.shared.running.replace(Some(running), &framework.clock);
        debug_assert!(old.is_none());
        Ok(())
    }

    /// Takes back what `prepare` made.
    pub(super) fn unprepare(&mut self, framework: &Framework<M>) {
        let running = self.shared.running.replace(None, &framework.clock);
        let synced = framework.synced();
        if let Some(running) = running {
            running.free(&synced);
        }
        self.running = None;
        self.buffers = List::new();
        self.told_unbuffered = List::new();
        self.largest = (0, 0);
    }

    /// Whether sizes are as the options say or it is an error.
    pub(super) fn is_exact(&self) -> bool {
        let resize = BufferResize::from_raw(self.options.get(OptionId::BufferResize));
        resize == Some(BufferResize::Manual)
    }

    /// See [`Control::clean`](super::Control::clean).
    pub(super) fn clean(&self, framework: &Framework<M>) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.variables.clean(&|| framework.sync()))
    }
}
