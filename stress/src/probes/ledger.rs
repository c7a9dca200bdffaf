// SPDX-License-Identifier: GPL-2.0
//! What was read, held against what the kernel counted and what the workers made.
//!
//! A lane is one clause on one CPU, where one worker makes its call. Of the lane's calls some were
//! certainly within the enabling: begun after GO was acknowledged, ended before STOP was asked for. Some more
//! may have been: those under way at its edges. So
//!
//! ```text
//! hits = records + drops + self-filtered + predicate-false + inactive + errors
//! records read = records
//! certain calls <= records + drops (+ refused as nested) <= certain calls and edges
//! certain calls not read <= drops (+ refused as nested)
//! sequence numbers between the first record and the last without one <= drops (+ refused as nested)
//! ```
//!
//! Workers that rest at GO and at STOP leave no edges: then all of these are equations.

use super::calls::{call_of, has_tags, label, untag, Numbers, CLAUSES};
use anyhow::Result;
use dtrace::event::{DropKind, Drops};
use dtrace::output::accounting::missing;
use dtrace_interface::accounting::Accounting;
use std::fmt;
use std::ops::Range;

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

/// What a worker had made at an edge of the enabling: calls from `early` on may be on its far side, calls
/// from `late` on are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    pub early: Numbers,
    pub late: Numbers,
}

/// Records of one clause on one CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    read: u64,
    /// Of these: of calls that were certainly within the enabling.
    certain: u64,
    last: Option<u64>,
    /// Sequence numbers left out between the first record and the last.
    gaps: u64,
}

/// A worker's lanes.
#[derive(Debug)]
struct Worker {
    cpu: u32,
    begin: Edge,
    end: Option<Numbers>,
    lanes: [Lane; CLAUSES],
    /// Drops that its buffer told of.
    told: u64,
}

/// All that was read.
#[derive(Debug)]
pub struct Ledger {
    workers: Vec<Worker>,
    /// What should not have been.
    pub troubles: Vec<String>,
}

impl Ledger {
    /// One of workers on these CPUs, with what they had made when tracing began.
    pub fn new(workers: impl Iterator<Item = (u32, Edge)>) -> Self {
        let worker = |(cpu, begin)| Worker {
            cpu,
            begin,
            end: None,
            lanes: Default::default(),
            told: 0,
        };
        Self {
            workers: workers.map(worker).collect(),
            troubles: Vec::new(),
        }
    }

