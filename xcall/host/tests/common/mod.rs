// SPDX-License-Identifier: GPL-2.0
//! What the tests share: machines, crowds of CPUs, scripted doorbells, counts per pair.
#![allow(dead_code, reason = "no test uses all of it")]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use std::sync::Arc;
use xcall::{words_for, Config, CpuId, CpuSet, CpuSetMut, Doorbell, Here, Lane, Work, MAX_CPUS};
use xcall_host::{
    act_as, current_cpu, engine, monotonic_ns, Bell, Cpu, Cpus, HostEngine, MaskedSignal, Polled,
    Signal,
};

/// How long a test waits for what must happen before it fails. No passing run depends on it.
pub const PATIENCE_NS: u64 = 30_000_000_000;

/// A configuration in which only [`PATIENCE_NS`] ends a wait.
pub fn config(cpus: u32) -> Config {
    Config {
        deadline_ns: PATIENCE_NS,
        irqs_on_deadline_ns: PATIENCE_NS,
        irqs_off_deadline_ns: PATIENCE_NS,
        nmi_deadline_ns: PATIENCE_NS,
        ..Config::new(cpus)
    }
}

/// As [`config`], and no ring is repeated: a lost one shows.
pub fn ring_once(cpus: u32) -> Config {
    Config {
        ring_again_ns: u64::MAX / 2,
        ..config(cpus)
    }
}

/// The doorbells of a machine.
pub type Bells = fn(&Arc<Cpus>) -> Vec<Bell>;

/// Every choice of doorbells a test should pass with.
pub const ALL_LADDERS: [Bells; 4] = [polled, masked, signal_and_masked, polled_to_signal];

pub fn polled(cpus: &Arc<Cpus>) -> Vec<Bell> {
    vec![Bell::new(Polled::new(cpus))]
}

pub fn masked(cpus: &Arc<Cpus>) -> Vec<Bell> {
    vec![Bell::new(MaskedSignal::new(cpus))]
}

pub fn signal(cpus: &Arc<Cpus>) -> Vec<Bell> {
    vec![Bell::new(Signal::new(cpus))]
}

/// Ordinary calls have only the second one.
pub fn signal_and_masked(cpus: &Arc<Cpus>) -> Vec<Bell> {
    vec![
        Bell::new(Signal::new(cpus)),
        Bell::new(MaskedSignal::new(cpus)),
    ]
}

pub fn polled_to_signal(cpus: &Arc<Cpus>) -> Vec<Bell> {
    vec![
        Bell::new(Polled::new(cpus)),
        Bell::new(MaskedSignal::new(cpus)),
        Bell::new(Signal::new(cpus)),
    ]
}

pub fn machine(config: Config, bells: impl FnOnce(&Arc<Cpus>) -> Vec<Bell>) -> HostEngine {
    let cpus = Cpus::new(config.cpus);
    let bells = bells(&cpus);
    engine(&cpus, config, bells).expect("an engine")
}

/// Opens CPUs `ids`, one after the other, on this thread.
pub fn open(engine: &HostEngine, ids: impl IntoIterator<Item = u32>) {
    for id in ids {
        act_as(engine, CpuId(id), |_| engine.open());
    }
}

/// Polls until `until` holds; panics after [`PATIENCE_NS`].
pub fn wait_until(what: &str, cpu: Option<&Cpu<'_>>, until: impl Fn() -> bool) {
    let give_up_ns = monotonic_ns() + PATIENCE_NS;
    while !until() {
        assert!(monotonic_ns() < give_up_ns, "waited too long: {what}");
        if let Some(cpu) = cpu {
            cpu.poll();
        }
        std::thread::yield_now();
    }
}

/// Spins in a called function until `until` holds. False: gave up.
pub fn spin_until(until: impl Fn() -> bool) -> bool {
    let give_up_ns = monotonic_ns() + PATIENCE_NS / 3;
    while !until() {
        if monotonic_ns() >= give_up_ns {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Plays CPUs 0 to `count - 1`, each on a thread: opens it, runs `body`, and polls until all bodies
/// have returned and all their posted calls have ended; then closes it.
pub fn crowd(engine: &HostEngine, count: u32, body: impl Fn(&Cpu<'_>) + Sync) {
    let (opened, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let failed = AtomicBool::new(false);

    struct Failing<'a>(&'a AtomicBool);
    impl Drop for Failing<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.store(true, Relaxed);
            }
        }
    }

    std::thread::scope(|scope| {
        for id in 0..count {
            let (opened, done, failed, body) = (&opened, &done, &failed, &body);
            scope.spawn(move || {
                let _failing = Failing(failed);
                act_as(engine, CpuId(id), |cpu| {
                    engine.open();
                    opened.fetch_add(1, AcqRel);
                    let all = |n: &AtomicU32| n.load(Acquire) == count || failed.load(Relaxed);
                    wait_until("all CPUs open", Some(cpu), || all(opened));
                    body(cpu);
                    wait_until("posted calls ended", Some(cpu), || {
                        engine.tend().is_none() || failed.load(Relaxed)
                    });
                    done.fetch_add(1, AcqRel);
                    wait_until("all CPUs done", Some(cpu), || all(done));
                    engine.close();
                });
            });
        }
    });
}

/// An NMI-safe closure: those of these tests use atomics only, each of which may come inside
/// another.
pub fn nmi_safe<F: Fn() + Sync>(f: &F) -> Work<'_> {
    // SAFETY: see above.
    unsafe { Work::nmi_safe(f) }
}

