// SPDX-License-Identifier: GPL-2.0
//! Errors other than a timeout: nothing ran, nothing will.

mod common;

use common::*;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use xcall::{
    Config, CpuId, CpuSet, CpuSetMut, Error, Lane, NewError, DEEPEST_WAITS, LEVELS, MAX_CPUS, SLOTS,
};
use xcall_host::{act_as, current_cpu, Cpus, MaskedSignal, Signal};

/// Calls a CPU may have posted at once: a slot each, but for those of waiting calls.
const POSTS: usize = SLOTS - LEVELS;

#[test]
fn offline_targets() {
    let engine = machine(config(4), polled);
    open(&engine, [0]);
    let runs = leak(AtomicU32::new(0));
    let f = leak(move || {
        runs.fetch_add(1, Relaxed);
    });
    act_as(&engine, CpuId(0), |_| {
        for target in [1, 3, 4, 63, 64, u32::MAX] {
            let target = CpuId(target);
            assert!(!engine.is_online(target));
            for lane in Lane::ALL {
                assert_eq!(engine.call(target, work(lane, f)), Err(Error::Offline));
                assert_eq!(engine.post(target, work(lane, f)), Err(Error::Offline));
            }
        }
        let mut missed = set([]);
        let wanted = set([0, 2, 9]);
        let reached = engine
            .call_many(
                CpuSet::new(&wanted),
                nmi_safe(f),
                Some(CpuSetMut::new(&mut missed)),
            )
            .unwrap();
        assert_eq!(reached.ran, 1);
        assert_eq!(reached.offline.to_string(), "CPU2,CPU9");
        assert_eq!(members(&missed), [2, 9]);
        let mut missed = set([]);
        let sent = engine.post_many(
            CpuSet::new(&wanted),
            nmi_safe(f),
            Some(CpuSetMut::new(&mut missed)),
        );
        assert_eq!(sent, Ok(1));
        assert_eq!(members(&missed), [2, 9]);
        assert_eq!(engine.call_all(nmi_safe(f)).unwrap().ran, 1);
    });
    assert_eq!(runs.load(Relaxed), 3);
    // Nothing is left that could run when they come.
    open(&engine, [1, 2, 3]);
    for id in 1..4 {
        assert_eq!(act_as(&engine, CpuId(id), |_| engine.answer(&Lane::ALL)), 0);
    }
    assert_balanced(&engine);
}

#[test]
fn everything_is_offline_once_halted() {
    let engine = machine(config(2), polled);
    open(&engine, [0, 1]);
    engine.halt();
    act_as(&engine, CpuId(0), |_| {
        let f = leak(|| panic!("runs"));
        let all = set([0, 1]);
        assert_eq!(engine.call(CpuId(0), nmi_safe(f)), Err(Error::Offline));
        assert_eq!(engine.call_all(nmi_safe(f)), Err(Error::Offline));
        assert_eq!(engine.post(CpuId(1), nmi_safe(f)), Err(Error::Offline));
        let many = engine.post_many(CpuSet::new(&all), nmi_safe(f), None);
        assert_eq!(many, Err(Error::Offline));
    });
    assert_eq!(engine.total_stats().made, 0);
}

/// An ordinary call may wait where the caller could run ordinary calls itself, and nowhere else.
#[test]
fn context_of_a_waiting_ordinary_call() {
    let engine = machine(config(2), masked);
    crowd(&engine, 2, |cpu| {
        let runs = AtomicU32::new(0);
        let f = || {
            runs.fetch_add(1, Relaxed);
        };
        let other = CpuId(1 - cpu.id().0);
        let call = || engine.call(other, work(Lane::Ordinary, &f));
        assert_eq!(call(), Ok(()));
        assert_eq!(cpu.softirq(call), Ok(()));
        assert_eq!(cpu.irqs_off(call), Err(Error::Context));
        assert_eq!(cpu.irq(call), Err(Error::Context));
        assert_eq!(cpu.nmi(call), Err(Error::Context));
        let to_me = || engine.call(cpu.id(), work(Lane::Ordinary, &f));
        assert_eq!(cpu.irqs_off(to_me), Err(Error::Context));
        assert_eq!(runs.load(Relaxed), 2);
    });
    assert_balanced(&engine);
}

/// A posted ordinary call never runs on top of code that has interrupts off.
#[test]
fn ordinary_calls_wait_for_interrupts_to_be_on() {
    let engine = machine(config(1), masked);
    let runs = leak(AtomicU32::new(0));
    let f = leak(move || {
        runs.fetch_add(1, Relaxed);
    });
    crowd(&engine, 1, |cpu| {
        cpu.irqs_off(|| {
            engine.post(cpu.id(), work(Lane::Ordinary, f)).unwrap();
            // A waiting call answers our mailbox, but not that lane.
            engine.call_all(nmi_safe(&|| {})).unwrap();
            cpu.nmi(|| engine.answer(&Lane::ALL));
            assert_eq!(runs.load(Relaxed), 0);
        });
        wait_until("the posted call", Some(cpu), || runs.load(Relaxed) == 1);
        engine.post(cpu.id(), work(Lane::Ordinary, f)).unwrap();
        assert_eq!(runs.load(Relaxed), 2, "interrupts on: it runs at once");
    });
}

