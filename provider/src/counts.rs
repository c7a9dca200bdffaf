// SPDX-License-Identifier: GPL-2.0
//! Where firings went: counted on each CPU for each ECB, exactly one outcome a firing.

#![forbid(unsafe_code)]

use crate::primitive::Counter;
use core::ops::AddAssign;

/// How one firing of one ECB ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Record = 0,
    Drop,
    PredicateFalse,
    SelfFiltered,
    Inactive,
    Error,
}

/// How many outcomes there are.
const OUTCOMES: usize = Outcome::Error as usize + 1;

/// Counters of one ECB on one CPU, as its CPU writes them: a cache line of its own.
#[repr(align(64))]
pub(crate) struct EcbCounters {
    hits: Counter,
    /// By [`Outcome`].
    outcomes: [Counter; OUTCOMES],
}

impl EcbCounters {
    pub(crate) const fn new() -> Self {
        Self {
            hits: Counter::new(),
            outcomes: [const { Counter::new() }; OUTCOMES],
        }
    }

    /// A firing begins. Probe context.
    #[inline]
    pub(crate) fn hit(&self) {
        self.hits.add(1);
    }

    /// It ends. Probe context.
    #[inline]
    pub(crate) fn ended(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.add(1);
        }
    }

    /// The values. Exact once the ECB's probe cannot fire on that CPU; ahead by one hit meanwhile.
    pub(crate) fn read(&self) -> EcbCounts {
        let [records, drops, predicate_false, self_filtered, inactive, errors] = &self.outcomes;
        EcbCounts {
            records: records.load(),
            drops: drops.load(),
            predicate_false: predicate_false.load(),
            self_filtered: self_filtered.load(),
            inactive: inactive.load(),
            errors: errors.load(),
            hits: self.hits.load(),
        }
    }
}

/// Values of an ECB's counters: `hits` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcbCounts {
    /// Firings.
    pub hits: u64,
    /// A record was written, or none was to be and the actions ran.
    pub records: u64,
    /// The buffer was full, or this CPU had none.
    pub drops: u64,
    /// The predicate was 0.
    pub predicate_false: u64,
    /// The process was the tracer's.
    pub self_filtered: u64,
    /// The consumer was not tracing, or not on this CPU.
    pub inactive: u64,
    /// An expression failed.
    pub errors: u64,
}

impl EcbCounts {
    /// Whether each hit has an outcome.
    pub fn is_whole(&self) -> bool {
        let outcomes = [
            self.records,
            self.drops,
            self.predicate_false,
            self.self_filtered,
            self.inactive,
            self.errors,
        ];
        let sum = outcomes.iter().fold(0_u64, |sum, n| sum.wrapping_add(*n));
        self.hits == sum
    }
}

impl AddAssign for EcbCounts {
    fn add_assign(&mut self, other: Self) {
        for (to, from) in [
            (&mut self.hits, other.hits),
            (&mut self.records, other.records),
            (&mut self.drops, other.drops),
            (&mut self.predicate_false, other.predicate_false),
            (&mut self.self_filtered, other.self_filtered),
            (&mut self.inactive, other.inactive),
            (&mut self.errors, other.errors),
        ] {
            *to = to.wrapping_add(from);
        }
    }
}
