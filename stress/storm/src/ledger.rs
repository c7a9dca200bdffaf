// SPDX-License-Identifier: GPL-2.0
//! The accounts: counters and waiting times per (caller, target), counters per CPU, and a histogram
//! of waiting times.
//!
//! All Relaxed: nothing is decided by them before the threads that wrote them have ended.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use xcall_stress_protocol::{Pair, LATENCY_BUCKETS, MAX_DOORBELLS};

/// What is counted per CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// Calls made, each target counted.
    Calls,
    Lost,
    WrongTimeouts,
    Timeouts,
    Masked,
    Busy,
    Offline,
    Refused,
    FromNmi,
    /// The longest waiting call, in nanoseconds.
    Longest,
    /// Random numbers drawn.
    Draws,
    /// A bit for each ticket in use.
    Tickets,
    /// Called functions of this CPU that call on right now.
    Nested,
    /// 1 once the worker has come.
    Begun,
    /// Turns it has made before it was last called away.
    Turns,
}

const COUNTS: usize = 15;

/// Words per (caller, target): runs, runs owed, calls waited for, their time, the longest.
const PER_PAIR: usize = 5;

/// The engine's histograms by doorbell, as they were when the storm began.
const SNAPSHOT: usize = MAX_DOORBELLS * LATENCY_BUCKETS;

/// Buckets a power of two is divided into.
const FINE: usize = 8;
const BUCKETS: usize = 40 * FINE;

/// Where what lies in a row of counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger<'a> {
    words: &'a [AtomicU64],
    workers: usize,
}

impl<'a> Ledger<'a> {
    /// Words it takes for `workers`, and CPUs up to `last_cpu`.
    pub(crate) const fn words_for(workers: usize, last_cpu: u32) -> usize {
        let pairs = PER_PAIR * workers * workers;
        let each = workers * (COUNTS + BUCKETS);
        pairs + each + SNAPSHOT + workers + last_cpu as usize + 1
    }

    pub(crate) fn new(words: &'a [AtomicU64], workers: usize) -> Self {
        Self { words, workers }
    }

    fn pairs(&self) -> usize {
        self.workers * self.workers
    }

    fn run(&self, caller: usize, target: usize) -> &'a AtomicU64 {
        // By target: it is the target that writes.
        &self.words[target * self.workers + caller]
    }

    fn owed(&self, caller: usize, target: usize) -> &'a AtomicU64 {
        &self.words[self.pairs() + caller * self.workers + target]
    }

    /// A counter of worker `worker`.
    pub(crate) fn of(&self, worker: usize, count: Count) -> &'a AtomicU64 {
        &self.words[PER_PAIR * self.pairs() + worker * (COUNTS + BUCKETS) + count as usize]
    }

    fn histogram(&self, worker: usize) -> &'a [AtomicU64] {
        let first = PER_PAIR * self.pairs() + worker * (COUNTS + BUCKETS) + COUNTS;
        &self.words[first..][..BUCKETS]
    }

    fn cpu_table(&self) -> usize {
        self.snapshot_table() + SNAPSHOT
    }

    fn snapshot_table(&self) -> usize {
        PER_PAIR * self.pairs() + self.workers * (COUNTS + BUCKETS)
    }

    /// Where the engine's histogram of doorbell `number` is kept.
    pub(crate) fn snapshot(&self, number: usize) -> &'a [AtomicU64] {
        let first = self.snapshot_table() + number % MAX_DOORBELLS * LATENCY_BUCKETS;
        &self.words[first..][..LATENCY_BUCKETS]
    }

    /// How long the calls of a pair took: how many, their sum, the longest.
    fn times(&self, caller: usize, target: usize) -> [&'a AtomicU64; 3] {
        let at = caller * self.workers + target;
        [2, 3, 4].map(|table| &self.words[table * self.pairs() + at])
    }

    /// Notes that worker `worker` is on `cpu`.
    pub(crate) fn place(&self, worker: usize, cpu: u32) {
        let table = self.cpu_table();
        self.words[table + worker].store(u64::from(cpu), Relaxed);
        self.words[table + self.workers + cpu as usize].store(worker as u64 + 1, Relaxed);
    }

    /// The CPU of worker `worker`.
    pub(crate) fn cpu(&self, worker: usize) -> u32 {
        self.words[self.cpu_table() + worker].load(Relaxed) as u32
    }

    /// The worker on `cpu`.
    pub(crate) fn worker(&self, cpu: u32) -> Option<usize> {
        let worker = self
            .words
            .get(self.cpu_table() + self.workers + cpu as usize)?;
        (worker.load(Relaxed) as usize).checked_sub(1)
    }

    /// The target counts a run of `caller`'s call.
    pub(crate) fn count_run(&self, caller: usize, target: usize) {
        if caller < self.workers {
            self.run(caller, target).fetch_add(1, Relaxed);
        }
    }

    /// The caller notes that `target` ran, or will run, one of its calls.
    pub(crate) fn owe(&self, caller: usize, target: usize) {
        self.owed(caller, target).fetch_add(1, Relaxed);
    }

    pub(crate) fn add(&self, worker: usize, count: Count, n: u64) {
        if n != 0 {
            self.of(worker, count).fetch_add(n, Relaxed);
        }
    }

    pub(crate) fn sum(&self, count: Count) -> u64 {
        (0..self.workers)
            .map(|worker| self.of(worker, count).load(Relaxed))
            .sum()
    }

    /// A waiting call took this long.
    pub(crate) fn took(&self, worker: usize, ns: u64) {
        self.histogram(worker)[bucket(ns)].fetch_add(1, Relaxed);
        self.of(worker, Count::Longest).fetch_max(ns, Relaxed);
    }

    /// A waiting call to `target` alone took this long.
    pub(crate) fn took_to(&self, caller: usize, target: usize, ns: u64) {
        self.took(caller, ns);
        let [waited, sum, longest] = self.times(caller, target);
        waited.fetch_add(1, Relaxed);
        sum.fetch_add(ns, Relaxed);
        longest.fetch_max(ns, Relaxed);
    }

    /// The calls of a pair.
    pub(crate) fn pair(&self, caller: usize, target: usize) -> Pair {
        let [waited, sum, longest] = self.times(caller, target);
        Pair {
            calls: self.owed(caller, target).load(Relaxed),
            waited: waited.load(Relaxed),
            sum_ns: sum.load(Relaxed),
            longest_ns: longest.load(Relaxed),
        }
    }

    /// Runs that did not happen, and runs nobody called for.
    pub(crate) fn differences(&self) -> (u64, u64) {
        let (mut lost, mut duplicated) = (0, 0);
        for caller in 0..self.workers {
            for target in 0..self.workers {
                let owed = self.owed(caller, target).load(Relaxed);
                let run = self.run(caller, target).load(Relaxed);
                lost += owed.saturating_sub(run);
                duplicated += run.saturating_sub(owed);
            }
        }
        (lost, duplicated)
    }

    /// How long waiting calls took.
    pub(crate) fn waits(&self) -> Histogram<'a> {
        Histogram { ledger: *self }
    }
}

