// SPDX-License-Identifier: GPL-2.0
//! The counters as tables of text. Rows and columns have names, so that tools can read them too: a
//! line of columns' names, a line a row, its name first; an empty line between two tables.

use crate::cpu::CpuId;
use crate::doorbell::Doorbell;
use crate::engine::Engine;
use crate::histogram::{Histogram, LATENCY_BUCKETS};
use crate::platform::Platform;
use crate::stats::Stats;
use core::fmt::{self, Display, Write};

/// Quantiles shown, in calls of 1,000.
const QUANTILES: [(&str, u64); 5] = [
    ("p50_ns", 500),
    ("p90_ns", 900),
    ("p99_ns", 990),
    ("p99.9_ns", 999),
    ("max_ns", 1000),
];

fn cpus<P: Platform>(engine: &Engine<P>) -> impl Iterator<Item = CpuId> {
    (0..engine.config().cpus).map(CpuId)
}

/// What each CPU did: a row for each, and one for all together.
///
/// # Errors
///
/// Those of `to`.
pub fn stats<P: Platform>(engine: &Engine<P>, to: &mut impl Write) -> fmt::Result {
    writeln!(
        to,
        "{:<6} {:>12} {:>12} {:>10} {:>12} {:>12} {:>10} {:>11} {:>8} {:>6} {:>7}",
        "cpu",
        "made",
        "run",
        "withdrawn",
        "rings",
        "saved",
        "rerings",
        "escalations",
        "timeouts",
        "busy",
        "deepest"
    )?;
    let total = engine.total_stats();
    for cpu in cpus(engine) {
        if let Some(stats) = engine.stats(cpu) {
            stats_row(to, cpu.0, &stats)?;
        }
    }
    stats_row(to, "all", &total)
}

fn stats_row(to: &mut impl Write, name: impl Display, s: &Stats) -> fmt::Result {
    writeln!(
        to,
        "{:<6} {:>12} {:>12} {:>10} {:>12} {:>12} {:>10} {:>11} {:>8} {:>6} {:>7}",
        name,
        s.made,
        s.run,
        s.withdrawn,
        s.rings,
        s.rings_saved,
        s.rerings,
        s.escalations,
        s.timeouts,
        s.busy,
        s.deepest
    )
}

/// How long waiting calls to other CPUs took: of all CPUs, by the doorbell last rung, and of each
/// CPU that calls. First quantiles, each a bound that is twice the truth at worst, then the
/// histograms, whose columns are named by the shortest time they count.
///
/// # Errors
///
/// Those of `to`.
pub fn latency<P: Platform>(engine: &Engine<P>, to: &mut impl Write) -> fmt::Result {
    write!(to, "{:<14} {:>12}", "waited", "calls")?;
    for (name, _) in QUANTILES {
        write!(to, " {name:>12}")?;
    }
    writeln!(to)?;
    let mut longest = Histogram::default();
    for_each_histogram(engine, |name, histogram| {
        longest += histogram;
        write!(to, "{name:<14} {:>12}", histogram.calls())?;
        for (_, per_mille) in QUANTILES {
            write!(to, " {:>12}", histogram.quantile_ns(per_mille))?;
        }
        writeln!(to)
    })?;

    let used = |bucket: &usize| longest.0[*bucket] != 0;
    let first = (0..LATENCY_BUCKETS).find(used).unwrap_or(0);
    let end = (0..LATENCY_BUCKETS).rev().find(used).map_or(0, |b| b + 1);
    write!(to, "\n{:<14}", "from_ns")?;
    for bucket in first..end {
        write!(to, " {:>10}", 1u64 << bucket)?;
    }
    writeln!(to)?;
    for_each_histogram(engine, |name, histogram| {
        write!(to, "{name:<14}")?;
        // Calls longer than any at first may have ended since: they show the next time.
        for bucket in first..end {
            write!(to, " {:>10}", histogram.0[bucket])?;
        }
        writeln!(to)
    })
}

/// The name of a row: a CPU's, padded like a text.
struct Cpu(CpuId);

impl Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = (self.0 .0.max(1).ilog10() + 1) as usize;
        let filling = f.width().unwrap_or(0).saturating_sub(3 + digits);
        write!(f, "cpu{}{:filling$}", self.0 .0, "")
    }
}

fn for_each_histogram<P: Platform>(
    engine: &Engine<P>,
    mut show: impl FnMut(&dyn Display, &Histogram) -> fmt::Result,
) -> fmt::Result {
    show(&"all", &engine.total_stats().latency)?;
    for (number, bell) in engine.doorbells().enumerate() {
        let mut sum = Histogram::default();
        for histogram in cpus(engine).filter_map(|cpu| engine.latency(cpu, number)) {
            sum += &histogram;
        }
        show(&bell.name(), &sum)?;
    }
    for cpu in cpus(engine) {
        if let Some(Stats { latency, .. }) = engine.stats(cpu) {
            if engine.is_online(cpu) || latency.calls() != 0 {
                show(&Cpu(cpu), &latency)?;
            }
        }
    }
    Ok(())
}
