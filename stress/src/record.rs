// SPDX-License-Identifier: GPL-2.0
//! A storm in full, as `stress report` keeps it: what a page is made of, and what `--from` reads.

use crate::args::StormArgs;
use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};
use xcall_stress_protocol::{text, Latency, Pair, Row, Totals, LATENCY_BUCKETS, PAIRS};

/// The layout of a [`Record`]; another one is refused.
const VERSION: u32 = 1;

/// What a storm tells besides its totals.
#[derive(Debug, Default)]
pub struct Details {
    /// Who called whom, in the order of participants.
    pub rows: Vec<Row>,
    /// The engine's histograms, weakest doorbell first.
    pub latencies: Vec<Latency>,
}

impl Details {
    /// Asks for all of them: `row(caller, first)` and `latency(number)`, each None past its last.
    pub fn gather(
        mut row: impl FnMut(u32, u32) -> Result<Option<Row>>,
        mut latency: impl FnMut(u32) -> Result<Option<Latency>>,
    ) -> Result<Self> {
        let mut details = Self::default();
        let mut caller = 0;
        while let Some(first) = row(caller, 0)? {
            for from in (0..first.participants).step_by(PAIRS) {
                details.rows.extend(row(caller, from)?);
            }
            caller += 1;
        }
        while let Some(found) = latency(details.latencies.len() as u32)? {
            details.latencies.push(found);
        }
        Ok(details)
    }
}

/// A storm: what it was, what came of it, who called whom.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    /// `threads`, or the kernel it blew on.
    pub machine: String,
    pub pattern: String,
    pub irqs: String,
    pub targets_irqs: String,
    pub doorbells: String,
    pub seed: u64,
    pub seconds: f64,
    pub calls: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub wrong_timeouts: u64,
    pub timeouts: u64,
    pub busy: u64,
    pub faults: u64,
    pub rings: u64,
    pub rings_saved: u64,
    pub rerings: u64,
    pub escalations: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The CPUs that took part.
    pub cpus: Vec<u32>,
    /// Calls by caller, then target, both in the order of `cpus`.
    pub pairs: Vec<Vec<PairRecord>>,
    /// By doorbell, weakest first.
    pub latencies: Vec<LatencyRecord>,
}

/// Calls of one CPU to another.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PairRecord {
    pub calls: u64,
    /// Of these, waited for alone: the times are theirs.
    pub waited: u64,
    pub sum_ns: u64,
    pub longest_ns: u64,
}

impl PairRecord {
    /// What a call took on average, in nanoseconds. None: none was waited for alone.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.waited)
    }
}

/// How long calls took that rang this doorbell last.
#[derive(Debug, Serialize, Deserialize)]
pub struct LatencyRecord {
    pub doorbell: String,
    /// Bucket `n` counts `2^n` to `2^(n+1) - 1` ns.
    pub buckets: Vec<u64>,
}

impl Record {
    /// A storm by `args` on `machine`.
    pub fn new(machine: String, args: &StormArgs, totals: &Totals, details: &Details) -> Self {
        let cpus: Vec<u32> = details
            .rows
            .iter()
            .filter(|row| row.first == 0)
            .map(|row| row.cpu)
            .collect();
        let mut pairs = vec![vec![PairRecord::default(); cpus.len()]; cpus.len()];
        for row in &details.rows {
            let Some(callers) = pairs.get_mut(row.caller as usize) else {
                continue;
            };
            let places = callers.iter_mut().skip(row.first as usize);
            for (place, pair) in places.zip(row.pairs).take(row.count as usize) {
                *place = pair.into();
            }
        }
        let latencies = details.latencies.iter().map(|latency| LatencyRecord {
            doorbell: text(&latency.name).to_owned(),
            buckets: latency.buckets.to_vec(),
        });
        Self {
            version: VERSION,
            machine,
            pattern: args.pattern.0.name().to_owned(),
            irqs: args.irqs.name().to_owned(),
            targets_irqs: args.targets_irqs.name().to_owned(),
            doorbells: text(&totals.doorbells).to_owned(),
            seed: args.seed,
            seconds: (totals.elapsed_ns / 1_000_000) as f64 / 1000.0,
            calls: totals.calls,
            lost: totals.lost,
            duplicated: totals.duplicated,
            wrong_timeouts: totals.wrong_timeouts,
            timeouts: totals.timeouts,
            busy: totals.busy,
            faults: totals.faults,
            rings: totals.rings,
            rings_saved: totals.rings_saved,
            rerings: totals.rerings,
            escalations: totals.escalations,
            p50_ns: totals.p50_ns,
            p99_ns: totals.p99_ns,
            max_ns: totals.max_ns,
            failure: totals
                .failure(args.pattern.0, args.mask_target.is_some())
                .map(str::to_owned),
            cpus,
            pairs,
            latencies: latencies.collect(),
        }
    }

    /// Reads and checks what `stress report --json` wrote.
    pub fn parse(text: &str) -> Result<Self> {
        let record: Self = serde_json::from_str(text)?;
        let (version, cpus) = (record.version, record.cpus.len());
        ensure!(version == VERSION, "version {version}, not {VERSION}");
        ensure!(
            record.pairs.len() == cpus && record.pairs.iter().all(|row| row.len() == cpus),
            "{cpus} CPUs, and pairs of other CPUs"
        );
        let buckets = |latency: &LatencyRecord| latency.buckets.len() == LATENCY_BUCKETS;
        ensure!(
            record.latencies.iter().all(buckets),
            "a histogram that has not {LATENCY_BUCKETS} buckets"
        );
        Ok(record)
    }

    /// Rings for a call, on average.
    pub fn rings_per_call(&self) -> f64 {
        self.rings as f64 / self.calls.max(1) as f64
    }
}

impl From<Pair> for PairRecord {
    fn from(pair: Pair) -> Self {
        Self {
            calls: pair.calls,
            waited: pair.waited,
            sum_ns: pair.sum_ns,
            longest_ns: pair.longest_ns,
        }
    }
}