#[test]
fn no_doorbell_for_the_lane() {
    let engine = machine(config(2), signal);
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |_| {
        let f = leak(|| panic!("runs"));
        let call = engine.call(CpuId(1), work(Lane::Ordinary, f));
        assert_eq!(call, Err(Error::NoDoorbell), "signals drain the other lane");
        let post = engine.post(CpuId(1), work(Lane::Ordinary, f));
        assert_eq!(post, Err(Error::NoDoorbell));
        assert_eq!(engine.allow_doorbells(Lane::NmiSafe, |_| false), 0);
        let call = engine.call(CpuId(1), nmi_safe(f));
        assert_eq!(call, Err(Error::NoDoorbell));
    });
    assert_eq!(engine.total_stats().made, 0);
}

/// Only doorbells that may be rung from an NMI are: the doorbell panics otherwise.
#[test]
fn no_doorbell_from_an_nmi() {
    let runs = leak(AtomicU32::new(0));
    let f = leak(move || {
        runs.fetch_add(1, Relaxed);
    });
    let bell = |cpus: &_| xcall_host::Bell::new(MaskedSignal::new(cpus).not_from_nmi());
    let engine = machine(config(2), |cpus| vec![bell(cpus)]);
    crowd(&engine, 2, |cpu| {
        let other = CpuId(1 - cpu.id().0);
        let waited = cpu.nmi(|| engine.call(other, nmi_safe(f)));
        assert_eq!(waited, Err(Error::NoDoorbell));
        // A posted call is sent all the same, and rung for later.
        let posted = cpu.nmi(|| engine.post(other, nmi_safe(f)));
        assert_eq!(posted, Ok(()));
        wait_until("the posted call", Some(cpu), || engine.tend().is_none());
    });
    assert_eq!(runs.load(Relaxed), 2);

    // With a second doorbell, that one is rung.
    let engine = machine(config(2), |cpus| {
        vec![bell(cpus), xcall_host::Bell::new(Signal::new(cpus))]
    });
    crowd(&engine, 2, |cpu| {
        let other = CpuId(1 - cpu.id().0);
        cpu.nmi(|| engine.call(other, nmi_safe(f))).unwrap();
    });
    assert_eq!(runs.load(Relaxed), 4);
}

/// Two CPUs call each other from each other's functions until no slot is left.
#[test]
fn busy_at_the_recursion_limit() {
    let engine = machine(config(2), signal_and_masked);
    let (ok, busy, runs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    // Called on each CPU in turn; 100 levels are asked for.
    struct Ping<'a> {
        engine: &'a xcall_host::HostEngine,
        level: u32,
        counts: [&'a AtomicU64; 3],
    }
    impl Ping<'_> {
        fn call(&self) {
            let [ok, busy, runs] = self.counts;
            let me = current_cpu().unwrap();
            let next = || {
                runs.fetch_add(1, Relaxed);
                if self.level < 100 {
                    let level = self.level + 1;
                    Ping { level, ..*self }.call();
                }
            };
            match self.engine.call(CpuId(1 - me.0), nmi_safe(&next)) {
                Ok(()) => ok.fetch_add(1, Relaxed),
                Err(Error::Busy) => busy.fetch_add(1, Relaxed),
                Err(error) => panic!("{error}"),
            };
        }
    }
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(0) {
            let counts = [&ok, &busy, &runs];
            Ping {
                engine: &engine,
                level: 0,
                counts,
            }
            .call();
        }
    });
    let stats = engine.total_stats();
    assert_eq!(busy.load(Relaxed), 1);
    assert_eq!(stats.busy, 1);
    assert_eq!(ok.load(Relaxed), runs.load(Relaxed));
    // The first CPU waits in a task, the second perhaps only in a signal handler, which plays an NMI.
    let [task, .., nmi] = DEEPEST_WAITS;
    assert!((2 * nmi..=2 * (task + nmi)).contains(&ok.load(Relaxed)));
    assert!((nmi..=task + nmi).contains(&stats.deepest));
    assert_balanced(&engine);
}

/// Posted calls that nobody answers take their slots and no more: each level can still wait.
#[test]
fn posted_calls_leave_a_slot_for_each_level() {
    let engine = machine(config(3), signal);
    open(&engine, [0, 1]);
    let runs = leak(AtomicU32::new(0));
    let f = leak(move || {
        runs.fetch_add(1, Relaxed);
    });
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            act_as(&engine, CpuId(2), |_| {
                engine.open();
                wait_until("the caller", None, || finished.load(Acquire));
            });
        });
        wait_until("CPU2", None, || engine.is_online(CpuId(2)));
        act_as(&engine, CpuId(0), |cpu| {
            for _ in 0..POSTS {
                engine.post(CpuId(1), nmi_safe(f)).unwrap();
            }
            assert_eq!(engine.post(CpuId(1), nmi_safe(f)), Err(Error::Busy));
            assert_eq!(engine.total_stats().busy, 1);
            let call = || engine.call(CpuId(2), nmi_safe(f)).unwrap();
            call();
            cpu.softirq(call);
            cpu.irq(call);
            cpu.nmi(call);
        });
        finished.store(true, Release);
    });
    assert_eq!(runs.load(Relaxed), LEVELS as u32);
    let answered = act_as(&engine, CpuId(1), |_| engine.answer(&[Lane::NmiSafe]));
    assert_eq!(answered as usize, POSTS, "what was refused was not sent");
    act_as(&engine, CpuId(0), |_| {
        assert_eq!(engine.tend(), None);
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
    });
}

#[test]
fn engines_that_cannot_be() {
    let cpus = Cpus::new(1);
    for count in [0, MAX_CPUS + 1] {
        let result = xcall_host::engine(&cpus, Config::new(count), []);
        assert_eq!(result.err(), Some(NewError::Cpus));
    }
}
