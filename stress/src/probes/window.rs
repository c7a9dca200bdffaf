// SPDX-License-Identifier: GPL-2.0
//! One enabling of all clauses: from opening the device to the figures.

use super::calls::{self, CLAUSES};
use super::fault::Fault;
use super::ledger::{self, Edge, Ledger, Row};
use super::worker::Worker;
use anyhow::{ensure, Context, Result};
use dtrace::device::{Device, Node};
use dtrace::event::Event;
use dtrace::failure;
use dtrace::options::{self, Options};
use dtrace::program::clause_of;
use dtrace::session::{Session, Standing};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::options::OptionId;
use dtrace_interface::CPU_ALL;
use std::time::{Duration, Instant};

/// How often the status is asked for.
const STATUS: Duration = Duration::from_millis(500);

/// How an enabling is to be.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Bytes of a CPU's buffer.
    pub buffer: u64,
    /// How often buffers are switched and read.
    pub look: Duration,
    pub fault: Fault,
    /// How many clauses: all, or those of system calls.
    pub clauses: usize,
}

/// What an enabling came to.
pub struct Figures {
    pub rows: Vec<Row>,
    /// Buffers' halves taken over.
    pub switches: u64,
    pub mismatches: Vec<String>,
}

/// An enabling, and what was read of it.
pub struct Window<'d> {
    device: &'d Node,
    session: Session<'d>,
    workers: &'d [Worker],
    manner: Manner,
    ledger: Ledger,
    /// Refused firings by CPU before it.
    nested: Vec<u64>,
    /// The enabled probe of each clause.
    epids: Vec<u32>,
    /// When it last asked how it stands.
    asked: Instant,
}

/// Opens the device.
pub fn open() -> Result<Node> {
    Node::open().map_err(|error| failure::opening(&error))
}

/// Bytes of a buffer, from text.
pub fn size(text: &str) -> Result<u64> {
    options::size(text).map_err(|why| anyhow::anyhow!("--buffer {why}"))
}

impl<'d> Window<'d> {
    /// Enables, and begins to trace.
    pub fn begin(device: &'d Node, manner: Manner, workers: &'d [Worker]) -> Result<Self> {
        let mut options = Options::default();
        options.set(OptionId::BufferSize, manner.buffer);
        let mut session = Session::new(device, options)?;
        for number in 0..manner.clauses {
            let clause = calls::clause(number)?;
            let name = clause.name.to_string();
            let matched = session.enable(clause)?;
            ensure!(matched == 1, "{name} matched {matched} probes");
        }
        let epids = epids(device, manner.clauses)?;
        let nested = workers.iter().map(|worker| {
            let said = device.accounting(worker.cpu, 0);
            said.map(|accounting| accounting.nested)
        });
        let nested: Result<Vec<_>, _> = nested.collect();
        let nested = nested.context("the accounting before")?;
        let early: Vec<_> = workers.iter().map(|worker| worker.board.ended()).collect();
        session.go()?;
        let edges = workers.iter().zip(early).map(|(worker, early)| {
            let late = worker.board.begun();
            (worker.cpu, Edge { early, late })
        });
        Ok(Self {
            device,
            session,
            workers,
            manner,
            ledger: Ledger::new(edges),
            nested,
            epids,
            asked: Instant::now(),
        })
    }

    /// Reads once what CPUs have recorded, and asks from time to time how it stands: the kernel ends the
    /// tracing of who does not.
    pub fn take(&mut self) -> Result<()> {
        let (ledger, fault) = (&mut self.ledger, self.manner.fault);
        self.session
            .consume(&mut |event| note(ledger, fault, event))?;
        if self.asked.elapsed() < STATUS {
            return Ok(());
        }
        self.asked = Instant::now();
        let standing = self
            .session
            .check(&mut |event| note(ledger, fault, event))?;
        ensure!(
            standing == Standing::Tracing,
            "tracing has ended: {standing:?}"
        );
        Ok(())
    }

