// SPDX-License-Identifier: GPL-2.0
//! Statistics: what each CPU did, and log2 histograms of how long its calls took, one a doorbell.
//!
//! Counters decide nothing. Their order matters in one place only: a snapshot never shows more
//! calls run or withdrawn than made, because a call is counted as made before it is published, and
//! a snapshot reads `made` last.

use crate::doorbell::{Rung, MAX_DOORBELLS};
use crate::histogram::{bucket_of, Histogram, LATENCY_BUCKETS};
use crate::primitive::{Counter, Ordering};

/// The counters of one CPU.
#[derive(Debug)]
pub(crate) struct CpuCounters {
    pub(crate) made: Counter,
    pub(crate) run: Counter,
    pub(crate) withdrawn: Counter,
    pub(crate) rings: Counter,
    pub(crate) rings_saved: Counter,
    pub(crate) rerings: Counter,
    pub(crate) escalations: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) busy: Counter,
    pub(crate) deepest: Counter,
    /// By the doorbell last rung. A waiting call counts once, whatever the number of rows.
    latency: [[Counter; LATENCY_BUCKETS]; MAX_DOORBELLS],
}

impl CpuCounters {
    pub(crate) fn new() -> Self {
        Self {
            made: Counter::new(),
            run: Counter::new(),
            withdrawn: Counter::new(),
            rings: Counter::new(),
            rings_saved: Counter::new(),
            rerings: Counter::new(),
            escalations: Counter::new(),
            timeouts: Counter::new(),
            busy: Counter::new(),
            deepest: Counter::new(),
            latency: [const { [const { Counter::unmodelled() }; LATENCY_BUCKETS] }; MAX_DOORBELLS],
        }
    }

    /// Counts calls as made, before they are published.
    #[inline]
    pub(crate) fn count_made(&self, calls: u64) {
        // Relaxed: publish:word carries it to the target, count:run from there to the reader.
        self.made.add(calls, Ordering::Relaxed);
    }

    /// Counts a call as run.
    #[inline]
    pub(crate) fn count_run(&self) {
        // Release count:run, pairs with snapshot:run: a reader that sees the call run sees it made.
        self.run.add(1, Ordering::Release);
    }

    /// Counts calls as withdrawn.
    #[inline]
    pub(crate) fn count_withdrawn(&self, calls: u64) {
        if calls != 0 {
            // Release count:run, pairs with snapshot:run, as for a call that ran.
            self.withdrawn.add(calls, Ordering::Release);
        }
    }

    /// Counts something else.
    #[inline]
    pub(crate) fn count(&self, counter: &Counter, n: u64) {
        if n != 0 {
            // Relaxed: orders nothing.
            counter.add(n, Ordering::Relaxed);
        }
    }

    /// Counts a waiting call that took `ns` and rang `rung` last.
    #[inline]
    pub(crate) fn count_latency(&self, rung: Rung, ns: u64) {
        self.count(&self.latency[rung % MAX_DOORBELLS][bucket_of(ns)], 1);
    }

    /// Adds the calls that rang `rung` last.
    pub(crate) fn add_latency_to(&self, rung: Rung, histogram: &mut Histogram) {
        for (sum, bucket) in histogram.0.iter_mut().zip(&self.latency[rung]) {
            // Relaxed: orders nothing.
            *sum += bucket.load(Ordering::Relaxed);
        }
    }

    /// Adds what a reader must see before it reads `made`.
    pub(crate) fn add_ends_to(&self, stats: &mut Stats) {
        // Acquire snapshot:run, pairs with count:run.
        stats.run += self.run.load(Ordering::Acquire);
        stats.withdrawn += self.withdrawn.load(Ordering::Acquire);
    }

    /// Adds the rest.
    pub(crate) fn add_rest_to(&self, stats: &mut Stats) {
        // Relaxed: read after snapshot:run, which orders `made`; the others order nothing.
        let read = |c: &Counter| c.load(Ordering::Relaxed);
        stats.made += read(&self.made);
        stats.rings += read(&self.rings);
        stats.rings_saved += read(&self.rings_saved);
        stats.rerings += read(&self.rerings);
        stats.escalations += read(&self.escalations);
        stats.timeouts += read(&self.timeouts);
        stats.busy += read(&self.busy);
        stats.deepest = stats.deepest.max(read(&self.deepest));
        for rung in 0..MAX_DOORBELLS {
            self.add_latency_to(rung, &mut stats.latency);
        }
    }
}

/// A snapshot of counters, of one CPU or of all. Counts of calls count each target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Calls made from here (self-calls included).
    pub made: u64,
    /// Calls run here.
    pub run: u64,
    /// Calls made from here that never ran: the target was silent to the end, or offline.
    pub withdrawn: u64,
    /// Doorbells rung from here.
    pub rings: u64,
    /// Rings saved because one at least as strong was already due.
    pub rings_saved: u64,
    /// Of `rings`: second and later ones for the same call.
    pub rerings: u64,
    /// Steps up the doorbell ladder.
    pub escalations: u64,
    /// Waiting calls that ended in a timeout.
    pub timeouts: u64,
    /// Calls refused because all call slots were taken.
    pub busy: u64,
    /// Deepest nesting of waiting calls.
    pub deepest: u64,
    /// Waiting calls to other CPUs by how long they took, whatever came of them.
    pub latency: Histogram,
}
