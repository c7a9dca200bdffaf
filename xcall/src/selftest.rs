// SPDX-License-Identifier: GPL-2.0
//! Trying everything once on a machine at work: each kind of call, through each doorbell, to each
//! CPU. For operators; nobody's doorbells change meanwhile.

use crate::call::{Error, Lane, Reached, Work};
use crate::cpu::{CpuId, CpuList};
use crate::doorbell::Doorbell;
use crate::engine::Engine;
use crate::flush::FlushError;
use crate::platform::Platform;
use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Calls to the caller's own CPU, in both lanes.
    Own,
    /// Calls to each other CPU through one doorbell, in one lane.
    Through(&'static str, Lane),
    /// A call to all CPUs at once.
    Broadcast(Lane),
    /// NMI-safe calls with interrupts off, to each other CPU.
    IrqsOff,
    /// That an ordinary call with interrupts off is refused.
    Refusal,
    /// A posted call to each CPU in both lanes, and a flush.
    Post,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = |lane| match lane {
            Lane::NmiSafe => "NMI-safe",
            Lane::Ordinary => "ordinary",
        };
        match self {
            Trial::Own => f.pad("own CPU"),
            Trial::Through(bell, l) => Padded(format_args!("{bell}, {}", lane(*l))).fmt(f),
            Trial::Broadcast(l) => Padded(format_args!("broadcast, {}", lane(*l))).fmt(f),
            Trial::IrqsOff => f.pad("interrupts off"),
            Trial::Refusal => f.pad("interrupts off, ordinary"),
            Trial::Post => f.pad("post and flush"),
        }
    }
}

/// Several pieces of text, filled up to the width asked for.
struct Padded<'a>(fmt::Arguments<'a>);

impl Padded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Counted<'a, 'b>(&'a mut fmt::Formatter<'b>, usize);
        impl fmt::Write for Counted<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.1 += text.len();
                self.0.write_str(text)
            }
        }
        let width = f.width().unwrap_or(0);
        let mut counted = Counted(f, 0);
        fmt::write(&mut counted, self.0)?;
        for _ in counted.1..width {
            f.write_str(" ")?;
        }
        Ok(())
    }
}

/// Why a trial failed: the first reason found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// These CPUs did not start a call.
    Silent {
        /// They.
        cpus: CpuList,
        /// How long the caller waited, in nanoseconds.
        age_ns: u64,
        /// The doorbell last rung.
        last_doorbell: &'static str,
    },
    /// A call was refused, for this reason.
    Refused(&'static str),
    /// A call that must be refused for its context was not.
    NotRefused,
    /// The function ran so often, not so often.
    Runs {
        /// How often.
        ran: u32,
        /// How often it should have.
        wanted: u32,
    },
    /// That CPU ran its calls, but the doorbell's handler did not run there.
    Unheard(CpuId),
    /// Posted calls did not end.
    Flush(FlushError),
    /// Another run is under way.
    Running,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Silent {
                cpus,
                age_ns,
                last_doorbell,
            } => write!(
                f,
                "{cpus} not started in {} ms, last doorbell {last_doorbell}",
                age_ns / 1_000_000
            ),
            Failure::Refused(reason) => f.write_str(reason),
            Failure::NotRefused => f.write_str("it was not refused"),
            Failure::Runs { ran, wanted } => write!(f, "{ran} runs, not {wanted}"),
            Failure::Unheard(cpu) => write!(f, "{cpu} ran the call, but did not hear the doorbell"),
            Failure::Flush(error) => error.fmt(f),
            Failure::Running => f.write_str("another self-test is under way"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout(timeout) => Failure::Silent {
                cpus: timeout.silent,
                age_ns: timeout.age_ns,
                last_doorbell: timeout.last_doorbell,
            },
            Error::Offline => Failure::Refused("the target takes no calls"),
            Error::Busy => Failure::Refused("no call slot was free"),
            Error::Context => Failure::Refused("not in this context"),
            Error::NoDoorbell => Failure::Refused("no doorbell can be rung from here"),
        }
    }
}

/// A trial's outcome: how many calls ran, all as they should, or why not.
pub type Outcome = Result<u32, Failure>;

/// A self-test, one run at a time.
#[derive(Debug)]
pub struct SelfTest {
    running: AtomicBool,
    posted: AtomicU32,
    within_ns: u64,
    heard_within_ns: u64,
}

