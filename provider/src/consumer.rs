// SPDX-License-Identifier: GPL-2.0
//! A consumer's part that probes see, and its ECBs.

#![forbid(unsafe_code)]

use crate::activity::{ActivityWord, Role};
use crate::aggregation::AggregationHalf;
use crate::clause::Clause;
use crate::counts::EcbCounters;
use crate::cpu::{Inside, Pen};
use crate::expression::Expression;
use crate::half::Half;
use crate::halves::Halves;
use crate::machine::Machine;
use crate::memory::Node;
use crate::memory::{List, Published, Shared};
use crate::primitive::{AtomicU32, AtomicU64, Counter, Ordering};
use crate::registry::ProbeName;

type VariablesOf<M> = <<M as Machine>::Expression as Expression>::Variables;

/// One CPU's buffers of one consumer.
pub(crate) struct CpuBuffers {
    pub(crate) principal: Halves<Half>,
    pub(crate) aggregation: Halves<AggregationHalf>,
}

impl CpuBuffers {
    /// Does the switches that were asked for within this firing. Its own CPU.
    pub(crate) fn serve(
        &self,
        pen: &mut Pen<'_, Half>,
        aggregation_pen: &mut Pen<'_, AggregationHalf>,
    ) {
        self.principal.serve(pen);
        self.aggregation.serve(aggregation_pen);
    }
}

/// What a consumer has once it is tracing.
pub(crate) struct Running<M: Machine> {
    pub(crate) cpus: List<Published<CpuBuffers>>,
    /// By CPU: firings dropped while it had no buffers, as it came on line after GO.
    pub(crate) unbuffered: List<Counter>,
    /// Bytes of a firing by EPID.
    pub(crate) sizes: List<u32>,
    /// Bytes that stay free for END (fill).
    pub(crate) keep: usize,
    pub(crate) only_cpu: Option<usize>,
    pub(crate) variables: VariablesOf<M>,
}

impl<M: Machine> Running<M> {
    pub(crate) fn buffers<'a>(&'a self, inside: &'a Inside<'_>) -> Option<&'a CpuBuffers> {
        self.cpus.get(inside.cpu())?.get(inside)
    }

    /// A firing is dropped for want of a buffer, which could count it. Probe context.
    pub(crate) fn drop_unbuffered(&self, inside: &Inside<'_>) {
        if let Some(count) = self.unbuffered.get(inside.cpu()) {
            count.add(1);
        }
    }

    /// Bytes of a firing of an EPID.
    pub(crate) fn size_of(&self, epid: u32) -> usize {
        let at = (epid as usize).checked_sub(1);
        let size = at.and_then(|at| self.sizes.get(at));
        size.map_or(4, |size| *size as usize)
    }
}

/// A consumer.
pub(crate) struct Consumer<M: Machine> {
    pub(crate) activity: ActivityWord,
    /// The process that traces.
    process: AtomicU32,
    /// Not 0: it is traced as well.
    traces_itself: AtomicU32,
    pub(crate) running: Published<Running<M>>,
    /// Several CPUs count here, as errors are rare.
    errors: AtomicU32,
    double_errors: AtomicU32,
    /// Fill buffers that are full.
    filled: AtomicU32,
    /// When it began or asked for its status last, in nanoseconds.
    heard_ns: AtomicU64,
}

impl<M: Machine> Consumer<M> {
    pub(crate) fn new(process: u32, now_ns: u64) -> Self {
        Self {
            activity: ActivityWord::new(),
            process: AtomicU32::new(process),
            traces_itself: AtomicU32::new(0),
            running: Published::empty(),
            errors: AtomicU32::new(0),
            double_errors: AtomicU32::new(0),
            filled: AtomicU32::new(0),
            heard_ns: AtomicU64::new(now_ns),
        }
    }

    // Relaxed in all of these: a flag, a number and a time any value of which is a good one, and
    // statistics.

    pub(crate) fn process(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    pub(crate) fn set_process(&self, process: u32) {
        self.process.store(process, Ordering::Relaxed);
    }

    pub(crate) fn traces_itself(&self) -> bool {
        self.traces_itself.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn trace_itself(&self, on: bool) {
        self.traces_itself.store(u32::from(on), Ordering::Relaxed);
    }

    pub(crate) fn count_error(&self, is_double: bool) {
        let counter = match is_double {
            true => &self.double_errors,
            false => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// It showed that it lives. The control side.
    pub(crate) fn heard(&self, now_ns: u64) {
        self.heard_ns.store(now_ns, Ordering::Relaxed);
    }

    /// When that was last. Any context.
    pub(crate) fn heard_ns(&self) -> u64 {
        self.heard_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn count_filled(&self) {
        self.filled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed).into()
    }

    /// Errors, and errors of ERROR's own clauses.
    pub(crate) fn errors(&self) -> (u64, u64) {
        (
            self.errors.load(Ordering::Relaxed).into(),
            self.double_errors.load(Ordering::Relaxed).into(),
        )
    }
}

/// An enabling control block: one clause at one probe.
pub(crate) struct Ecb<M: Machine> {
    pub(crate) epid: u32,
    pub(crate) probe: u32,
    pub(crate) role: Role,
    pub(crate) name: Shared<ProbeName>,
    pub(crate) clause: Shared<Clause<M::Expression>>,
    /// The number of the clause's first aggregation in this ECB.
    pub(crate) first_aggregation: u32,
    pub(crate) consumer: Shared<Node<Consumer<M>>>,
    /// By CPU.
    pub(crate) counters: List<EcbCounters>,
}