/// How long the waiting calls of all workers took: a bucket for each eighth of a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<'a> {
    ledger: Ledger<'a>,
}

impl Histogram<'_> {
    fn in_bucket(&self, bucket: usize) -> u64 {
        (0..self.ledger.workers)
            .map(|worker| self.ledger.histogram(worker)[bucket].load(Relaxed))
            .sum()
    }

    /// An upper bound, off by an eighth at most, of what `percent` in 100 calls took. 0 if there
    /// were none.
    pub fn percentile_ns(&self, percent: u64) -> u64 {
        let total: u64 = (0..BUCKETS).map(|b| self.in_bucket(b)).sum();
        let wanted = (total * percent).div_ceil(100);
        let mut seen = 0;
        for bucket in 0..BUCKETS {
            seen += self.in_bucket(bucket);
            if wanted != 0 && seen >= wanted {
                return upper_bound(bucket).min(self.longest_ns());
            }
        }
        0
    }

    /// What the longest call took.
    pub fn longest_ns(&self) -> u64 {
        (0..self.ledger.workers)
            .map(|worker| self.ledger.of(worker, Count::Longest).load(Relaxed))
            .max()
            .unwrap_or(0)
    }
}

/// Below 8 ns a bucket each; from there on eight to a power of two.
fn bucket(ns: u64) -> usize {
    if ns < FINE as u64 {
        return ns as usize;
    }
    let power = ns.ilog2() as usize;
    let eighth = (ns >> (power - 3)) as usize & (FINE - 1);
    ((power - 2) * FINE + eighth).min(BUCKETS - 1)
}

/// The largest time in a bucket.
fn upper_bound(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    let (power, eighth) = (bucket / FINE + 2, bucket % FINE);
    ((FINE + eighth + 1) as u64) << (power - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_on_top_of_something_else() {
        const WORKERS: usize = 3;
        let words: [AtomicU64; Ledger::words_for(WORKERS, 70)] =
            [const { AtomicU64::new(0) }; Ledger::words_for(WORKERS, 70)];
        let ledger = Ledger::new(&words, WORKERS);
        for worker in 0..WORKERS {
            for other in 0..WORKERS {
                ledger.count_run(worker, other);
                ledger.owe(worker, other);
                ledger.took_to(worker, other, 1 << 20);
            }
        }
        for number in 0..MAX_DOORBELLS {
            for bucket in ledger.snapshot(number) {
                bucket.fetch_add(1, Relaxed);
            }
        }
        for (worker, cpu) in [0, 7, 70].into_iter().enumerate() {
            ledger.place(worker, cpu);
            ledger.add(worker, Count::Calls, 1);
            ledger.add(worker, Count::Nested, 1);
        }
        let pair = Pair {
            calls: 1,
            waited: 1,
            sum_ns: 1 << 20,
            longest_ns: 1 << 20,
        };
        for worker in 0..WORKERS {
            for other in 0..WORKERS {
                assert_eq!(ledger.pair(worker, other), pair);
            }
        }
        assert_eq!(ledger.differences(), (0, 0));
        assert_eq!(ledger.sum(Count::Calls), 3);
        assert_eq!(ledger.waits().longest_ns(), 1 << 20);
        let is_one = |bucket: &AtomicU64| bucket.load(Relaxed) == 1;
        assert!((0..MAX_DOORBELLS).all(|n| ledger.snapshot(n).iter().all(is_one)));
        assert_eq!(
            [0, 7, 70, 69, 71].map(|cpu| ledger.worker(cpu)),
            [Some(0), Some(1), Some(2), None, None]
        );
    }

    #[test]
    fn buckets_are_an_eighth_wide() {
        for ns in (0..100_000).chain((0..60).map(|n| 1 << n)) {
            let b = bucket(ns);
            if b == BUCKETS - 1 {
                continue;
            }
            assert!(upper_bound(b) >= ns, "{ns}");
            assert!(upper_bound(b) <= ns + ns / 8 + 1, "{ns}");
            assert!(b == 0 || upper_bound(b - 1) <= ns, "{ns}");
        }
    }
}
