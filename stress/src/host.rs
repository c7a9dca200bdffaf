// SPDX-License-Identifier: GPL-2.0
//! Storms on threads.

use crate::args::StormArgs;
use crate::hotplug::{self, Called, Done};
use crate::record::{Details, Record};
use crate::{report, watch};
use anyhow::{bail, ensure, Context, Result};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::Arc;
use xcall::{
    Config, CpuId, CpuSet, CpuSetMut, Doorbell, Error, FlushError, Lane as XcallLane, Work,
};
use xcall_host::{
    act_as, current_cpu, in_nmi, monotonic_ns, with_played, Bell, Cpus, Faults, Faulty, HostEngine,
    MaskedSignal, Polled, Signal,
};
use xcall_storm::{
    EngineCounters, Entry, Failure, Job, Lane, Machine, Plan, Silence, Storm, Surroundings, Ticket,
};
use xcall_stress_protocol::{
    put_text, text, Request, Totals, CPU_WORDS, FUNCTION, LATENCY_BUCKETS, NAME, NAMES,
};

/// CPUs that take part unless the command line says otherwise.
const CPUS: u64 = 0b1111;

/// Doorbells used unless the command line says otherwise.
const LADDER: &str = "masked-signal,signal";

/// How long posted calls may take to come back at the end.
const FLUSH_NS: u64 = 30_000_000_000;

/// Storms on threads. Returns whether every call was accounted for.
pub fn storm(args: &StormArgs) -> Result<bool> {
    let (totals, _, done) = blow(args)?;
    report::show(args, &totals, done.as_ref())
}

/// Storms on threads, and keeps all there is to know of it.
pub fn record(args: &StormArgs) -> Result<Record> {
    let (totals, details, _) = blow(args)?;
    let machine = "threads that play CPUs".to_owned();
    Ok(Record::new(machine, args, &totals, &details))
}

/// One storm: its accounts, who called whom, and the CPUs that went offline and came back.
fn blow(args: &StormArgs) -> Result<(Totals, Details, Option<Done>)> {
    let mut request = args.request()?;
    if request.cpus.iter().all(|w| *w == 0) {
        request.cpus[0] = CPUS;
    }
    let machine = Threads::new(&request)?;
    let around = Surroundings {
        online: &request.cpus.clone(),
        ordinary: machine.allow_all(XcallLane::Ordinary) != 0,
        from_nmi: machine.allow_all(XcallLane::NmiSafe) != 0,
    };
    ensure!(around.from_nmi, "no doorbell allowed serves NMI-safe calls");
    let names = machine.names;
    let plan = Plan::check(&request, &around).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    let row = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let words = row(Storm::<Threads>::words_for(&plan));
    let tickets = Storm::<Threads>::tickets_for(&plan);
    let tickets = (0..tickets).map(|_| Ticket::new()).collect::<Vec<_>>();
    let storm = Storm::new(machine, plan, words, tickets).context("too little memory")?;

    let stop = watch::on_interrupt(args.hotplug.is_some())?;
    let engine = &storm.machine().engine;
    let flushed = AtomicBool::new(false);
    let failed = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    let all_back = AtomicBool::new(args.hotplug.is_none());
    let hotplug = args.hotplug.map(|cycles| hotplug::Plan {
        cpus: storm.plan().cpus().collect(),
        one_stays: false,
        cycles,
        seed: args.seed,
    });
    let done = std::thread::scope(|scope| {
        for (worker, cpu) in storm.plan().cpus().enumerate() {
            let (storm, flushed, failed) = (&storm, &flushed, &failed);
            let all_back = &all_back;
            scope.spawn(move || {
                act_as(engine, CpuId(cpu), |_| {
                    engine.open();
                    storm.work(worker);
                    while storm.is_running() {
                        storm.machine().stay_away(cpu);
                        storm.work(worker);
                        storm.machine().breathe();
                    }
                    if worker == 0 {
                        failed.store(!storm.flush(FLUSH_NS), Relaxed);
                        flushed.store(true, Release);
                    }
                    while !flushed.load(Acquire) || !all_back.load(Acquire) {
                        storm.machine().stay_away(cpu);
                        storm.machine().breathe();
                    }
                    engine.close();
                });
            });
        }
        let hotplug = hotplug.as_ref().map(|plan| {
            let (storm, over, all_back) = (&storm, &over, &all_back);
            scope.spawn(move || {
                // On a CPU of its own, which takes no calls.
                act_as(engine, storm.machine().caller, |_| {
                    let done = hotplug::run(storm.machine(), plan, || over.load(Relaxed));
                    storm.stop();
                    all_back.store(true, Release);
                    done
                })
            })
        });
        let progress = watch::Progress::new(!args.json);
        while storm.is_running() {
            if stop.load(Relaxed) {
                storm.stop();
            }
            progress.show(storm.calls(), storm.elapsed_ns());
            std::thread::sleep(watch::EVERY);
        }
        over.store(true, Relaxed);
        hotplug.map(|thread| thread.join().expect("it does not panic"))
    });
    let done = done.transpose()?;
    let totals = storm.totals(names);
    let details = Details::gather(
        |caller, first| Ok(storm.row(caller, first)),
        |number| Ok(storm.latency(number)),
    )?;
    if failed.load(Relaxed) {
        // Tickets are still in use: they must not be freed.
        std::mem::forget(storm);
        eprintln!("stress: posted calls did not come back within 30 s");
    }
    Ok((totals, details, done))
}

