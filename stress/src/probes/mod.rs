// SPDX-License-Identifier: GPL-2.0
//! `stress probes`: system calls in known numbers, and whether dtrace.ko accounts for each.
//!
//! Workers are processes of their own, since a tracer's own calls are not recorded. Each is pinned to a
//! CPU and makes calls with a sequence number in an argument that the kernel does not look at.
//!
//! - Steady: one enabling from before the first call until after the last one.
//! - Churn: enablings come and go while calls go on.

mod ledger;
mod worker;

pub use worker::work;

use crate::args::{CpuList, ProbesArgs};
use crate::{sysfs, watch};
use anyhow::{ensure, Context, Result};
use dtrace::device::{Device, Node};
use dtrace::event::Event;
use dtrace::failure;
use dtrace::options::{self, Options};
use dtrace::program::{Clause, Equals};
use dtrace::session::{Session, Standing};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::options::OptionId;
use dtrace_interface::variable::BuiltIn;
use dtrace_interface::CPU_ALL;
use ledger::{Ledger, Row};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use worker::{Worker, CALLS, MAGIC};

/// How often buffers are read.
const LOOK: Duration = Duration::from_millis(10);

/// How often the status is asked for.
const STATUS: Duration = Duration::from_millis(500);

/// Calls that the tracer makes itself, which must be filtered.
const OWN_CALLS: u64 = 1000;

/// What came of it.
#[derive(Debug, serde::Serialize)]
struct Outcome {
    /// By CPU, while one enabling lasted.
    steady: Vec<Row>,
    /// By CPU, all windows of the churn together.
    churn: Vec<Row>,
    windows: u64,
    /// How long the windows' parts took, together.
    took: Took,
    mismatches: Vec<String>,
}

/// Milliseconds in each part of windows.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
struct Took {
    enabling_ms: u64,
    reading_ms: u64,
    stopping_ms: u64,
    closing_ms: u64,
}

/// Adds the time since `from`, which becomes now.
fn took(sum_ms: &mut u64, from: &mut Instant) {
    let now = Instant::now();
    *sum_ms += now.duration_since(*from).as_millis() as u64;
    *from = now;
}

/// Makes the calls, and compares. Returns whether each was accounted for.
pub fn probes(args: &ProbesArgs) -> Result<bool> {
    let cpus = match &args.cpus {
        Some(list) => list.clone(),
        None => sysfs::online()?,
    };
    let stop = watch::on_interrupt(false)?;
    let mut outcome = Outcome {
        steady: Vec::new(),
        churn: Vec::new(),
        windows: 0,
        took: Took::default(),
        mismatches: Vec::new(),
    };
    steady(args, &cpus, &stop, &mut outcome)?;
    churn(args, &cpus, &stop, &mut outcome)?;
    show(args, &outcome)?;
    Ok(outcome.mismatches.is_empty())
}

/// An enabling of both calls, and what was read of it.
struct Window<'d> {
    device: &'d Node,
    session: Session<'d>,
    ledger: Ledger,
    /// Refused firings by CPU before it.
    nested: Vec<(u32, u64)>,
}

fn open() -> Result<Node> {
    Node::open().map_err(|error| failure::opening(&error))
}

impl<'d> Window<'d> {
    fn begin(device: &'d Node, args: &ProbesArgs, cpus: &CpuList) -> Result<Self> {
        let size = options::size(&args.buffer);
        let size = size.map_err(|why| anyhow::anyhow!("--buffer {why}"))?;
        let mut options = Options::default();
        options.set(OptionId::BufferSize, size);
        let mut session = Session::new(device, options)?;
        for call in CALLS {
            let name = format!("syscall:vmlinux:{call}:entry");
            let matched = session.enable(Clause {
                name: name.parse().map_err(anyhow::Error::msg)?,
                predicate: Some(Equals {
                    variable: BuiltIn::Arg5,
                    value: MAGIC,
                }),
                record: vec!["arg4".parse().map_err(anyhow::Error::msg)?],
                ..Clause::default()
            })?;
            ensure!(matched == 1, "{name} matched {matched} probes");
        }
        let nested = cpus.members().map(|cpu| {
            let said = device.accounting(cpu, 0);
            said.map(|accounting| (cpu, accounting.nested))
        });
        let nested: Result<Vec<_>, _> = nested.collect();
        session.go()?;
        Ok(Self {
            device,
            session,
            ledger: Ledger::new(cpus.members()),
            nested: nested.context("the accounting before")?,
        })
    }