    fn worker(&mut self, cpu: u32) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.cpu == cpu)
    }

    /// A record: where it was found, of which clause, with which tag.
    pub fn record(&mut self, cpu: u32, clause: usize, tag: Option<u64>) {
        if let Err(why) = self.take(cpu, clause, tag) {
            self.trouble(&format_args!("CPU {cpu}: {}: {why}", label(clause)));
        }
    }

    fn take(&mut self, cpu: u32, clause: usize, tag: Option<u64>) -> Result<(), String> {
        let worker = self.worker(cpu).ok_or("no worker there")?;
        let lane = &mut worker.lanes[clause];
        lane.read += 1;
        if !has_tags(clause) {
            return Ok(());
        }
        let (of, sequence) = untag(tag.ok_or("a record without a tag")?);
        if of != cpu {
            return Err(format!("a record of CPU {of}'s worker"));
        }
        let call = call_of(clause);
        let (early, from) = (worker.begin.early[call], worker.begin.late[call]);
        let until = worker.end.map_or(u64::MAX, |end| end[call]);
        lane.certain += u64::from((from..until).contains(&sequence));
        if sequence < early {
            return Err(format!("{sequence} is of a call before the enabling"));
        }
        match lane.last.replace(sequence) {
            Some(last) if sequence <= last => Err(format!("{sequence} after {last}")),
            Some(last) => {
                lane.gaps += sequence - last - 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Records read so far on `cpu`.
    pub fn read_of(&self, cpu: u32) -> u64 {
        let worker = self.workers.iter().find(|worker| worker.cpu == cpu);
        worker.map_or(0, |worker| worker.lanes.iter().map(|lane| lane.read).sum())
    }

    /// STOP is about to be asked for: calls below `ended` have ended.
    pub fn stops(&mut self, cpu: u32, ended: Numbers) {
        let Some(worker) = self.worker(cpu) else {
            return;
        };
        worker.end = Some(ended);
        for (clause, lane) in worker.lanes.iter_mut().enumerate() {
            let end = ended[call_of(clause)];
            // Of a worker's calls one at a time is under way, and read already or not.
            let has_edge = lane.last.is_some_and(|last| last >= end);
            lane.certain -= u64::from(has_edge).min(lane.certain);
        }
    }

    /// Drops that were told of.
    pub fn drops(&mut self, drops: &Drops) {
        let worker = match (drops.kind, drops.cpu) {
            (DropKind::Principal, Some(cpu)) => self.worker(cpu),
            _ => None,
        };
        match worker {
            Some(worker) => worker.told += drops.count,
            None => self.trouble(drops),
        }
    }

    /// What should not have been.
    pub fn trouble(&mut self, what: &dyn fmt::Display) {
        if self.troubles.len() < TROUBLES {
            self.troubles.push(what.to_string());
        }
    }

    /// A CPU's figures: `said` of all its clauses, `each` of one; `after` is what its worker had made
    /// when STOP was acknowledged.
    pub fn row(
        &self,
        cpu: u32,
        said: &Accounting,
        each: &[Accounting],
        nested: u64,
        after: Numbers,
    ) -> Row {
        let worker = self.workers.iter().find(|worker| worker.cpu == cpu);
        let mut row = Row {
            cpu,
            told_drops: worker.map_or(0, |worker| worker.told),
            counts: Counts::of(said, nested),
            lanes: Vec::new(),
        };
        let Some(worker) = worker else {
            return row;
        };
        let end = worker.end.unwrap_or(after);
        for (clause, (lane, said)) in worker.lanes.iter().zip(each).enumerate() {
            let call = call_of(clause);
            let length = |range: Range<u64>| range.end.saturating_sub(range.start);
            row.lanes.push(LaneRow {
                clause,
                calls: length(worker.begin.early[call]..after[call]),
                certain: length(worker.begin.late[call]..end[call]),
                read: lane.read,
                certain_read: lane.certain,
                gaps: lane.gaps,
                counts: Counts::of(said, nested),
            });
        }
        row
    }
}

/// What the kernel counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub hits: u64,
    pub records: u64,
    pub drops: u64,
    /// Refused within another firing: counted by CPU, whatever probe it was, and in no hit.
    pub nested: u64,
    pub self_filtered: u64,
    pub predicate_false: u64,
    pub inactive: u64,
    pub errors: u64,
}

impl Counts {
    fn of(said: &Accounting, nested: u64) -> Self {
        Self {
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

    /// What the hits came to.
    fn outcomes(&self) -> u64 {
        [
            self.records,
            self.drops,
            self.self_filtered,
            self.predicate_false,
            self.inactive,
            self.errors,
        ]
        .iter()
        .sum()
    }

    /// In the order of the table's columns.
    pub fn each(&self) -> [u64; 8] {
        let hook_hits = self.hits + self.nested;
        [
            hook_hits,
            self.records,
            self.drops,
            self.nested,
            self.self_filtered,
            self.predicate_false,
            self.inactive,
            self.errors,
        ]
    }

    fn add(&mut self, more: &Self) {
        self.hits += more.hits;
        self.records += more.records;
        self.drops += more.drops;
        self.nested += more.nested;
        self.self_filtered += more.self_filtered;
        self.predicate_false += more.predicate_false;
        self.inactive += more.inactive;
        self.errors += more.errors;
    }
}

/// One clause's figures on one CPU.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LaneRow {
    pub clause: usize,
    /// Calls that may have been within the enabling.
    pub calls: u64,
    /// Of these: that certainly were.
    pub certain: u64,
    /// Records that were read.
    pub read: u64,
    /// Of these: of calls that were certainly within.
    pub certain_read: u64,
    /// Sequence numbers left out between the first record and the last.
    pub gaps: u64,
    pub counts: Counts,
}

/// One CPU's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    pub cpu: u32,
    /// Drops that its buffer told of.
    pub told_drops: u64,
    pub counts: Counts,
    pub lanes: Vec<LaneRow>,
}

impl Row {
    /// Adds what does not fit.
    pub fn check(&self, when: &str, mismatches: &mut Vec<String>) {
        let cpu = self.cpu;
        let mut compare = |what: &str, holds: bool, left: u64, right: u64| {
            if !holds {
                mismatches.push(format!("{when}, CPU {cpu}: {what}: {left}, {right}"));
            }
        };
        let counts = &self.counts;
        let mut equal = |what: &str, left, right| compare(what, left == right, left, right);
        equal("hits, outcomes", counts.hits, counts.outcomes());
        equal("drops told, drops", self.told_drops, counts.drops);
        equal("errors, none", counts.errors, 0);
        let sum = |count: fn(&Counts) -> u64| -> u64 {
            self.lanes.iter().map(|lane| count(&lane.counts)).sum()
        };
        let (records, drops) = (sum(|lane| lane.records), sum(|lane| lane.drops));
        equal("records of clauses, records", records, counts.records);
        equal("drops of clauses, drops", drops, counts.drops);
        let refused = self.lanes.iter().map(LaneRow::without_outcome).sum::<u64>();
        let refusals = counts.nested.saturating_mul(self.lanes.len() as u64);
        compare(
            "calls without an outcome, refused as nested",
            refused <= refusals,
            refused,
            counts.nested,
        );
        for lane in &self.lanes {
            lane.check(&format!("{when}, CPU {cpu}"), mismatches);
        }
    }

    /// Adds rows of the same CPUs.
    pub fn add_all(sums: &mut Vec<Self>, rows: &[Self]) {
        for row in rows {
            let Some(sum) = sums.iter_mut().find(|sum| sum.cpu == row.cpu) else {
                sums.push(row.clone());
                continue;
            };
            sum.told_drops += row.told_drops;
            sum.counts.add(&row.counts);
            for (to, from) in sum.lanes.iter_mut().zip(&row.lanes) {
                to.calls += from.calls;
                to.certain += from.certain;
                to.read += from.read;
                to.certain_read += from.certain_read;
                to.gaps += from.gaps;
                to.counts.add(&from.counts);
            }
        }
    }
}

impl LaneRow {
    /// Calls within the enabling that are neither recorded nor dropped.
    fn without_outcome(&self) -> u64 {
        let Counts { records, drops, .. } = self.counts;
        self.certain.saturating_sub(records + drops)
    }

    fn check(&self, when: &str, mismatches: &mut Vec<String>) {
        let name = label(self.clause);
        let mut compare = |what: &str, holds: bool, left: u64, right: u64| {
            if !holds {
                mismatches.push(format!("{when}, {name}: {what}: {left}, {right}"));
            }
        };
        let counts = &self.counts;
        let outcomes = counts.outcomes();
        compare(
            "hits, outcomes",
            counts.hits == outcomes,
            counts.hits,
            outcomes,
        );
        let (read, records) = (self.read, counts.records);
        compare("records read, records", read == records, read, records);
        let known = records + counts.drops;
        let (certain, calls) = (self.certain, self.calls);
        let accounted = known + counts.nested;
        compare(
            "calls, records and losses",
            certain <= accounted,
            certain,
            accounted,
        );
        compare("records and drops, calls", known <= calls, known, calls);
        if has_tags(self.clause) {
            let lost = certain.saturating_sub(self.certain_read);
            let losses = counts.drops + counts.nested;
            let left_out = lost.max(self.gaps);
            compare(
                "sequence numbers left out, losses",
                left_out <= losses,
                left_out,
                losses,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::{tag, FORK, GETPPID, SYSCALL_CLAUSES};
    use super::super::fault::Fault;
    use super::*;
    use dtrace_interface::Plain;

    /// A worker on CPU 2 that made getppids, and a tracer of the first clause.
    struct World {
        ledger: Ledger,
        fault: Fault,
        said: Accounting,
        call: u64,
        told: u64,
    }

    const FORK_RETURN: usize = SYSCALL_CLAUSES - 3;

    fn numbers(call: usize, number: u64) -> Numbers {
        let mut numbers = Numbers::default();
        numbers[call] = number;
        numbers
    }

    fn edge(call: usize, early: u64, late: u64) -> Edge {
        Edge {
            early: numbers(call, early),
            late: numbers(call, late),
        }
    }

    impl World {
        fn new(early: u64, late: u64, fault: Fault) -> Self {
            let workers = [(2, edge(GETPPID, early, late))];
            Self {
                ledger: Ledger::new(workers.into_iter()),
                fault,
                said: Accounting::ZERO,
                call: early,
                told: 0,
            }
        }

        fn records(&mut self, count: u64) {
            for _ in 0..count {
                self.said.hits += 1;
                self.said.records += 1;
                let tag = tag(2, self.call);
                let ledger = &mut self.ledger;
                self.fault
                    .record(tag, &mut |tag| ledger.record(2, GETPPID, Some(tag)));
                self.call += 1;
            }
        }

        fn dropped(&mut self, count: u64) {
            self.said.hits += count;
            self.said.drops += count;
            self.call += count;
            self.told += count;
        }

        fn stops(&mut self, ended: u64) {
            self.ledger.stops(2, numbers(GETPPID, ended));
        }

        fn ends(mut self) -> Vec<String> {
            let drops = Drops {
                kind: DropKind::Principal,
                cpu: Some(2),
                count: self.told,
            };
            if let Some(drops) = self.fault.drops(drops) {
                self.ledger.drops(&drops);
            }
            let mut each = [Accounting::ZERO; CLAUSES];
            self.fault.accounting(&mut self.said);
            each[GETPPID] = self.said;
            let after = numbers(GETPPID, self.call);
            let row = self.ledger.row(2, &self.said, &each, 0, after);
            let mut found = self.ledger.troubles;
            row.check("now", &mut found);
            found
        }
    }

    /// A steady enabling: the worker rests at both edges.
    fn steady(fault: Fault) -> Vec<String> {
        let mut world = World::new(7, 7, fault);
        world.records(2000);
        world.dropped(30);
        world.records(1);
        let all = world.call;
        world.stops(all);
        world.ends()
    }

    /// One of many: calls are under way at both edges.
    fn passing(fault: Fault) -> Vec<String> {
        let mut world = World::new(100, 102, fault);
        world.records(1500);
        world.dropped(10);
        world.records(500);
        world.stops(2108);
        world.records(1);
        world.dropped(1);
        world.call += 1;
        world.ends()
    }

    #[test]
    fn all_is_well() {
        assert_eq!(steady(Fault::None), [""; 0]);
        assert_eq!(passing(Fault::None), [""; 0]);
    }

    #[test]
    fn each_fault_is_found() {
        for fault in Fault::ALL {
            for (when, found) in [("steady", steady(fault)), ("passing", passing(fault))] {
                let is_found = !found.is_empty();
                assert_eq!(is_found, fault != Fault::None, "{when}, {fault:?}");
            }
        }
    }

    #[test]
    fn a_call_that_left_nothing() {
        let mut world = World::new(0, 0, Fault::None);
        world.records(5);
        world.call += 1;
        world.records(5);
        world.stops(11);
        assert_eq!(world.ends().len(), 3);
    }

    #[test]
    fn losses_at_the_edges_alone_are_uncertain() {
        // Of 10 calls the first two and the last one may have been outside.
        let within = |from: u64, count| {
            let mut world = World::new(0, 2, Fault::None);
            world.call = from;
            world.records(count);
            world.stops(9);
            world.call = 10;
            world.ends().len()
        };
        assert_eq!(within(2, 7), 0);
        assert_eq!(within(0, 10), 0);
        assert_eq!(within(1, 9), 0);
        assert_ne!(within(3, 7), 0);
        assert_ne!(within(2, 6), 0);
    }

    #[test]
    fn order_place_and_time() {
        let mut ledger = Ledger::new([(2, edge(GETPPID, 5, 5))].into_iter());
        for (cpu, sequence) in [
            (2, Some(6)),
            (2, Some(6)),
            (2, Some(4)),
            (2, None),
            (7, Some(8)),
        ] {
            ledger.record(cpu, GETPPID, sequence.map(|sequence| tag(2, sequence)));
        }
        ledger.record(2, GETPPID, Some(tag(3, 9)));
        assert_eq!(ledger.troubles.len(), 5);
    }

    #[test]
    fn returns_are_counted() {
        let found = |made: u64, read: u64| {
            let mut ledger = Ledger::new([(2, Edge::default())].into_iter());
            (0..read).for_each(|_| ledger.record(2, FORK_RETURN, None));
            ledger.stops(2, numbers(FORK, made));
            let said = Accounting {
                hits: read,
                records: read,
                ..Accounting::ZERO
            };
            let mut each = [Accounting::ZERO; CLAUSES];
            each[FORK_RETURN] = said;
            // Entries do not matter here: as many as calls.
            each[FORK].hits = made;
            each[FORK].drops = made;
            let mut all = said;
            all.hits += made;
            all.drops = made;
            let mut row = ledger.row(2, &all, &each, 0, numbers(FORK, made));
            row.told_drops = made;
            let mut found = ledger.troubles;
            row.check("now", &mut found);
            found.len()
        };
        assert_eq!(found(40, 40), 0);
        // The child's return too.
        assert_eq!(found(40, 80), 1);
        assert_ne!(found(40, 39), 0);
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
            cpu: 1,
            told_drops: 1,
            counts: Counts {
                errors: 2,
                ..Counts::default()
            },
            lanes: Vec::new(),
        };
        let mut sums = Vec::new();
        Row::add_all(&mut sums, std::slice::from_ref(&row));
        Row::add_all(&mut sums, &[row]);
        assert_eq!((sums[0].told_drops, sums[0].counts.errors), (2, 4));
    }
}