/// What a run needs at hand.
struct Run<'e, P: Platform> {
    engine: &'e Engine<P>,
    within_ns: u64,
    heard_within_ns: u64,
}

impl SelfTest {
    /// One whose calls have `within_ns` nanoseconds each. A doorbell has `heard_within_ns` to be heard
    /// by a CPU, and is rung again and again meanwhile: while others call too, a call may be answered
    /// before its ring comes, or its ring saved for one that is due already.
    pub const fn new(within_ns: u64, heard_within_ns: u64) -> Self {
        Self {
            running: AtomicBool::new(false),
            posted: AtomicU32::new(0),
            within_ns,
            heard_within_ns,
        }
    }

    /// Tries everything, and tells `report` of each trial.
    ///
    /// `heard(cpu, number)` is how often the handler of doorbell `number` has run on `cpu`, or None
    /// to leave that doorbell out. Task context, interrupts on. Takes a few calls' time, or, on a
    /// machine that fails, up to the time limit for each trial and CPU.
    pub fn run<P: Platform>(
        &'static self,
        engine: &Engine<P>,
        heard: impl Fn(CpuId, usize) -> Option<u64>,
        mut report: impl FnMut(Trial, Outcome),
    ) {
        // Acquire selftest:begin, pairs with selftest:end: the last run's counts are in.
        if self.running.swap(true, Ordering::Acquire) {
            return report(Trial::Own, Err(Failure::Running));
        }
        let run = Run {
            engine,
            within_ns: self.within_ns,
            heard_within_ns: self.heard_within_ns,
        };
        report(Trial::Own, run.own());
        for (number, bell) in engine.doorbells().enumerate() {
            for lane in Lane::ALL.into_iter().filter(|lane| bell.drains(*lane)) {
                if let Some(outcome) = run.through(number, lane, &heard) {
                    report(Trial::Through(bell.name(), lane), outcome);
                }
            }
        }
        for lane in Lane::ALL {
            report(Trial::Broadcast(lane), run.broadcast(lane));
        }
        report(Trial::IrqsOff, run.irqs_off());
        report(Trial::Refusal, run.refusal());
        report(Trial::Post, run.post(&self.posted));
        // Release selftest:end, pairs with selftest:begin.
        self.running.store(false, Ordering::Release);
    }
}

impl SelfTest {
    /// As [`SelfTest::run`], as lines of text.
    ///
    /// # Errors
    ///
    /// Those of `to`. The trials are all made.
    pub fn show<P: Platform>(
        &'static self,
        engine: &Engine<P>,
        heard: impl Fn(CpuId, usize) -> Option<u64>,
        to: &mut impl fmt::Write,
    ) -> fmt::Result {
        let (mut tried, mut failed) = (0, 0);
        let mut written = Ok(());
        self.run(engine, heard, |trial, outcome| {
            tried += 1;
            failed += u32::from(outcome.is_err());
            let line = match outcome {
                Ok(_) if trial == Trial::Refusal => {
                    writeln!(to, "{trial:<26} ok      refused, as it must be")
                }
                Ok(calls) => writeln!(to, "{trial:<26} ok      {calls} calls"),
                Err(failure) => writeln!(to, "{trial:<26} FAILED  {failure}"),
            };
            written = written.and(line);
        });
        written?;
        writeln!(to, "{tried} tried, {failed} failed")
    }
}

/// A function that counts its runs, as work of either lane.
fn counting(runs: &AtomicU32, lane: Lane) -> Work<'_> {
    let arg = core::ptr::from_ref(runs).cast_mut().cast();
    // SAFETY:
    // 1. `count_run` adds to an atomic that lives as long as the work says.
    // 2. One addition may come on top of another.
    unsafe { Work::new(lane, count_run, arg) }
}

unsafe extern "C" fn count_run(arg: *mut c_void) {
    // SAFETY: `counting` made it from a reference that outlives the call.
    let runs = unsafe { &*arg.cast_const().cast::<AtomicU32>() };
    // Relaxed: the engine orders the run before the caller's return.
    runs.fetch_add(1, Ordering::Relaxed);
}

fn expect(ran: u32, wanted: u32) -> Outcome {
    match ran == wanted {
        true => Ok(ran),
        false => Err(Failure::Runs { ran, wanted }),
    }
}

