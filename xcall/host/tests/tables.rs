// SPDX-License-Identifier: GPL-2.0
//! The counters as text: what rows and columns say is what the engine counted.

mod common;

use common::*;
use xcall::{tables, CpuId};

/// The cell of a table by the names of its row and column.
fn cell(table: &str, row: &str, column: &str) -> Option<u64> {
    let mut lines = table.lines().map(str::split_whitespace);
    let at = lines.next()?.position(|name| name == column)?;
    let row = lines.find(|line| line.clone().next() == Some(row));
    row?.nth(at)?.parse().ok()
}

#[test]
fn cells_are_what_was_counted() {
    let engine = machine(config(3), signal_and_masked);
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(0) {
            for _ in 0..5 {
                engine.call(CpuId(1), nmi_safe(&|| {})).unwrap();
            }
        }
    });
    let (mut stats, mut latency) = (String::new(), String::new());
    tables::stats(&engine, &mut stats).unwrap();
    tables::latency(&engine, &mut latency).unwrap();

    let total = engine.total_stats();
    assert_eq!(cell(&stats, "all", "made"), Some(5), "{stats}");
    assert_eq!(cell(&stats, "0", "made"), Some(5), "{stats}");
    assert_eq!(cell(&stats, "1", "run"), Some(5), "{stats}");
    assert_eq!(cell(&stats, "all", "saved"), Some(total.rings_saved));

    let (quantiles, histograms) = latency.split_once("\n\n").unwrap();
    for row in ["all", "cpu0"] {
        assert_eq!(cell(quantiles, row, "calls"), Some(5), "{latency}");
        let most = total.latency.quantile_ns(1000);
        assert_eq!(cell(quantiles, row, "max_ns"), Some(most), "{latency}");
        for (bucket, calls) in total.latency.0.iter().enumerate().filter(|(_, n)| **n != 0) {
            let from = (1u64 << bucket).to_string();
            assert_eq!(cell(histograms, row, &from), Some(*calls), "{latency}");
        }
    }
    // By doorbell, whichever was rung last, they are those five again.
    let by = |bell| cell(quantiles, bell, "calls").unwrap();
    assert_eq!(by("signal") + by("masked-signal"), 5, "{latency}");
    assert_eq!(cell(quantiles, "cpu2", "calls"), None, "never online");
}

#[test]
fn columns_stand_under_their_names() {
    let engine = machine(config(12), signal_and_masked);
    open(&engine, 0..12);
    let mut latency = String::new();
    tables::latency(&engine, &mut latency).unwrap();
    let (quantiles, _) = latency.split_once("\n\n").unwrap();
    let widths: Vec<usize> = quantiles.lines().map(str::len).collect();
    assert!(widths.iter().all(|w| *w == widths[0]), "{quantiles}");
}
