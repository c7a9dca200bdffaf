// SPDX-License-Identifier: GPL-2.0
//! `stress probes`: system calls and exceptions in known numbers, and whether dtrace.ko accounts for each.
//!
//! Workers are processes of their own, since a tracer's own calls are not recorded. A round is
//!
//! - steady: one enabling from before the first call until after the last one;
//! - churn: enablings come and go while calls go on;
//! - and the module goes and comes back, if asked for.
//!
//! Other enablings come and go beside the steady one as well; CPUs go and come, and storms blow, all the time.

mod beside;
mod board;
mod calls;
mod exceptions;
mod fault;
mod ledger;
mod masked;
mod reload;
mod table;
mod window;
mod worker;

pub use fault::Fault;
pub use worker::work;

use crate::args::ProbesArgs;
use crate::hotplug::Done;
use crate::{sysfs, watch};
use anyhow::{bail, ensure, Result};
use beside::Storms;
use calls::GETPPID;
use ledger::Row;
use masked::Masked;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};
use window::{Figures, Manner, Window};
use worker::Worker;

/// How long churn lasts in a round.
const CHURN: Duration = Duration::from_secs(5);

/// Calls that the tracer makes itself, which must be filtered.
const OWN_CALLS: u64 = 1000;

/// Mismatches that are kept; more of them tell nothing new.
const MISMATCHES: usize = 200;

/// What came of enablings of one kind.
#[derive(Debug, Default, serde::Serialize)]
struct Sum {
    enablings: u64,
    /// Halves of buffers taken over.
    switches: u64,
    rows: Vec<Row>,
}

impl Sum {
    fn add(&mut self, figures: &Figures) {
        self.enablings += 1;
        self.switches += figures.switches;
        Row::add_all(&mut self.rows, &figures.rows);
    }
}

/// What came of it all.
#[derive(Debug, Default, serde::Serialize)]
struct Outcome {
    rounds: u64,
    /// While one enabling lasted.
    steady: Sum,
    /// Enablings that came and went, all together.
    churn: Sum,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<Masked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storms: Option<Storms>,
    /// CPUs that went offline and came back.
    cycles: u64,
    /// Times that the module went and came back.
    reloads: u64,
    mismatches: Vec<String>,
}

impl Outcome {
    fn mismatch(&mut self, what: String) {
        if self.mismatches.len() < MISMATCHES {
            self.mismatches.push(what);
        }
    }

    /// What came of a part; a failure is a mismatch.
    fn unless_failed<T>(&mut self, part: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.mismatch(format!("{part}: {error:#}"));
                None
            }
        }
    }

    fn mismatches(&mut self, all: Vec<String>) {
        all.into_iter().for_each(|what| self.mismatch(what));
    }
}

/// True from when it is dropped: what goes on beside ends, also when there was an error.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What all parts have in common.
struct Test<'a> {
    args: &'a ProbesArgs,
    manner: Manner,
    workers: &'a [Worker],
    stop: &'a AtomicBool,
    outcome: Mutex<Outcome>,
}

/// Makes the calls, and compares. Returns whether each was accounted for.
pub fn probes(args: &ProbesArgs) -> Result<bool> {
    let cpus = match &args.cpus {
        Some(list) => list.clone(),
        None => sysfs::online()?,
    };
    let stop = watch::on_interrupt(args.hotplug)?;
    // Says at once what is missing.
    drop(window::open()?);
    let workers = Worker::all(
        cpus.members(),
        worker::Manner {
            fork_every: args.fork_every,
            exceptions_every: args.exceptions_every,
            holds: args.masked != 0,
        },
    )?;
    let test = Test {
        args,
        manner: Manner {
            buffer: window::size(&args.buffer)?,
            look: Duration::from_micros(args.switch_us),
            fault: args.fault,
            clauses: match args.exceptions_every {
                0 => calls::SYSCALL_CLAUSES,
                _ => calls::CLAUSES,
            },
        },
        workers: &workers,
        stop: &stop,
        outcome: Mutex::default(),
    };
    test.all()?;
    let outcome = test.outcome.into_inner().expect("nobody panics with it");
    for worker in workers {
        worker.end()?;
    }
    show(args, &outcome)?;
    Ok(outcome.mismatches.is_empty())
}

/// What a thread beside came to.
fn joined<T>(thread: Option<ScopedJoinHandle<'_, Result<T>>>) -> Result<Option<T>> {
    match thread.map(ScopedJoinHandle::join) {
        Some(Ok(result)) => result.map(Some),
        Some(Err(_)) => bail!("a thread panicked"),
        None => Ok(None),
    }
}