    /// Reads until `over`.
    pub fn read(&mut self, over: &mut dyn FnMut() -> Result<bool>) -> Result<()> {
        loop {
            let is_over = over()?;
            self.take()?;
            if is_over {
                return Ok(());
            }
            std::thread::sleep(self.manner.look);
        }
    }

    /// Records read so far of the worker on `cpu`.
    pub fn read_of(&self, cpu: u32) -> u64 {
        self.ledger.read_of(cpu)
    }

    /// How often halves of buffers were taken over so far.
    pub fn switches(&self) -> Result<u64> {
        let said = self.device.accounting(CPU_ALL, 0);
        Ok(said.context("the accounting")?.switches)
    }

    /// Ends it: what was read and what the kernel counted.
    pub fn end(mut self, when: &str) -> Result<Figures> {
        for worker in self.workers {
            self.ledger.stops(worker.cpu, worker.board.ended());
        }
        let (ledger, fault) = (&mut self.ledger, self.manner.fault);
        self.session.stop(&mut |event| note(ledger, fault, event))?;
        let after: Vec<_> = self.workers.iter().map(|w| w.board.begun()).collect();
        let ask = |cpu, epid| ledger::settled(|| Ok(self.device.accounting(cpu, epid)?));
        let mut mismatches = Vec::new();
        for trouble in &self.ledger.troubles {
            mismatches.push(format!("{when}, {trouble}"));
        }
        let mut rows = Vec::new();
        for ((worker, before), after) in self.workers.iter().zip(&self.nested).zip(after) {
            let cpu = worker.cpu;
            let said = ask(cpu, 0)?;
            let mut each = Vec::with_capacity(self.epids.len());
            for epid in &self.epids {
                let mut said = ask(cpu, *epid)?;
                self.manner.fault.accounting(&mut said);
                each.push(said);
            }
            let nested = said.nested.saturating_sub(*before);
            let row = self.ledger.row(cpu, &said, &each, nested, after);
            row.check(when, &mut mismatches);
            rows.push(row);
        }
        let all: Accounting = ask(CPU_ALL, 0)?;
        let missing = dtrace::output::accounting::missing(&all);
        if missing != 0 {
            mismatches.push(format!("{when}, all CPUs: {missing} hits without outcome"));
        }
        Ok(Figures {
            rows,
            switches: all.switches,
            mismatches,
        })
    }
}

/// The enabled probe of each clause.
fn epids(device: &Node, clauses: usize) -> Result<Vec<u32>> {
    let mut epids = vec![0; clauses];
    let mut number = 1;
    while epids.contains(&0) {
        let said = device.enabled(number);
        let said = said.with_context(|| format!("asking for enabled probe {number}"))?;
        let clause = clause_of(said.user_argument);
        if let Some(place) = clause.and_then(|clause| epids.get_mut(clause)) {
            *place = number;
        }
        number += 1;
    }
    Ok(epids)
}

fn note(ledger: &mut Ledger, fault: Fault, event: Event<'_>) -> Result<()> {
    match event {
        Event::Record(record) => {
            let clause = record.enabled.clause.filter(|clause| *clause < CLAUSES);
            let clause = clause.context("a record of no clause")?;
            let value = record.values().next().and_then(|(_, value)| value.number());
            match value.filter(|_| calls::has_tags(clause)) {
                Some(tag) => fault.record(tag as u64, &mut |tag| {
                    ledger.record(record.cpu, clause, Some(tag));
                }),
                None => ledger.record(record.cpu, clause, None),
            }
        }
        // No clause of ours prints an aggregation.
        Event::Printed(_) => ledger.trouble(&"an aggregation is printed"),
        Event::Drops(drops) => {
            if let Some(drops) = fault.drops(drops) {
                ledger.drops(&drops);
            }
        }
        Event::Fault(fault) => ledger.trouble(&fault),
        Event::Damage(damage) => ledger.trouble(&damage),
        Event::Exit(status) => ledger.trouble(&format_args!("exit {status}")),
    }
    Ok(())
}
