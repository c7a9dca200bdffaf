// SPDX-License-Identifier: GPL-2.0
//! Machines with more CPUs than there are threads for: a few threads play them in turn.

mod common;

use common::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use xcall::{CpuId, CpuSet, CpuSetMut, Engine, Error, Lane, MAX_CPUS};
use xcall_host::{act_as, current_cpu, Host, HostEngine};

/// Counts of CPUs at which a mailbox changes shape: words of 8 senders, a summary of 56 words, then
/// a tree; sets of 64 CPUs a word, `todo` of 4 words in the slot, more outside.
const SHAPES: [u32; 16] = [
    2, 8, 9, 63, 64, 65, 256, 257, 320, 447, 448, 449, 456, 513, 4095, 4096,
];

/// Counts a call by the CPU that runs it.
struct PerCpu(Vec<AtomicU32>);

impl PerCpu {
    fn new(cpus: u32) -> Self {
        Self((0..cpus).map(|_| AtomicU32::new(0)).collect())
    }

    fn ran(&self) {
        self.0[current_cpu().unwrap().index()].fetch_add(1, Relaxed);
    }

    fn take(&self) -> Vec<u32> {
        let ran = |cpu: &u32| self.0[*cpu as usize].swap(0, Relaxed) == 1;
        assert!(self.0.iter().all(|n| n.load(Relaxed) <= 1), "ran twice");
        (0..self.0.len() as u32).filter(ran).collect()
    }
}

/// Runs `caller` as CPU 0 while another thread plays all the others in turn.
fn with_others_in_turn(engine: &HostEngine, caller: impl FnOnce()) {
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !finished.load(Acquire) {
                for id in 1..engine.config().cpus {
                    act_as(engine, CpuId(id), |cpu| cpu.poll());
                }
            }
        });
        act_as(engine, CpuId(0), |_| caller());
        finished.store(true, Release);
    });
}

#[test]
fn broadcasts_on_machines_of_every_shape() {
    for cpus in SHAPES {
        let engine = machine(config(cpus), polled);
        open(&engine, 0..cpus);
        let runs = PerCpu::new(cpus);
        let f = || runs.ran();
        with_others_in_turn(&engine, || {
            assert_eq!(engine.call_all(nmi_safe(&f)).unwrap().ran, cpus);
            assert_eq!(runs.take(), Vec::from_iter(0..cpus));

            let wanted = Vec::from_iter((0..cpus).filter(|id| id % 3 == 1));
            let words = set(wanted.iter().copied());
            let reached = engine
                .call_many(CpuSet::new(&words), work(Lane::Ordinary, &f), None)
                .unwrap();
            assert_eq!(reached.ran as usize, wanted.len());
            assert_eq!(runs.take(), wanted);

            engine.call(CpuId(cpus - 1), nmi_safe(&f)).unwrap();
            assert_eq!(runs.take(), [cpus - 1]);
        });
        assert_balanced(&engine);
    }
}

#[test]
fn a_broadcast_past_256_cpus_names_whom_it_missed() {
    let cpus = 600;
    let engine = machine(config(cpus), mute);
    open(&engine, (0..cpus).filter(|id| id % 100 != 99));
    act_as(&engine, CpuId(0), |_| {
        let wanted = set([0, 255, 256, 299, 320, 399, 599, 600, 4095]);
        let mut missed = set([]);
        let result = engine.call_many(
            CpuSet::new(&wanted),
            nmi_safe(&|| {}).within_ns(1_000_000),
            Some(CpuSetMut::new(&mut missed)),
        );
        let Err(Error::Timeout(timeout)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(timeout.silent.to_string(), "CPU255,CPU256,CPU320");
        assert_eq!(timeout.reached.ran, 1);
        assert_eq!(
            timeout.reached.offline.to_string(),
            "CPU299,CPU399,CPU599,CPU600,CPU4095"
        );
        assert_eq!(members(&missed), [255, 256, 299, 320, 399, 599, 600, 4095]);
    });
    for id in [255, 256, 320] {
        let ran = act_as(&engine, CpuId(id), |_| engine.answer(&Lane::ALL));
        assert_eq!(ran, 0, "withdrawn from CPU{id}");
    }
    assert_balanced(&engine);
}

/// Every sender's bit has a place of its own, and the summary leads to it.
#[test]
fn every_sender_reaches_the_last_cpu() {
    for cpus in SHAPES {
        let engine = machine(ring_once(cpus), mute);
        open(&engine, 0..cpus);
        let runs = leak(AtomicU32::new(0));
        let f = leak(|| {
            runs.fetch_add(1, Relaxed);
        });
        let target = CpuId(cpus - 1);
        for sender in 0..cpus - 1 {
            act_as(&engine, CpuId(sender), |_| {
                engine.post(target, nmi_safe(f)).unwrap();
            });
        }
        let ran = act_as(&engine, target, |_| engine.answer(&[Lane::NmiSafe]));
        assert_eq!(ran, cpus - 1);
        assert_eq!(runs.load(Relaxed), cpus - 1);
        assert_eq!(engine.total_stats().rings, 1, "one ring for them all");
        assert_balanced(&engine);
    }
}

#[test]
fn memory_grows_as_documented() {
    let mib = |cpus| Engine::<Host>::memory_for(cpus) / (1 << 20);
    assert_eq!(mib(8), 0);
    assert!(mib(256) <= 2, "{} MiB", mib(256));
    assert!(mib(MAX_CPUS) <= 80, "{} MiB", mib(MAX_CPUS));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any calls posted by anyone to anyone, answered in any order: each runs once, on its target.
    #[test]
    fn posts_between_any_cpus(
        cpus in prop::sample::select(&SHAPES[..]),
        pairs in prop::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 1..40),
    ) {
        let engine = machine(ring_once(cpus), mute);
        open(&engine, 0..cpus);
        let runs = leak(PerCpu::new(cpus));
        let f = leak(|| { runs.0[current_cpu().unwrap().index()].fetch_add(1, Relaxed); });
        let mut owed = vec![0; cpus as usize];
        for (sender, target, ordinary) in pairs {
            let lane = Lane::ALL[usize::from(ordinary)];
            let (sender, target) = (CpuId(sender % cpus), CpuId(target % cpus));
            match act_as(&engine, sender, |_| engine.post(target, work(lane, f))) {
                Ok(()) => owed[target.index()] += 1,
                Err(error) => prop_assert_eq!(error, Error::Busy),
            }
        }
        for id in 0..cpus {
            act_as(&engine, CpuId(id), |_| engine.answer(&Lane::ALL));
        }
        let ran = Vec::from_iter(runs.0.iter().map(|n| n.load(Relaxed)));
        prop_assert_eq!(ran, owed);
        assert_balanced(&engine);
    }
}