/// A closure as work of `lane`.
pub fn work<F: Fn() + Sync>(lane: Lane, f: &F) -> Work<'_> {
    match lane {
        Lane::NmiSafe => nmi_safe(f),
        Lane::Ordinary => Work::ordinary(f),
    }
}

/// Makes a value live for ever, as posted work wants it.
pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A set of CPUs on its own words.
pub fn set(ids: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut words = vec![0; 64];
    let mut set = xcall::CpuSetMut::new(&mut words);
    ids.into_iter().for_each(|id| set.insert(CpuId(id)));
    words
}

/// The members of a set.
pub fn members(words: &[u64]) -> Vec<u32> {
    CpuSet::new(words).iter().map(|c| c.0).collect()
}

/// Counts per (caller, target), by what called functions see.
pub struct Pairs {
    each: Vec<AtomicU64>,
    cpus: u32,
}

impl Pairs {
    pub fn new(cpus: u32) -> Self {
        Self {
            each: (0..cpus * cpus).map(|_| AtomicU64::new(0)).collect(),
            cpus,
        }
    }

    fn at(&self, caller: u32, target: u32) -> &AtomicU64 {
        &self.each[(caller * self.cpus + target) as usize]
    }

    /// Counts a call by `caller` as run on the CPU played here.
    pub fn ran(&self, caller: CpuId) {
        let target = current_cpu().expect("a called function runs on a CPU");
        self.at(caller.0, target.0).fetch_add(1, Relaxed);
    }

    pub fn add(&self, caller: CpuId, target: CpuId, n: u64) {
        self.at(caller.0, target.0).fetch_add(n, Relaxed);
    }

    pub fn get(&self, caller: u32, target: u32) -> u64 {
        self.at(caller, target).load(Relaxed)
    }

    pub fn total(&self) -> u64 {
        self.each.iter().map(|n| n.load(Relaxed)).sum()
    }
}

/// Every pair of `ran` is as `owed` says.
pub fn assert_same(ran: &Pairs, owed: &Pairs) {
    for caller in 0..owed.cpus {
        for target in 0..owed.cpus {
            assert_eq!(
                ran.get(caller, target),
                owed.get(caller, target),
                "calls CPU{caller} -> CPU{target}, run and owed"
            );
        }
    }
}

/// At quiescence every call made was run or withdrawn.
pub fn assert_balanced(engine: &HostEngine) {
    let stats = engine.total_stats();
    assert_eq!(stats.made, stats.run + stats.withdrawn, "{stats:?}");
}

/// A doorbell that does what a test says.
pub struct Scripted<F> {
    pub name: &'static str,
    pub lanes: &'static [Lane],
    pub from_nmi: bool,
    pub ring: F,
}

impl<F: Fn(&Here, CpuSet<'_>) + Send + Sync + 'static> Scripted<F> {
    pub fn bell(ring: F) -> Bell {
        Bell::new(Self {
            name: "scripted",
            lanes: &Lane::ALL,
            from_nmi: true,
            ring,
        })
    }
}

impl<F: Fn(&Here, CpuSet<'_>) + Send + Sync> Doorbell for Scripted<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn drains(&self, lane: Lane) -> bool {
        self.lanes.contains(&lane)
    }

    fn maskable(&self) -> bool {
        true
    }

    fn rings_from_nmi(&self) -> bool {
        self.from_nmi
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        (self.ring)(here, targets);
    }

    fn ring_one(&self, here: &Here, cpu: CpuId) {
        let mut words = [0; words_for(MAX_CPUS)];
        let mut targets = CpuSetMut::new(&mut words);
        targets.insert(cpu);
        (self.ring)(here, targets.as_set());
    }
}

/// A doorbell nobody hears.
pub fn mute(_: &Arc<Cpus>) -> Vec<Bell> {
    vec![Scripted::bell(|_, _| {})]
}
