// SPDX-License-Identifier: GPL-2.0
//! Statistics: what each CPU did, and a log2 histogram of how long its calls took.
//!
//! Counters decide nothing. Their order matters in one place only: a snapshot never shows more
//! calls run or withdrawn than made, because a call is counted as made before it is published, and
//! a snapshot reads `made` last.

use crate::primitive::{Counter, Ordering};
use core::ops::AddAssign;

/// Buckets of the latency histogram: bucket `n` counts calls that took `2^n` to `2^(n+1) - 1` ns;
/// the last one also everything longer (9 minutes and up).
pub const LATENCY_BUCKETS: usize = 40;

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
    latency: [Counter; LATENCY_BUCKETS],
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
            latency: core::array::from_fn(|_| Counter::new()),
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

    #[inline]
    pub(crate) fn count_latency(&self, ns: u64) {
        let bucket = (ns.max(1).ilog2() as usize).min(LATENCY_BUCKETS - 1);
        self.count(&self.latency[bucket], 1);
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
        for (sum, bucket) in stats.latency.iter_mut().zip(&self.latency) {
            sum.add_assign(read(bucket));
        }
    }
}

/// A snapshot of counters, of one CPU or of all. Counts of calls count each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Waiting calls by how long they took, see [`LATENCY_BUCKETS`].
    pub latency: [u64; LATENCY_BUCKETS],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            made: 0,
            run: 0,
            withdrawn: 0,
            rings: 0,
            rings_saved: 0,
            rerings: 0,
            escalations: 0,
            timeouts: 0,
            busy: 0,
            deepest: 0,
            latency: [0; LATENCY_BUCKETS],
        }
    }
}