impl Test<'_> {
    fn outcome(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().expect("nobody panics with it")
    }

    fn all(&self) -> Result<()> {
        if self.args.masked != 0 {
            let masked = masked::masked(self.workers, self.manner, self.args.masked);
            let mut outcome = self.outcome();
            if let Some((masked, found)) = outcome.unless_failed("masked", masked) {
                outcome.masked = Some(masked);
                outcome.mismatches(found);
            }
        }
        let over = AtomicBool::new(false);
        let over = &over;
        let (done, storms, rounds) = thread::scope(|scope| {
            let ends = Over(over);
            let hotplug = self.args.hotplug;
            let hotplug = hotplug.then(|| scope.spawn(|| beside::hotplug(self.workers, over)));
            let storms = self.args.storm;
            let storms = storms.then(|| scope.spawn(|| beside::storms(over)));
            let rounds = self.rounds();
            drop(ends);
            (joined(hotplug), joined(storms), rounds)
        });
        let mut outcome = self.outcome();
        let done = outcome.unless_failed("hotplug", done).flatten();
        let storms = outcome.unless_failed("storms", storms).flatten();
        if let Some(done) = done {
            outcome.cycles = done.cycles;
            if let Some(failure) = Done::failure(&done) {
                outcome.mismatch(format!("hotplug: {failure}"));
            }
        }
        if storms.is_some_and(|storms| storms.storms == 0) {
            outcome.mismatch("no storm blew".to_owned());
        }
        outcome.storms = storms;
        drop(outcome);
        rounds
    }

    fn rounds(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(self.args.seconds);
        loop {
            let number = self.outcome().rounds;
            self.steady(number)?;
            let rest = end.saturating_duration_since(Instant::now());
            self.churn(number, rest.min(CHURN))?;
            let mut outcome = self.outcome();
            outcome.rounds += 1;
            reload::lost_in_the_module(&mut outcome.mismatches);
            if let Some(file) = &self.args.reload {
                let reloaded = reload::reload(file);
                if outcome.unless_failed("reload", reloaded).is_none() {
                    return Ok(());
                }
                outcome.reloads += 1;
            }
            if Instant::now() >= end || watch::interrupted(self.stop) {
                return Ok(());
            }
        }
    }

    /// One enabling, in which workers make a known number of calls, and others beside it.
    fn steady(&self, round: u64) -> Result<()> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let ends = Over(&over);
            let others: Vec<_> = (0..self.args.consumers)
                .map(|number| (number, &over))
                .map(|(number, over)| {
                    scope.spawn(move || self.come_and_go(round, number, &|| over.load(Relaxed)))
                })
                .collect();
            let steady = self.steady_alone(round);
            drop(ends);
            for thread in others {
                joined(Some(thread))?;
            }
            steady
        })
    }

    fn steady_alone(&self, round: u64) -> Result<()> {
        let device = window::open()?;
        let mut window = Window::begin(&device, self.manner, self.workers)?;
        for worker in self.workers {
            worker.go(Some(self.args.calls));
        }
        worker::make_own(OWN_CALLS);
        window.read(&mut || {
            ensure!(!watch::interrupted(self.stop), "interrupted");
            let mut all = true;
            for worker in self.workers {
                all &= worker.is_over()?;
            }
            Ok(all)
        })?;
        let when = format!("round {round}, steady");
        let figures = window.end(&when)?;
        let mut outcome = self.outcome();
        let lanes = |clause: usize| figures.rows.iter().filter_map(move |r| r.lanes.get(clause));
        for row in &figures.rows {
            let calls = row.lanes.get(GETPPID).map_or(0, |lane| lane.certain);
            if calls != self.args.calls {
                let (cpu, wanted) = (row.cpu, self.args.calls);
                outcome.mismatch(format!(
                    "{when}, CPU {cpu}: calls made, asked for: {calls}, {wanted}"
                ));
            }
        }
        let filtered: u64 = lanes(GETPPID).map(|lane| lane.counts.self_filtered).sum();
        if self.args.cpus.is_none() && filtered != OWN_CALLS {
            outcome.mismatch(format!(
                "{when}: the tracer's own calls filtered, made: {filtered}, {OWN_CALLS}"
            ));
        }
        outcome.steady.add(&figures);
        outcome.mismatches(figures.mismatches);
        Ok(())
    }

    /// Enablings while calls go on.
    fn churn(&self, round: u64, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        for worker in self.workers {
            worker.go(None);
        }
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.consumers)
                .map(|number| {
                    scope.spawn(move || self.come_and_go(round, number, &|| Instant::now() >= end))
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|t| joined(Some(t)).map(drop))
        })?;
        self.workers.iter().try_for_each(Worker::halt)
    }

    /// Enablings one after the other, at least one.
    fn come_and_go(&self, round: u64, consumer: u64, over: &dyn Fn() -> bool) -> Result<()> {
        for number in 0.. {
            // Anew each time: closing it is part of it.
            let device = window::open()?;
            let mut window = Window::begin(&device, self.manner, self.workers)?;
            // Of different lengths, so that each begins and ends within others.
            let length = Duration::from_millis(self.args.window_ms * (consumer + 1));
            let end = Instant::now() + length;
            window.read(&mut || Ok(Instant::now() >= end))?;
            let when = format!("round {round}, consumer {consumer}, enabling {number}");
            let figures = window.end(&when)?;
            drop(device);
            let mut outcome = self.outcome();
            outcome.churn.add(&figures);
            outcome.mismatches(figures.mismatches);
            drop(outcome);
            if over() || watch::interrupted(self.stop) {
                break;
            }
        }
        Ok(())
    }
}

fn show(args: &ProbesArgs, outcome: &Outcome) -> Result<()> {
    if args.json {
        println!("{}", serde_json::to_string(outcome)?);
        return Ok(());
    }
    if let Some(masked) = &outcome.masked {
        println!(
            "masked: {} buffers switched while their CPU spun with interrupts off, {} records, \
             doorbells that are not maskable heard {} times",
            masked.switches, masked.records, masked.unmaskable_heard
        );
    }
    let Sum {
        enablings,
        switches,
        ..
    } = &outcome.steady;
    println!("steady: {enablings} enablings of all calls, {switches} buffers switched");
    table::show(&outcome.steady.rows);
    let Sum {
        enablings,
        switches,
        ..
    } = &outcome.churn;
    println!("churn: {enablings} enablings that came and went, {switches} buffers switched");
    table::show(&outcome.churn.rows);
    let storms = outcome.storms.unwrap_or_default();
    println!(
        "rounds: {}, CPUs that went and came: {}, storms: {} of {} calls, reloads: {}",
        outcome.rounds, outcome.cycles, storms.storms, storms.calls, outcome.reloads
    );
    for mismatch in &outcome.mismatches {
        println!("MISMATCH {mismatch}");
    }
    println!("mismatches: {}", outcome.mismatches.len());
    Ok(())
}