/// A machine of threads, and its engine.
#[derive(Debug)]
struct Threads {
    engine: HostEngine,
    faulty: Vec<Box<dyn Counted>>,
    /// Allowed by the command line, separated by commas.
    names: [u8; NAMES],
    /// A CPU beyond those that take part.
    caller: CpuId,
    /// By CPU: whether it is to be offline, and whether it is.
    gates: Vec<Gate>,
}

/// How a CPU is told to go.
#[derive(Debug, Default)]
struct Gate {
    away: AtomicBool,
    closed: AtomicBool,
}

/// A doorbell that counts what went wrong.
trait Counted: std::fmt::Debug + Send + Sync {
    fn faults(&self) -> u64;
}

impl<D: Doorbell + std::fmt::Debug + Send> Counted for Arc<Faulty<D>> {
    fn faults(&self) -> u64 {
        self.dropped() + self.delayed() + self.duplicated()
    }
}

impl Threads {
    fn new(request: &Request) -> Result<Self> {
        let last = request.cpus.iter().rposition(|w| *w != 0).unwrap_or(0);
        let count = last as u32 * 64 + (64 - request.cpus[last].leading_zeros());
        let cpus = Cpus::new(count + 1);
        let faults = Faults {
            drop: request.faults.drop as u8,
            delay: request.faults.delay as u8,
            duplicate: request.faults.duplicate as u8,
        };
        let mut faulty: Vec<Box<dyn Counted>> = Vec::new();
        let mut bells = Vec::new();
        fn add<D: Doorbell + std::fmt::Debug + Send + 'static>(
            bell: Faulty<D>,
            bells: &mut Vec<Bell>,
            faulty: &mut Vec<Box<dyn Counted>>,
        ) {
            let bell = Arc::new(bell);
            bells.push(Bell::shared(&bell));
            faulty.push(Box::new(bell));
        }
        let seed = request.seed;
        let polled = Faulty::new(Polled::new(&cpus), faults, seed);
        add(polled, &mut bells, &mut faulty);
        let masked = Faulty::new(MaskedSignal::new(&cpus), faults, seed + 1);
        add(masked, &mut bells, &mut faulty);
        let signal = Faulty::new(Signal::new(&cpus), faults, seed + 2);
        add(signal, &mut bells, &mut faulty);