impl<P: Platform> Run<'_, P> {
    fn online(&self) -> impl Iterator<Item = CpuId> + '_ {
        (0..self.engine.config.cpus)
            .map(CpuId)
            .filter(|cpu| self.engine.is_online(*cpu))
    }

    /// Calls `cpu` once and checks that it ran once. 0: it is the caller's own, or has gone offline.
    fn call_other(&self, cpu: CpuId, work: impl Fn(Work<'_>) -> Result<(), Error>) -> Outcome {
        let runs = AtomicU32::new(0);
        let result = self.engine.pinned(|here| match here.cpu() == cpu {
            true => Err(Error::Offline),
            false => work(counting(&runs, Lane::NmiSafe).within_ns(self.within_ns)),
        });
        match result {
            Ok(()) => expect(runs.into_inner(), 1),
            Err(Error::Offline) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn own(&self) -> Outcome {
        let runs = AtomicU32::new(0);
        for lane in Lane::ALL {
            let call = |cpu| self.engine.call(cpu, counting(&runs, lane));
            self.engine.pinned(|here| call(here.cpu()))?;
        }
        expect(runs.into_inner(), 2)
    }

    fn through(
        &self,
        number: usize,
        lane: Lane,
        heard: &impl Fn(CpuId, usize) -> Option<u64>,
    ) -> Option<Outcome> {
        let mut ran = 0;
        for cpu in self.online() {
            let before = heard(cpu, number)?;
            let platform = &self.engine.platform;
            let give_up_ns = platform.now_ns().saturating_add(self.heard_within_ns);
            loop {
                let called = self.call_other(cpu, |mut work| {
                    work.lane = lane;
                    self.engine.call(cpu, work.through(number))
                });
                match called {
                    Ok(0) => break,
                    Ok(runs) => ran += runs,
                    Err(failure) => return Some(Err(failure)),
                }
                if heard(cpu, number) > Some(before) {
                    break;
                }
                if platform.now_ns() >= give_up_ns {
                    return Some(Err(Failure::Unheard(cpu)));
                }
                platform.resched();
            }
        }
        Some(Ok(ran))
    }

    fn broadcast(&self, lane: Lane) -> Outcome {
        let runs = AtomicU32::new(0);
        let before = self.online().count() as u32;
        let work = counting(&runs, lane).within_ns(self.within_ns);
        let Reached { ran, .. } = self.engine.call_all(work)?;
        expect(runs.into_inner(), ran)?;
        // CPUs may come and go meanwhile.
        let after = self.online().count() as u32;
        match before == after {
            true => expect(ran, before),
            false => Ok(ran),
        }
    }

    fn irqs_off(&self) -> Outcome {
        let mut ran = 0;
        for cpu in self.online() {
            ran += self.call_other(cpu, |work| {
                let irqs = self.engine.platform.irqs_off();
                let result = self.engine.call(cpu, work);
                self.engine.platform.irqs_restore(irqs);
                result
            })?;
        }
        Ok(ran)
    }

    fn refusal(&self) -> Outcome {
        let runs = AtomicU32::new(0);
        let result = self.engine.pinned(|here| {
            let irqs = self.engine.platform.irqs_off();
            let result = self
                .engine
                .call(here.cpu(), counting(&runs, Lane::Ordinary));
            self.engine.platform.irqs_restore(irqs);
            result
        });
        match result {
            Err(Error::Context) => expect(runs.into_inner(), 0),
            Err(error) => Err(error.into()),
            Ok(()) => Err(Failure::NotRefused),
        }
    }

    fn post(&self, runs: &'static AtomicU32) -> Outcome {
        let flush = || {
            self.engine
                .flush(Some(self.within_ns))
                .map_err(Failure::Flush)
        };
        // Relaxed: counted again after a flush, which orders the runs.
        let before = runs.load(Ordering::Relaxed);
        let mut sent = 0;
        for cpu in self.online() {
            for lane in Lane::ALL {
                let give_up_ns = self.engine.platform.now_ns().saturating_add(self.within_ns);
                let result = loop {
                    let result = self.engine.post(cpu, counting(runs, lane));
                    // Others may post so much that every slot is taken.
                    if result != Err(Error::Busy) || self.engine.platform.now_ns() >= give_up_ns {
                        break result;
                    }
                    flush()?;
                };
                match result {
                    Ok(()) => sent += 1,
                    Err(Error::Offline) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        flush()?;
        expect(runs.load(Ordering::Relaxed).wrapping_sub(before), sent)
    }
}
