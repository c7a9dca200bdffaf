// SPDX-License-Identifier: GPL-2.0
//! The figures, as tables.

use super::calls::label;
use super::ledger::{Counts, Row};

/// Columns of counts, in the order of `Counts::each`: hook hits are the sum of the others.
const COUNTS: [&str; 8] = [
    "hook hits",
    "= records",
    "+ drops",
    "+ nested",
    "+ self",
    "+ predicate",
    "+ inactive",
    "+ errors",
];

fn counts(counts: &Counts) -> String {
    let cells = counts.each().into_iter().zip(COUNTS);
    cells
        .map(|(count, name)| format!(" {count:>width$}", width = name.len().max(9)))
        .collect()
}

fn header(first: &str) -> String {
    let names = COUNTS.map(|name| format!(" {name:>width$}", width = name.len().max(9)));
    format!("{first}{} {:>9}", names.concat(), "read")
}

/// By CPU, then by clause on all CPUs.
pub fn show(rows: &[Row]) {
    println!("{}", header(&format!("{:<15}", "CPU")));
    for row in rows {
        let read: u64 = row.lanes.iter().map(|lane| lane.read).sum();
        println!("{:<15}{} {read:>9}", row.cpu, counts(&row.counts));
    }
    println!(
        "{:<15} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "clause", "calls", "certain", "records", "drops", "read"
    );
    for clause in 0..rows.first().map_or(0, |row| row.lanes.len()) {
        let lanes = || rows.iter().filter_map(|row| row.lanes.get(clause));
        println!(
            "{:<15} {:>9} {:>9} {:>9} {:>9} {:>9}",
            label(clause),
            lanes().map(|lane| lane.calls).sum::<u64>(),
            lanes().map(|lane| lane.certain).sum::<u64>(),
            lanes().map(|lane| lane.counts.records).sum::<u64>(),
            lanes().map(|lane| lane.counts.drops).sum::<u64>(),
            lanes().map(|lane| lane.read).sum::<u64>(),
        );
    }
}
