// SPDX-License-Identifier: GPL-2.0
//! Aggregations: what CPUs counted apart, put together.

use crate::fields::Field;
use crate::record::{BadLayout, Layout, Value};
use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{Linear, QUANTIZE_BUCKETS};
use std::collections::BTreeMap;
use std::fmt;

/// How records of one aggregation are read. Each enabled probe has its own, though they may be of the
/// same clause.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Which aggregation of the program it is: the first part of its key says so.
    pub variable: u64,
    /// Where in a record its parts are: the key's, then the value.
    pub layout: Layout,
    /// What is done with values.
    pub function: Function,
}

/// What is done with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Which aggregating action.
    pub kind: ActionKind,
    /// Its argument.
    pub argument: u64,
}

/// Why an aggregation cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadShape {
    /// Its records do not hold together.
    Layout(BadLayout),
    /// There is no value, or no action known that made it.
    Action(u16),
    /// The value has another size than its action makes.
    Size(u32),
}

impl fmt::Display for BadShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(bad) => bad.fmt(f),
            Self::Action(action) => write!(f, "an aggregation by action {action:#x}"),
            Self::Size(size) => write!(f, "a value of {size} bytes"),
        }
    }
}

impl std::error::Error for BadShape {}

impl Function {
    /// Words of a value; None: not an aggregating action that is known here.
    pub fn words(self) -> Option<usize> {
        Some(match self.kind {
            ActionKind::Count | ActionKind::Min | ActionKind::Max | ActionKind::Sum => 1,
            ActionKind::Avg => 2,
            ActionKind::Stddev => 4,
            ActionKind::Quantize => QUANTIZE_BUCKETS,
            ActionKind::Lquantize => 1 + Linear::from_argument(self.argument).buckets(),
            _ => return None,
        })
    }

    /// Puts two values together.
    fn merge(self, into: &mut [u64], from: &[u64]) {
        let pick = |into: &mut [u64], better: fn(i64, i64) -> i64| {
            for (a, b) in into.iter_mut().zip(from) {
                *a = better(*a as i64, *b as i64) as u64;
            }
        };
        match self.kind {
            ActionKind::Min => pick(into, i64::min),
            ActionKind::Max => pick(into, i64::max),
            ActionKind::Stddev => {
                if let ([count, sum, low, high], [c, s, l, h]) = (into, from) {
                    *count = count.wrapping_add(*c);
                    *sum = sum.wrapping_add(*s);
                    let (word, carry) = low.overflowing_add(*l);
                    *low = word;
                    *high = high.wrapping_add(*h).wrapping_add(u64::from(carry));
                }
            }
            _ => {
                // The first word of lquantize is its argument, the same on all CPUs.
                let first = usize::from(self.kind == ActionKind::Lquantize);
                for (a, b) in into.iter_mut().zip(from).skip(first) {
                    *a = a.wrapping_add(*b);
                }
            }
        }
    }
}

impl Shape {
    /// Checks a description's value, which is its last part.
    ///
    /// # Errors
    /// If there is none, or not one that is known.
    pub fn check(layout: Layout) -> Result<Self, BadShape> {
        let part = layout.parts().last().ok_or(BadShape::Action(0))?;
        let kind = ActionKind::from_raw(part.action).ok_or(BadShape::Action(part.action))?;
        let argument = part.argument;
        let function = Function { kind, argument };
        let words = function.words().ok_or(BadShape::Action(part.action))?;
        if part.size as usize != words * 8 {
            return Err(BadShape::Size(part.size));
        }
        let first = layout.parts().first();
        Ok(Self {
            variable: first.map_or(0, |part| part.user_argument),
            layout,
            function,
        })
    }
}

/// One aggregation's keys and values, of all probes and CPUs.
#[derive(Clone, Debug)]
pub struct Table {
    /// Which of the session's clauses made it; None: none of them.
    pub clause: Option<usize>,
    /// What each part of the key is, if the clause says so.
    pub key: Vec<Field>,
    /// What is done with values.
    pub function: Function,
    entries: BTreeMap<Vec<Value>, Vec<u64>>,
}

impl Table {
    /// One without entries.
    pub fn new(clause: Option<usize>, key: Vec<Field>, function: Function) -> Self {
        Self {
            clause,
            key,
            function,
            entries: BTreeMap::new(),
        }
    }

