// SPDX-License-Identifier: GPL-2.0
//! `--accounting`: where every firing went, CPU by CPU.

use super::json;
use dtrace_interface::accounting::Accounting;
use dtrace_interface::Plain;
use std::io::{self, Write};

/// A count and its name.
type Count = (&'static str, fn(&Accounting) -> u64);

/// The columns, in their order.
const COUNTS: [Count; 11] = [
    ("hits", |a| a.hits),
    ("records", |a| a.records),
    ("drops", |a| a.drops),
    ("predicate-false", |a| a.predicate_false),
    ("self-filtered", |a| a.self_filtered),
    ("inactive", |a| a.inactive),
    ("errors", |a| a.errors),
    ("nested", |a| a.nested),
    ("agg-drops", |a| a.aggregation_drops),
    ("dyn-drops", |a| a.dynamic_drops),
    ("switches", |a| a.switches),
];

/// Hits of which nothing is known: 0 if all is well.
pub fn missing(accounting: &Accounting) -> i128 {
    let known = [
        accounting.records,
        accounting.drops,
        accounting.predicate_false,
        accounting.self_filtered,
        accounting.inactive,
        accounting.errors,
    ];
    i128::from(accounting.hits) - known.map(i128::from).iter().sum::<i128>()
}

/// All CPUs together.
pub fn sum(all: &[Accounting]) -> Accounting {
    let total = |count: fn(&Accounting) -> u64| {
        let counts = all.iter().map(count);
        counts.fold(0, u64::saturating_add)
    };
    Accounting {
        hits: total(|a| a.hits),
        records: total(|a| a.records),
        drops: total(|a| a.drops),
        predicate_false: total(|a| a.predicate_false),
        self_filtered: total(|a| a.self_filtered),
        inactive: total(|a| a.inactive),
        errors: total(|a| a.errors),
        nested: total(|a| a.nested),
        aggregation_drops: total(|a| a.aggregation_drops),
        dynamic_drops: total(|a| a.dynamic_drops),
        switches: total(|a| a.switches),
        ..Accounting::ZERO
    }
}

/// A table, with a last row for all CPUs.
///
/// # Errors
/// The writer's.
pub fn text(all: &[Accounting], out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>3}", "CPU")?;
    for (name, _) in COUNTS {
        write!(out, " {name:>width$}", width = name.len().max(10))?;
    }
    writeln!(out)?;
    let row = |cpu: &str, accounting: &Accounting, out: &mut dyn Write| {
        write!(out, "{cpu:>3}")?;
        for (name, count) in COUNTS {
            let width = name.len().max(10);
            write!(out, " {:>width$}", count(accounting))?;
        }
        writeln!(out)
    };
    for accounting in all {
        row(&accounting.cpu.to_string(), accounting, out)?;
    }
    let sum = sum(all);
    row("all", &sum, out)?;
    match missing(&sum) {
        0 => Ok(()),
        missing => writeln!(out, "{missing} hits are not accounted for"),
    }
}

/// An object for each CPU, and one for all.
///
/// # Errors
/// The writer's.
pub fn json(all: &[Accounting], out: &mut dyn Write) -> io::Result<()> {
    let object = |cpu: serde_json::Value, accounting: &Accounting, out: &mut dyn Write| {
        let mut object = serde_json::Map::new();
        object.insert("type".into(), "accounting".into());
        object.insert("cpu".into(), cpu);
        for (name, count) in COUNTS {
            object.insert(name.into(), count(accounting).into());
        }
        let missing = i64::try_from(missing(accounting)).unwrap_or(i64::MAX);
        object.insert("missing".into(), missing.into());
        json::line(&object, out)
    };
    for accounting in all {
        object(accounting.cpu.into(), accounting, out)?;
    }
    object("all".into(), &sum(all), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let mut cpu = Accounting {
            hits: 10,
            records: 6,
            drops: 1,
            predicate_false: 2,
            errors: 1,
            nested: 3,
            ..Accounting::ZERO
        };
        assert_eq!(missing(&cpu), 0);
        let told = |cpu: &Accounting| {
            let mut out = Vec::new();
            text(std::slice::from_ref(cpu), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(!told(&cpu).contains("not accounted"));
        cpu.hits = 12;
        assert!(told(&cpu).ends_with("2 hits are not accounted for\n"));
    }
}
