// SPDX-License-Identifier: GPL-2.0
//! xcall.ko's counters, read from its tables in debugfs; rows and columns are found by name.

use anyhow::{bail, Context, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Instant;
use xcall::{Histogram, LATENCY_BUCKETS};

/// What the counters said at one time.
#[derive(Debug)]
pub struct Sample {
    pub at: Instant,
    stats: Table,
    /// By row: `all`, a doorbell's name, `cpu0`...
    waits: BTreeMap<String, Histogram>,
    /// Doorbells that calls rang, weakest first.
    pub doorbells: Vec<String>,
}

/// A table: a line of names, then rows.
#[derive(Debug, Default)]
struct Table {
    columns: Vec<String>,
    rows: BTreeMap<String, Vec<u64>>,
    names: Vec<String>,
}

impl Table {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::split_whitespace);
        let header = lines.next().context("an empty table")?;
        let mut table = Table {
            columns: header.skip(1).map(str::to_owned).collect(),
            ..Table::default()
        };
        for mut line in lines {
            let name = line.next().context("a row without a name")?;
            let cells: Result<Vec<u64>, _> = line.map(str::parse).collect();
            let cells = cells.with_context(|| format!("row {name}: not a number"))?;
            if cells.len() != table.columns.len() {
                bail!("row {name}: {} cells", cells.len());
            }
            table.names.push(name.to_owned());
            table.rows.insert(name.to_owned(), cells);
        }
        Ok(table)
    }

    fn cell(&self, row: &str, column: &str) -> Option<u64> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(at).copied()
    }
}

impl Sample {
    /// Reads `stats` and `latency` in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let stats = file(folder, "stats")?;
        let latency = file(folder, "latency")?;
        let at = Instant::now();
        Self::parse(&stats, &latency, at)
            .with_context(|| format!("{}: tables of another build of xcall.ko", folder.display()))
    }

    /// What these tables say.
    pub fn parse(stats: &str, latency: &str, at: Instant) -> Result<Self> {
        let stats = Table::parse(stats)?;
        if stats.cell("all", "made").is_none() {
            bail!("no column `made`");
        }
        let (_, histograms) = latency.split_once("\n\n").context("no histograms")?;
        let table = Table::parse(histograms)?;
        let mut buckets = Vec::new();
        for column in &table.columns {
            let from: u64 = column.parse().context("a bucket without a number")?;
            buckets.push((from.max(1).ilog2() as usize).min(LATENCY_BUCKETS - 1));
        }
        let mut waits = BTreeMap::new();
        for (name, cells) in &table.rows {
            let mut histogram = Histogram::default();
            for (bucket, calls) in buckets.iter().zip(cells) {
                histogram.0[*bucket] += calls;
            }
            waits.insert(name.clone(), histogram);
        }
        let is_bell = |name: &&String| *name != "all" && !name.starts_with("cpu");
        let doorbells = table.names.iter().filter(is_bell).cloned().collect();
        Ok(Self {
            at,
            stats,
            waits,
            doorbells,
        })
    }

    /// The CPUs, by number.
    pub fn cpus(&self) -> Vec<u32> {
        let numbers = self.stats.names.iter().map(|name| name.parse());
        numbers.filter_map(Result::ok).collect()
    }

    /// A counter of a CPU, or of `all`. 0 if there is none.
    pub fn count(&self, row: &str, column: &str) -> u64 {
        self.stats.cell(row, column).unwrap_or(0)
    }

    /// How long calls took. Empty if nothing is known.
    pub fn waits(&self, row: &str) -> Histogram {
        self.waits.get(row).copied().unwrap_or_default()
    }
}

fn file(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::read_to_string(&path).or_else(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "hint: insmod xcall.ko; mount -t debugfs debugfs /sys/kernel/debug"
            }
            io::ErrorKind::PermissionDenied => "hint: run it as root",
            _ => "hint: dmesg may say more",
        };
        bail!("{}: {error}\n{hint}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "\
cpu            made          run  rings
0                10           12      7
1                 5            3      5
all              15           15     12
";
    const LATENCY: &str = "\
waited                calls       p50_ns
all                      15         2047

from_ns              1024       2048
all                    14          1
nmi                    14          1
cpu0                   10          0
cpu1                    4          1
";

    #[test]
    fn tables_are_read_by_name() {
        let sample = Sample::parse(STATS, LATENCY, Instant::now()).unwrap();
        assert_eq!(sample.cpus(), [0, 1]);
        assert_eq!(sample.count("1", "rings"), 5);
        assert_eq!(sample.count("1", "unheard-of"), 0);
        assert_eq!(sample.doorbells, ["nmi"]);
        assert_eq!(sample.waits("all").calls(), 15);
        assert_eq!(sample.waits("cpu1").0[10..12], [4, 1]);
        assert_eq!(sample.waits("cpu7").calls(), 0);
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        for (stats, latency) in [
            ("", LATENCY),
            (STATS, ""),
            ("cpu made\nall x\n", LATENCY),
            ("cpu made\nall 1 2\n", LATENCY),
            (STATS, "waited calls\n\nfrom_ns many\nall 1\n"),
        ] {
            assert!(Sample::parse(stats, latency, Instant::now()).is_err());
        }
    }
}
