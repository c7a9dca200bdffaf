// SPDX-License-Identifier: GPL-2.0
//! `--accounting`: where every firing went, CPU by CPU.

use super::json;
use dtrace_interface::accounting::Accounting;
use std::io::{self, Write};

/// A count and its name.
type Count = (&'static str, fn(&Accounting) -> u64);

/// Those of each CPU, in their order.
const COUNTS: [Count; 8] = [
    ("hits", |a| a.hits),
    ("records", |a| a.records),
    ("drops", |a| a.drops),
    ("predicate-false", |a| a.predicate_false),
    ("self-filtered", |a| a.self_filtered),
    ("inactive", |a| a.inactive),
    ("errors", |a| a.errors),
    ("nested", |a| a.nested),
];

/// Those that the kernel does not tell by CPU.
const TOTALS: [Count; 5] = [
    ("aggregation-drops", |a| a.aggregation_drops),
    ("dynamic-drops", |a| a.dynamic_drops),
    ("rinsing-drops", |a| a.dynamic_rinsing_drops),
    ("dirty-drops", |a| a.dynamic_dirty_drops),
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

/// A table of CPUs, whose last row is for all of them.
///
/// # Errors
/// The writer's.
pub fn text(each: &[Accounting], all: &Accounting, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>3}", "CPU")?;
    for (name, _) in COUNTS {
        write!(out, " {name:>width$}", width = width(name))?;
    }
    writeln!(out)?;
    let row = |cpu: &str, accounting: &Accounting, out: &mut dyn Write| {
        write!(out, "{cpu:>3}")?;
        for (name, count) in COUNTS {
            write!(out, " {:>width$}", count(accounting), width = width(name))?;
        }
        writeln!(out)
    };
    for accounting in each {
        row(&accounting.cpu.to_string(), accounting, out)?;
    }
    row("all", all, out)?;
    let totals = TOTALS.map(|(name, count)| format!("{name} {}", count(all)));
    writeln!(out, "{}", totals.join(", "))?;
    match missing(all) {
        0 => Ok(()),
        missing => writeln!(out, "{missing} hits are not accounted for"),
    }
}

fn width(name: &str) -> usize {
    name.len().max(10)
}

/// An object for each CPU, and one for all.
///
/// # Errors
/// The writer's.
pub fn json(each: &[Accounting], all: &Accounting, out: &mut dyn Write) -> io::Result<()> {
    for accounting in each {
        json::line(&object(accounting.cpu.into(), accounting), out)?;
    }
    let mut last = object("all".into(), all);
    last.extend(TOTALS.map(|(name, count)| (name.into(), count(all).into())));
    json::line(&last, out)
}

fn object(
    cpu: serde_json::Value,
    accounting: &Accounting,
) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    object.insert("type".into(), "accounting".into());
    object.insert("cpu".into(), cpu);
    object.extend(COUNTS.map(|(name, count)| (name.into(), count(accounting).into())));
    let missing = i64::try_from(missing(accounting)).unwrap_or(i64::MAX);
    object.insert("missing".into(), missing.into());
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtrace_interface::Plain;

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
            text(std::slice::from_ref(cpu), cpu, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(!told(&cpu).contains("not accounted"));
        cpu.hits = 12;
        assert!(told(&cpu).ends_with("2 hits are not accounted for\n"));
    }
}