        let known: Vec<&str> = bells.iter().map(Doorbell::name).collect();
        let mut names = request.doorbells;
        if text(&names).is_empty() {
            put_text(&mut names, LADDER);
        }
        for name in text(&names).split(',') {
            if !known.contains(&name) {
                bail!(
                    "no doorbell `{name}`\nhint: the host has {}",
                    known.join(", ")
                );
            }
        }
        let deadline_ns = u64::from(request.deadline_ms) * 1_000_000;
        let config = Config {
            deadline_ns,
            nmi_deadline_ns: deadline_ns,
            ..Config::new(count + 1)
        };
        let engine = xcall_host::engine(&cpus, config, bells).context("an engine")?;
        Ok(Self {
            engine,
            faulty,
            names,
            caller: CpuId(count),
            gates: (0..count).map(|_| Gate::default()).collect(),
        })
    }

    /// On `cpu`, between turns: is offline for as long as it is to be.
    fn stay_away(&self, cpu: u32) {
        let gate = &self.gates[cpu as usize];
        if !gate.away.load(Acquire) {
            return;
        }
        self.engine.close();
        gate.closed.store(true, Release);
        while gate.away.load(Acquire) {
            std::thread::yield_now();
        }
        self.engine.open();
        gate.closed.store(false, Release);
    }

    /// Sends `cpu` away or back, and waits until it is where it is to be.
    fn switch(&self, cpu: u32, away: bool) {
        let gate = &self.gates[cpu as usize];
        gate.away.store(away, Release);
        while gate.closed.load(Acquire) != away {
            std::thread::yield_now();
        }
    }

    fn is_allowed(&self, bell: &Bell) -> bool {
        text(&self.names).split(',').any(|name| name == bell.name())
    }

    fn allow_all(&self, lane: XcallLane) -> u32 {
        self.engine
            .allow_doorbells(lane, |bell| self.is_allowed(bell))
    }
}

/// The work of a storm's job.
fn work(job: Job) -> Work<'static> {
    let lane = match job.lane() {
        Lane::NmiSafe => XcallLane::NmiSafe,
        Lane::Ordinary => XcallLane::Ordinary,
    };
    let (entry, arg): (_, *mut c_void) = (job.entry(), job.arg());
    // SAFETY: what a `Job` promises: the function is sound in its lane's contexts, and the ticket
    // lives as long as its storm, which outlives its calls.
    let work = unsafe { Work::new(lane, entry, arg) };
    work.within_ns(job.within_ns())
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Offline => Failure::Offline,
        Error::Busy => Failure::Busy,
        Error::Context | Error::NoDoorbell => Failure::Refused,
        Error::Timeout(timeout) => {
            let mut last_doorbell = [0; NAME];
            put_text(&mut last_doorbell, timeout.last_doorbell);
            Failure::Timeout(Silence {
                count: timeout.silent.count(),
                first: timeout.silent.named().next().map_or(u32::MAX, |cpu| cpu.0),
                ran: timeout.reached.ran,
                age_ns: timeout.age_ns,
                last_doorbell,
            })
        }
    }
}

impl hotplug::Machine for Threads {
    fn take_offline(&self, cpu: u32) -> Result<()> {
        self.switch(cpu, true);
        Ok(())
    }

    fn bring_online(&self, cpu: u32) -> Result<()> {
        self.switch(cpu, false);
        Ok(())
    }

    fn call(&self, cpu: u32) -> Result<Called> {
        let ran = AtomicU64::new(0);
        let count = || {
            ran.fetch_add(1, Relaxed);
        };
        // SAFETY: counting may interrupt anything, itself too.
        let work = unsafe { Work::nmi_safe(&count) };
        let result = self.engine.call(CpuId(cpu), work);
        Ok(match (result, ran.load(Relaxed)) {
            (Ok(()), 1) => Called::Ran,
            (Err(Error::Offline), 0) => Called::Offline,
            _ => Called::Other,
        })
    }
}

impl Machine for Threads {
    type Words = Vec<AtomicU64>;
    type Tickets = Vec<Ticket>;

    const ENTRY: Entry = xcall_stress_called;

    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn this_cpu(&self) -> u32 {
        current_cpu().map_or(u32::MAX, |cpu| cpu.0)
    }

    fn in_nmi(&self) -> bool {
        in_nmi()
    }

    fn call(&self, cpu: u32, job: Job) -> Result<(), Failure> {
        self.engine.call(CpuId(cpu), work(job)).map_err(failure)
    }

