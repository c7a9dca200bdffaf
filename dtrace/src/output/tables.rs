// SPDX-License-Identifier: GPL-2.0
//! Aggregations as text: keys and values, or keys and distributions.

use super::text::shown;
use super::{line, Sorting};
use crate::aggregation::{average, deviation, Table};
use crate::format::{Aggregated, Format, Given};
use crate::record::Value;
use crate::symbols::Symbols;
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{quantize_value, Linear};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Columns of the longest bar.
const BAR: f64 = 40.0;

/// A row of a distribution: what its values begin with, how many there are.
pub(super) struct Row {
    pub from: String,
    pub count: u64,
}

/// All entries.
pub(super) fn text(table: &Table, sorting: Sorting, out: &mut dyn Write) -> io::Result<()> {
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (key, words) in table.sorted(sorting.by_key, sorting.reverse) {
        let key = key_text(key);
        match distribution(table, words) {
            Some(rows) => {
                line(&key, out)?;
                bars(&rows, out)?;
            }
            None => line(&format!("{key:<52} {:>16}", single(table, words)), out)?,
        }
    }
    Ok(())
}

/// All entries, each as a format shows it.
pub(super) fn formatted(table: &Table, format: &Format, sorting: Sorting) -> String {
    let mut text = String::new();
    for (key, words) in table.sorted(sorting.by_key, sorting.reverse) {
        let keys = key.iter().map(|value| Given {
            value: value.clone(),
            bytes: &[],
        });
        let keys: Vec<Given<'_>> = keys.collect();
        let value = match distribution(table, words) {
            Some(rows) => {
                let mut shown = b"\n".to_vec();
                // A vector takes all there is.
                let _ = bars(&rows, &mut shown);
                Aggregated::Distribution(String::from_utf8_lossy(&shown).into_owned())
            }
            None => Aggregated::Number(single(table, words)),
        };
        format.render(&keys, Some(&value), &Symbols::default(), &mut text);
    }
    text
}

fn key_text(key: &[Value]) -> String {
    let mut text = String::new();
    for value in key {
        let _ = match value {
            Value::Text(_) => write!(text, "  {:<24}", shown(value)),
            _ => write!(text, "  {:>8}", shown(value)),
        };
    }
    text.truncate(text.trim_end().len());
    text
}

/// A value that is one number.
pub(super) fn single(table: &Table, words: &[u64]) -> i64 {
    let word = |n: usize| words.get(n).copied().unwrap_or(0);
    match table.function.kind {
        ActionKind::Avg => average(word(0), word(1)),
        ActionKind::Stddev => deviation(words) as i64,
        _ => word(0) as i64,
    }
}

/// The rows of a distribution, from one before the first that has values to one after the last; None:
/// it is none.
pub(super) fn distribution(table: &Table, words: &[u64]) -> Option<Vec<Row>> {
    let function = table.function;
    let (rows, shown): (Vec<Row>, bool) = match function.kind {
        ActionKind::Quantize => {
            let rows = words.iter().enumerate().map(|(bucket, count)| Row {
                from: quantize_value(bucket).to_string(),
                count: *count,
            });
            (rows.collect(), true)
        }
        ActionKind::Lquantize => {
            let linear = Linear::from_argument(function.argument);
            let last = linear.buckets() - 1;
            let level = |bucket: usize| {
                i64::from(linear.base) + (bucket as i64 - 1) * i64::from(linear.step)
            };
            let rows = words.iter().skip(1).enumerate().map(|(bucket, count)| Row {
                from: match bucket {
                    0 => format!("< {}", linear.base),
                    bucket if bucket == last => format!(">= {}", level(bucket)),
                    bucket => level(bucket).to_string(),
                },
                count: *count,
            });
            (rows.collect(), true)
        }
        _ => (Vec::new(), false),
    };
    let first = rows.iter().position(|row| row.count != 0);
    let last = rows.iter().rposition(|row| row.count != 0);
    let (Some(first), Some(last)) = (first, last) else {
        return shown.then(Vec::new);
    };
    let end = (last + 2).min(rows.len());
    let used = rows.into_iter().take(end).skip(first.saturating_sub(1));
    Some(used.collect())
}

fn bars(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let heading = "------------- Distribution -------------";
    writeln!(out, "{value:>16}  {heading} count", value = "value")?;
    let total: f64 = rows.iter().map(|row| row.count as f64).sum();
    for Row { from, count } in rows {
        let share = *count as f64 / total.max(1.0);
        let bar = "@".repeat((share * BAR).round() as usize);
        line(&format!("{from:>16} |{bar:<40} {count}"), out)?;
    }
    writeln!(out)
}
