// SPDX-License-Identifier: GPL-2.0
//! What was read, held against what the kernel counted and what the workers made.

use super::worker::{untag, CALLS};
use anyhow::Result;
use dtrace::event::{DropKind, Drops};
use dtrace::output::accounting::missing;
use dtrace_interface::accounting::Accounting;
use std::fmt;

/// How often an accounting is asked for until no firing is under way.
const ASKED: u32 = 10_000;

/// An accounting while no firing is under way: of one that is, the hit may be counted already and its
/// outcome not yet. What has no outcome at all stays so, however often one asks.
pub fn settled(mut ask: impl FnMut() -> Result<Accounting>) -> Result<Accounting> {
    let mut said = ask()?;
    for _ in 0..ASKED {
        if missing(&said) == 0 {
            break;
        }
        said = ask()?;
    }
    Ok(said)
}

/// Troubles that are kept; more of them tell nothing new.
const TROUBLES: usize = 100;

/// Records of one call of one worker.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    records: u64,
    last: Option<u64>,
    /// Sequence numbers that were left out between the first and the last record.
    gaps: u64,
}

/// All that was read.
#[derive(Debug)]
pub struct Ledger {
    /// By worker, that is by CPU.
    lanes: Vec<(u32, [Lane; CALLS.len()])>,
    /// Drops that buffers told of, by CPU.
    told: Vec<(u32, u64)>,
    /// What should not have been.
    pub troubles: Vec<String>,
}

impl Ledger {
    /// One of workers on these CPUs.
    pub fn new(cpus: impl Iterator<Item = u32>) -> Self {
        Self {
            lanes: cpus.map(|cpu| (cpu, Default::default())).collect(),
            told: Vec::new(),
            troubles: Vec::new(),
        }
    }

    /// A record: where it was found, of which call, with which tag.
    pub fn record(&mut self, cpu: u32, call: Option<usize>, tag: Option<u64>) {
        let (Some(call), Some(tag)) = (call, tag) else {
            self.trouble(&format_args!(
                "CPU {cpu}: a record of no call, or without a tag"
            ));
            return;
        };
        let (worker, sequence) = untag(tag);
        if worker != cpu {
            self.trouble(&format_args!(
                "CPU {cpu}: a record of CPU {worker}'s worker"
            ));
            return;
        }
        let lane = self.lanes.iter_mut().find(|(of, _)| *of == cpu);
        let Some(lane) = lane.and_then(|(_, lanes)| lanes.get_mut(call)) else {
            self.trouble(&format_args!("CPU {cpu}: a record, and no worker there"));
            return;
        };
        lane.records += 1;
        let last = lane.last.replace(sequence);
        match last {
            Some(last) if sequence > last => lane.gaps += sequence - last - 1,
            Some(last) => {
                let call = CALLS[call];
                self.trouble(&format_args!("CPU {cpu}: {call} {sequence} after {last}"));
            }
            None => {}
        }
    }

    /// Drops that were told of.
    pub fn drops(&mut self, drops: &Drops) {
        let (DropKind::Principal, Some(cpu)) = (drops.kind, drops.cpu) else {
            self.trouble(drops);
            return;
        };
        match self.told.iter_mut().find(|(of, _)| *of == cpu) {
            Some((_, count)) => *count += drops.count,
            None => self.told.push((cpu, drops.count)),
        }
    }

    /// What should not have been.
    pub fn trouble(&mut self, what: &dyn fmt::Display) {
        if self.troubles.len() < TROUBLES {
            self.troubles.push(what.to_string());
        }
    }

    /// What there is to compare on a CPU.
    pub fn row(&self, cpu: u32, said: &Accounting, nested: u64) -> Row {
        let lanes = self.lanes.iter().find(|(of, _)| *of == cpu);
        let lanes = lanes.map(|(_, lanes)| *lanes).unwrap_or_default();
        let told = self.told.iter().find(|(of, _)| *of == cpu);
        Row {
            cpu,
            calls: None,
            read: lanes.iter().map(|lane| lane.records).sum(),
            gaps: lanes.iter().map(|lane| lane.gaps).sum(),
            told_drops: told.map_or(0, |(_, count)| *count),
            hits: said.hits,
            records: said.records,
            drops: said.drops,
            nested,
            self_filtered: said.self_filtered,
            predicate_false: said.predicate_false,
            inactive: said.inactive,
            errors: said.errors,
        }
    }
}

/// One CPU's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    pub cpu: u32,
    /// Calls that the worker made, if all were within the enabling.
    pub calls: Option<u64>,
    /// Records that were read.
    pub read: u64,
    /// Sequence numbers left out between records.
    pub gaps: u64,
    /// Drops that buffers told of.
    pub told_drops: u64,
    pub hits: u64,
    pub records: u64,
    pub drops: u64,
    pub nested: u64,
    pub self_filtered: u64,
    pub predicate_false: u64,
    pub inactive: u64,
    pub errors: u64,
}

impl Row {
    /// Adds what does not fit.
    pub fn check(&self, when: &str, mismatches: &mut Vec<String>) {
        let mut compare = |what: &str, left: u64, right: u64| {
            if left != right {
                let cpu = self.cpu;
                mismatches.push(format!("{when}, CPU {cpu}: {what}: {left}, not {right}"));
            }
        };
        let outcomes = self.records
            + self.drops
            + self.self_filtered
            + self.predicate_false
            + self.inactive
            + self.errors;
        compare("hits are the sum of outcomes", self.hits, outcomes);
        compare("records read", self.read, self.records);
        compare("drops told", self.told_drops, self.drops);
        compare("errors", self.errors, 0);
        let losses = self.drops + self.nested + self.errors;
        match self.calls {
            Some(calls) => compare("calls are records and losses", calls, self.read + losses),
            // What is lost before the first or after the last record leaves no gap.
            None => compare("gaps beyond losses", self.gaps.saturating_sub(losses), 0),
        }
    }