    fn call_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure> {
        let missed = CpuSetMut::new(missed);
        self.engine
            .call_many(CpuSet::new(targets), work(job), Some(missed))
            .map(|reached| reached.ran)
            .map_err(failure)
    }

    fn call_all(&self, job: Job) -> Result<u32, Failure> {
        self.engine
            .call_all(work(job))
            .map(|reached| reached.ran)
            .map_err(failure)
    }

    fn post(&self, cpu: u32, job: Job) -> Result<(), Failure> {
        self.engine.post(CpuId(cpu), work(job)).map_err(failure)
    }

    fn post_many(&self, targets: &[u64], job: Job, missed: &mut [u64]) -> Result<u32, Failure> {
        let missed = CpuSetMut::new(missed);
        self.engine
            .post_many(CpuSet::new(targets), work(job), Some(missed))
            .map_err(failure)
    }

    fn flush(&self, within_ns: u64) -> bool {
        match self.engine.flush(Some(within_ns)) {
            Ok(()) => true,
            Err(FlushError::Context | FlushError::Unfinished(_)) => false,
        }
    }

    fn irqs_off(&self, f: impl FnOnce()) {
        with_played(|cpu| cpu.expect("a worker plays a CPU").irqs_off(f));
    }

    fn nmi(&self, f: &(dyn Fn() + Sync)) -> bool {
        with_played(|cpu| cpu.expect("a worker plays a CPU").nmi(f));
        true
    }

    fn breathe(&self) {
        with_played(|cpu| cpu.expect("a worker plays a CPU").poll());
        std::thread::yield_now();
    }

    fn is_called_away(&self) -> bool {
        current_cpu()
            .and_then(|cpu| self.gates.get(cpu.index()))
            .is_some_and(|gate| gate.away.load(Relaxed))
    }

    fn relax(&self) {
        std::hint::spin_loop();
    }

    fn strongest_doorbell_only(&self, only: bool) {
        let strongest = self
            .engine
            .doorbells()
            .filter(|bell| self.is_allowed(bell))
            .last();
        let strongest = strongest.map(Doorbell::name);
        self.engine.allow_doorbells(XcallLane::NmiSafe, |bell| {
            self.is_allowed(bell) && (!only || Some(bell.name()) == strongest)
        });
    }

    fn engine_counters(&self) -> EngineCounters {
        let stats = self.engine.total_stats();
        EngineCounters {
            made: stats.made,
            run: stats.run,
            withdrawn: stats.withdrawn,
            rings: stats.rings,
            rings_saved: stats.rings_saved,
            rerings: stats.rerings,
            escalations: stats.escalations,
            deepest: stats.deepest,
        }
    }

    fn doorbell_latency(
        &self,
        number: usize,
        buckets: &mut [u64; LATENCY_BUCKETS],
    ) -> Option<[u8; NAME]> {
        let bell = self.engine.doorbells().nth(number)?;
        buckets.fill(0);
        for cpu in (0..self.engine.config().cpus).map(CpuId) {
            let histogram = self.engine.latency(cpu, number)?;
            for (sum, calls) in buckets.iter_mut().zip(histogram.0) {
                *sum += calls;
            }
        }
        let mut name = [0; NAME];
        put_text(&mut name, bell.name());
        Some(name)
    }

    fn faults(&self) -> u64 {
        self.faulty.iter().map(|bell| bell.faults()).sum()
    }

    fn entry_name(&self, name: &mut [u8; FUNCTION]) {
        put_text(name, "xcall_stress_called");
    }
}

/// What targets run.
///
/// # Safety
///
/// As [`xcall_storm::called`].
unsafe extern "C" fn xcall_stress_called(arg: *mut c_void) {
    // SAFETY: promised by the caller.
    unsafe { xcall_storm::called::<Threads>(arg) }
}

const _: () = assert!(CPU_WORDS * 64 == xcall::MAX_CPUS as usize);
const _: () = assert!(LATENCY_BUCKETS == xcall::LATENCY_BUCKETS);