    /// Adds a record of that shape, whose function is the table's.
    pub fn add(&mut self, shape: &Shape, record: &[u8]) {
        let parts: Vec<_> = shape.layout.split(record).collect();
        let Some(((_, value), key)) = parts.split_last() else {
            return;
        };
        let key = key.iter().skip(1).enumerate();
        let fields = &self.key;
        let key = key.map(|(number, (part, bytes))| Value::read(part, bytes, fields.get(number)));
        let words = value.chunks_exact(8);
        let words: Vec<u64> = words
            .filter_map(|word| word.first_chunk().map(|word| u64::from_ne_bytes(*word)))
            .collect();
        match self.entries.entry(key.collect()) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(words);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                self.function.merge(known.get_mut(), &words);
            }
        }
    }

    /// The entries: by value, smallest first, or by key; or the other way round.
    pub fn sorted(&self, by_key: bool, reverse: bool) -> Vec<(&[Value], &[u64])> {
        let entries = self.entries.iter();
        let mut all: Vec<_> = entries.map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
        if !by_key {
            all.sort_by(|a, b| self.weight(a.1).total_cmp(&self.weight(b.1)));
        }
        if reverse {
            all.reverse();
        }
        all
    }

    /// What a value is sorted by.
    fn weight(&self, words: &[u64]) -> f64 {
        let word = |n: usize| words.get(n).copied().unwrap_or(0);
        match self.function.kind {
            ActionKind::Count => word(0) as f64,
            ActionKind::Avg => average(word(0), word(1)) as f64,
            ActionKind::Stddev => deviation(words),
            ActionKind::Quantize => words.iter().map(|n| *n as f64).sum(),
            ActionKind::Lquantize => words.iter().skip(1).map(|n| *n as f64).sum(),
            _ => word(0) as i64 as f64,
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The mean of so many values.
pub fn average(count: u64, sum: u64) -> i64 {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    (sum as i64).checked_div(count).unwrap_or(0)
}

/// The standard deviation that the words of stddev tell.
pub fn deviation(words: &[u64]) -> f64 {
    let [count, sum, low, high] = words else {
        return 0.0;
    };
    if *count == 0 {
        return 0.0;
    }
    let squares = ((u128::from(*high) << 64) | u128::from(*low)) as f64;
    let count = *count as f64;
    let mean = *sum as i64 as f64 / count;
    (squares / count - mean * mean).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtrace_interface::record::RecordDescription;
    use dtrace_interface::Plain;

    fn part(action: ActionKind, offset: u32, size: u32) -> RecordDescription {
        RecordDescription {
            action: action.raw(),
            offset,
            size,
            ..RecordDescription::ZERO
        }
    }

    /// One with a pid for its key.
    fn table(action: ActionKind, words: u32) -> (Shape, Table) {
        let parts = [
            part(ActionKind::DifExpression, 4, 4),
            part(ActionKind::DifExpression, 8, 4),
            part(action, 16, words * 8),
        ];
        let layout = Layout::of(16 + words * 8, &parts).unwrap();
        let shape = Shape::check(layout).unwrap();
        let key = vec!["pid".parse().unwrap()];
        let table = Table::new(Some(0), key, shape.function);
        (shape, table)
    }

    fn record(pid: u32, words: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [1, 7, pid, 0]
            .iter()
            .flat_map(|w: &u32| w.to_ne_bytes())
            .collect();
        bytes.extend(words.iter().flat_map(|w| w.to_ne_bytes()));
        bytes
    }

    fn merged(action: ActionKind, values: &[&[u64]]) -> Vec<u64> {
        let (shape, mut table) = table(action, values[0].len() as u32);
        for words in values {
            table.add(&shape, &record(1, words));
        }
        let all = table.sorted(false, false);
        assert_eq!(all.len(), 1);
        all[0].1.to_vec()
    }

    #[test]
    fn cpus_are_put_together() {
        let minus_one = u64::MAX;
        assert_eq!(merged(ActionKind::Count, &[&[3], &[4]]), [7]);
        assert_eq!(merged(ActionKind::Sum, &[&[3], &[minus_one]]), [2]);
        assert_eq!(merged(ActionKind::Min, &[&[3], &[minus_one]]), [minus_one]);
        assert_eq!(merged(ActionKind::Max, &[&[3], &[minus_one]]), [3]);
        assert_eq!(merged(ActionKind::Avg, &[&[1, 10], &[2, 5]]), [3, 15]);
        let squares = merged(ActionKind::Stddev, &[&[1, 1, u64::MAX, 0], &[1, 1, 1, 2]]);
        assert_eq!(squares, [2, 2, 0, 3]);
    }

    #[test]
    fn smallest_value_first_unless_asked() {
        let (shape, mut table) = table(ActionKind::Count, 1);
        for (pid, count) in [(9, 1), (5, 3), (7, 2)] {
            table.add(&shape, &record(pid, &[count]));
        }
        let pids = |by_key, reverse| -> Vec<i64> {
            let all = table.sorted(by_key, reverse);
            all.iter().filter_map(|(key, _)| key[0].number()).collect()
        };
        assert_eq!(pids(false, false), [9, 7, 5]);
        assert_eq!(pids(true, false), [5, 7, 9]);
        assert_eq!(pids(true, true), [9, 7, 5]);
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let shape = |parts: &[RecordDescription]| {
            let layout = Layout::of(64, parts).unwrap();
            Shape::check(layout).map(|shape| shape.function)
        };
        assert_eq!(shape(&[]), Err(BadShape::Action(0)));
        let not_one = part(ActionKind::Exit, 8, 8);
        assert_eq!(shape(&[not_one]), Err(BadShape::Action(2)));
        let short = part(ActionKind::Avg, 8, 8);
        assert_eq!(shape(&[short]), Err(BadShape::Size(8)));
    }

    #[test]
    fn means_and_deviations() {
        assert_eq!(average(0, 5), 0);
        assert_eq!(average(4, -10_i64 as u64), -2);
        // 2, 4, 4, 4, 5, 5, 7, 9
        assert_eq!(deviation(&[8, 40, 232, 0]), 2.0);
        assert_eq!(deviation(&[0, 0, 0, 0]), 0.0);
        assert_eq!(deviation(&[1]), 0.0);
    }
}