    /// Adds rows of the same CPUs.
    pub fn add_all(sums: &mut Vec<Self>, rows: Vec<Self>) {
        if sums.is_empty() {
            *sums = rows;
            return;
        }
        for (sum, row) in sums.iter_mut().zip(rows) {
            for (to, from) in sum.counts_mut().into_iter().zip(row.counts()) {
                *to += from;
            }
        }
    }

    fn counts(&self) -> [u64; 11] {
        let mut copy = *self;
        copy.counts_mut().map(|count| *count)
    }

    fn counts_mut(&mut self) -> [&mut u64; 11] {
        [
            &mut self.read,
            &mut self.gaps,
            &mut self.told_drops,
            &mut self.hits,
            &mut self.records,
            &mut self.drops,
            &mut self.nested,
            &mut self.self_filtered,
            &mut self.predicate_false,
            &mut self.inactive,
            &mut self.errors,
        ]
    }

    /// Prints them.
    pub fn table(rows: &[Self]) {
        println!(
            "{:>4} {:>10} {:>10} {:>10} {:>10} {:>9} {:>7} {:>9} {:>10} {:>10} {:>7}",
            "CPU",
            "calls",
            "read",
            "hits",
            "records",
            "drops",
            "nested",
            "filtered",
            "predicate",
            "inactive",
            "errors"
        );
        for row in rows {
            let calls = row.calls.map_or_else(|| "-".to_owned(), |n| n.to_string());
            println!(
                "{:>4} {calls:>10} {:>10} {:>10} {:>10} {:>9} {:>7} {:>9} {:>10} {:>10} {:>7}",
                row.cpu,
                row.read,
                row.hits,
                row.records,
                row.drops,
                row.nested,
                row.self_filtered,
                row.predicate_false,
                row.inactive,
                row.errors
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::worker::tag;
    use super::*;
    use dtrace_interface::Plain;

    fn ledger(sequences: &[u64]) -> Ledger {
        let mut ledger = Ledger::new([2].into_iter());
        for sequence in sequences {
            ledger.record(2, Some(0), Some(tag(2, *sequence)));
        }
        ledger
    }

    fn mismatches(ledger: &Ledger, said: Accounting, calls: Option<u64>) -> usize {
        let mut row = ledger.row(2, &said, 0);
        row.calls = calls;
        let mut found = Vec::new();
        row.check("now", &mut found);
        found.len()
    }

    #[test]
    fn all_is_well() {
        let said = Accounting {
            hits: 5,
            records: 3,
            predicate_false: 2,
            ..Accounting::ZERO
        };
        let ledger = ledger(&[0, 1, 2]);
        assert!(ledger.troubles.is_empty());
        assert_eq!(mismatches(&ledger, said, Some(3)), 0);
        assert_eq!(mismatches(&ledger, said, None), 0);
        assert_eq!(mismatches(&ledger, said, Some(4)), 1);
    }

    #[test]
    fn drops_explain_gaps() {
        let mut said = Accounting {
            hits: 4,
            records: 3,
            drops: 1,
            ..Accounting::ZERO
        };
        let mut ledger = ledger(&[0, 1, 3]);
        // Not told by its buffer.
        assert_eq!(mismatches(&ledger, said, Some(4)), 1);
        ledger.drops(&Drops {
            kind: DropKind::Principal,
            cpu: Some(2),
            count: 1,
        });
        assert_eq!(mismatches(&ledger, said, Some(4)), 0);
        assert_eq!(mismatches(&ledger, said, None), 0);
        // A record that is nowhere.
        said.records = 4;
        said.hits = 5;
        assert_eq!(mismatches(&ledger, said, Some(5)), 2);
    }

    #[test]
    fn a_gap_without_a_drop() {
        let said = Accounting {
            hits: 2,
            records: 2,
            ..Accounting::ZERO
        };
        assert_eq!(mismatches(&ledger(&[5, 7]), said, None), 1);
    }

    #[test]
    fn order_place_and_kind() {
        assert_eq!(ledger(&[1, 1]).troubles.len(), 1);
        assert_eq!(ledger(&[2, 1]).troubles.len(), 1);
        let mut ledger = ledger(&[]);
        ledger.record(3, Some(0), Some(tag(2, 1)));
        ledger.record(2, None, Some(tag(2, 1)));
        ledger.record(2, Some(0), None);
        ledger.record(7, Some(0), Some(tag(7, 1)));
        assert_eq!(ledger.troubles.len(), 4);
    }

    #[test]
    fn firings_under_way_are_waited_for_and_lost_ones_are_not() {
        let counts = |hits| Accounting {
            hits,
            inactive: 7,
            ..Accounting::ZERO
        };
        let mut answers = [8, 8, 7].into_iter();
        let said = settled(|| Ok(counts(answers.next().unwrap()))).unwrap();
        assert_eq!(missing(&said), 0);
        let said = settled(|| Ok(counts(8))).unwrap();
        assert_eq!(missing(&said), 1);
    }

    #[test]
    fn rows_add_up() {
        let row = Row {
            read: 1,
            errors: 2,
            ..Row::default()
        };
        let mut sums = Vec::new();
        Row::add_all(&mut sums, vec![row]);
        Row::add_all(&mut sums, vec![row]);
        assert_eq!((sums[0].read, sums[0].errors), (2, 4));
    }
}