    /// Reads for so long, or until `over`.
    fn read(&mut self, over: &mut dyn FnMut() -> Result<bool>) -> Result<()> {
        let mut asked = Instant::now();
        loop {
            let is_over = over()?;
            let ledger = &mut self.ledger;
            self.session.consume(&mut |event| note(ledger, event))?;
            if asked.elapsed() >= STATUS {
                asked = Instant::now();
                let standing = self.session.check(&mut |event| note(ledger, event))?;
                ensure!(
                    standing == Standing::Tracing,
                    "tracing has ended: {standing:?}"
                );
            }
            if is_over {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends it: what was read and what the kernel counted, by CPU.
    fn end(mut self, mismatches: &mut Vec<String>) -> Result<Vec<Row>> {
        let ledger = &mut self.ledger;
        self.session.stop(&mut |event| note(ledger, event))?;
        let ask = |cpu| ledger::settled(|| Ok(self.device.accounting(cpu, 0)?));
        mismatches.append(&mut self.ledger.troubles);
        let mut rows = Vec::new();
        for (cpu, before) in &self.nested {
            let said = ask(*cpu)?;
            let nested = said.nested.saturating_sub(*before);
            rows.push(self.ledger.row(*cpu, &said, nested));
        }
        let all: Accounting = ask(CPU_ALL)?;
        let missing = dtrace::output::accounting::missing(&all);
        if missing != 0 {
            mismatches.push(format!("all CPUs: {missing} hits without an outcome"));
        }
        Ok(rows)
    }
}

fn note(ledger: &mut Ledger, event: Event<'_>) -> Result<()> {
    match event {
        Event::Record(record) => {
            let function = &record.enabled.probe.name.function;
            let call = CALLS.iter().position(|call| call == function);
            let tag = record.values().next().and_then(|(_, value)| value.number());
            ledger.record(record.cpu, call, tag.map(|tag| tag as u64));
        }
        Event::Drops(drops) => ledger.drops(&drops),
        Event::Fault(fault) => ledger.trouble(&fault),
        Event::Damage(damage) => ledger.trouble(&damage),
        Event::Exit(status) => ledger.trouble(&format_args!("exit {status}")),
        Event::Printed(_) => ledger.trouble(&"an aggregation"),
    }
    Ok(())
}

fn steady(
    args: &ProbesArgs,
    cpus: &CpuList,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) -> Result<()> {
    let device = open()?;
    let mut workers = Worker::all(cpus.members(), Some(args.calls))?;
    let mut window = Window::begin(&device, args, cpus)?;
    for worker in &mut workers {
        worker.go()?;
    }
    worker::make_own(OWN_CALLS);
    window.read(&mut || {
        ensure!(!watch::interrupted(stop), "interrupted");
        let mut all = true;
        for worker in &mut workers {
            all &= worker.is_over()?;
        }
        Ok(all)
    })?;
    let mut rows = window.end(&mut outcome.mismatches)?;
    for (row, worker) in rows.iter_mut().zip(workers) {
        row.calls = Some(worker.end()?);
    }
    let filtered: u64 = rows.iter().map(|row| row.self_filtered).sum();
    if args.cpus.is_none() && filtered != OWN_CALLS {
        outcome.mismatches.push(format!(
            "{filtered} calls of the tracer's own were filtered, of {OWN_CALLS}"
        ));
    }
    for row in &rows {
        row.check("steady", &mut outcome.mismatches);
    }
    outcome.steady = rows;
    Ok(())
}

fn churn(
    args: &ProbesArgs,
    cpus: &CpuList,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut workers = Worker::all(cpus.members(), None)?;
    for worker in &mut workers {
        worker.go()?;
    }
    let until = Instant::now() + Duration::from_secs(args.seconds);
    while Instant::now() < until && !watch::interrupted(stop) {
        let mut from = Instant::now();
        // Anew: closing it is part of the churn.
        let device = open()?;
        let mut window = Window::begin(&device, args, cpus)?;
        took(&mut outcome.took.enabling_ms, &mut from);
        let end = Instant::now() + Duration::from_millis(args.window_ms);
        window.read(&mut || Ok(Instant::now() >= end))?;
        took(&mut outcome.took.reading_ms, &mut from);
        let rows = window.end(&mut outcome.mismatches)?;
        took(&mut outcome.took.stopping_ms, &mut from);
        drop(device);
        took(&mut outcome.took.closing_ms, &mut from);
        for row in &rows {
            row.check(
                &format!("window {}", outcome.windows),
                &mut outcome.mismatches,
            );
        }
        Row::add_all(&mut outcome.churn, rows);
        outcome.windows += 1;
    }
    for worker in workers {
        worker.end()?;
    }
    Ok(())
}

fn show(args: &ProbesArgs, outcome: &Outcome) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(outcome)?);
        return Ok(());
    }
    println!("steady: one enabling");
    Row::table(&outcome.steady);
    println!("churn: {} enablings that came and went", outcome.windows);
    Row::table(&outcome.churn);
    let each = |sum: u64| sum.checked_div(outcome.windows).unwrap_or(0);
    println!(
        "each took {} ms to enable, {} ms to read, {} ms to stop, {} ms to close",
        each(outcome.took.enabling_ms),
        each(outcome.took.reading_ms),
        each(outcome.took.stopping_ms),
        each(outcome.took.closing_ms)
    );
    for mismatch in &outcome.mismatches {
        println!("MISMATCH {mismatch}");
    }
    println!("mismatches: {}", outcome.mismatches.len());
    Ok(())
}
