// SPDX-License-Identifier: GPL-2.0
//! Posted calls: nobody waits for them, and they run once all the same.

mod common;

use common::*;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use xcall::{CpuId, CpuSet, Doorbell, Error, FlushError, Lane};
use xcall_host::{act_as, current_cpu, Bell, Cpu, Faults, Faulty, HostEngine, Polled, Signal};

const CPUS: u32 = 4;

/// Posts once a slot is free.
fn post(cpu: &Cpu<'_>, target: CpuId, work: impl Fn() -> xcall::Work<'static>) {
    wait_until("a free slot", Some(cpu), || {
        match cpu.engine().post(target, work()) {
            Ok(()) => true,
            Err(Error::Busy) => false,
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn every_posted_call_runs_once() {
    for ladder in ALL_LADDERS {
        posts_run_once(&machine(config(CPUS), ladder));
    }
}

/// No waiter rings again for these: the poster tends them.
#[test]
fn every_posted_call_runs_once_although_rings_get_lost() {
    let faults = Faults {
        drop: 50,
        delay: 10,
        duplicate: 10,
    };
    let engine = machine(config(CPUS), |cpus| {
        vec![Bell::new(Faulty::new(Signal::new(cpus), faults, 7))]
    });
    posts_run_once(&engine);
    assert!(engine.total_stats().rerings > 0);
}

fn posts_run_once(engine: &HostEngine) {
    let ran: &Pairs = leak(Pairs::new(CPUS));
    let owed = Pairs::new(CPUS);
    crowd(engine, CPUS, |cpu| {
        let me = cpu.id();
        let f = leak(move || ran.ran(me));
        for round in 0..100 {
            let target = CpuId((me.0 + round) % CPUS);
            post(cpu, target, || nmi_safe(f));
            owed.add(me, target, 1);
            if round % 10 == 0 {
                let wanted = set(0..CPUS);
                if let Ok(sent) = engine.post_many(CpuSet::new(&wanted), nmi_safe(f), None) {
                    assert_eq!(sent, CPUS);
                    for target in 0..CPUS {
                        owed.add(me, CpuId(target), 1);
                    }
                }
            }
        }
        engine.flush(None).unwrap();
        for target in 0..CPUS {
            assert_eq!(ran.get(me.0, target), owed.get(me.0, target), "flushed");
        }
    });
    assert_same(ran, &owed);
    assert_balanced(engine);
}

/// The only ring is lost. Nobody waits; tending the post rings again, and that is counted.
#[test]
fn a_posted_call_whose_ring_is_lost_is_tended() {
    let rings = leak(AtomicU32::new(0));
    let engine = machine(config(2), |cpus| {
        let signal = Signal::new(cpus);
        vec![Scripted::bell(move |here, targets| {
            if rings.fetch_add(1, Relaxed) != 0 {
                signal.ring(here, targets);
            }
        })]
    });
    let ran = leak(AtomicBool::new(false));
    let f = leak(|| ran.store(true, Release));
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(0) {
            engine.post(CpuId(1), nmi_safe(f)).unwrap();
            assert_eq!(rings.load(Relaxed), 1);
            assert!(!ran.load(Relaxed));
            // What `poll` does, because the platform was told to watch.
            wait_until("the posted call", Some(cpu), || ran.load(Acquire));
        } else {
            wait_until("the posted call", None, || ran.load(Acquire));
        }
    });
    assert!(engine.total_stats().rerings >= 1);
}

/// The poster does nothing more for its call: whoever flushes rings.
#[test]
fn a_flush_rings_for_other_cpus_posted_calls() {
    let rings = leak(AtomicU32::new(0));
    let engine = machine(config(3), |cpus| {
        let signal = Signal::new(cpus);
        vec![Scripted::bell(move |here, targets| {
            if rings.fetch_add(1, Relaxed) != 0 {
                signal.ring(here, targets);
            }
        })]
    });
    open(&engine, [0, 1]);
    let ran = leak(AtomicBool::new(false));
    let f = leak(|| ran.store(true, Release));
    act_as(&engine, CpuId(0), |_| {
        engine.post(CpuId(1), nmi_safe(f)).unwrap()
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            act_as(&engine, CpuId(1), |_| {
                wait_until("the posted call", None, || ran.load(Acquire));
            });
        });
        act_as(&engine, CpuId(2), |_| {
            engine.open();
            engine.flush(Some(PATIENCE_NS)).unwrap();
        });
    });
    assert!(ran.load(Relaxed));
}

#[test]
fn a_flush_names_the_cpus_it_gave_up_on() {
    let engine = machine(config(3), mute);
    open(&engine, 0..3);
    act_as(&engine, CpuId(0), |cpu| {
        engine.flush(Some(0)).unwrap();
        let wanted = set([1, 2]);
        let f = leak(|| {});
        engine
            .post_many(CpuSet::new(&wanted), nmi_safe(f), None)
            .unwrap();
        let error = engine.flush(Some(1_000_000)).unwrap_err();
        assert_eq!(error.to_string(), "posted calls under way on CPU1,CPU2");
        for refused in [
            cpu.irqs_off(|| engine.flush(None)),
            cpu.softirq(|| engine.flush(None)),
            cpu.irq(|| engine.flush(None)),
            cpu.nmi(|| engine.flush(None)),
        ] {
            assert_eq!(refused, Err(FlushError::Context));
        }
    });
    for id in [1, 2] {
        act_as(&engine, CpuId(id), |_| {
            assert_eq!(engine.answer(&Lane::ALL), 1);
        });
    }
    act_as(&engine, CpuId(0), |_| engine.flush(Some(0))).unwrap();
}

/// Functions post on; from signal handlers too.
#[test]
fn posted_calls_that_post() {
    let engine = machine(config(CPUS), polled_to_signal);
    let (ran, sent) = (leak(AtomicU64::new(0)), leak(AtomicU64::new(0)));
    let last = leak(|| {
        ran.fetch_add(1, Relaxed);
    });
    let address = std::ptr::from_ref(&engine) as usize;
    let first = leak(move || {
        // SAFETY: the engine outlives its posted calls: `crowd` waits for them.
        let engine = unsafe { &*(address as *const HostEngine) };
        let next = CpuId((current_cpu().unwrap().0 + 1) % CPUS);
        if engine.post(next, nmi_safe(last)).is_ok() {
            sent.fetch_add(1, Relaxed);
        }
        ran.fetch_add(1, Relaxed);
    });
    crowd(&engine, CPUS, |cpu| {
        for round in 0..50 {
            let target = CpuId((cpu.id().0 + round) % CPUS);
            post(cpu, target, || nmi_safe(first));
            sent.fetch_add(1, Relaxed);
        }
        // Twice: the calls of calls.
        engine.flush(None).unwrap();
        engine.flush(None).unwrap();
    });
    assert_eq!(ran.load(Relaxed), sent.load(Relaxed));
    assert_balanced(&engine);
}

/// A target in an NMI answers the posted calls of its own lane only.
#[test]
fn lanes_are_kept_apart() {
    let engine = machine(config(2), |cpus| vec![Bell::new(Polled::new(cpus))]);
    open(&engine, [0, 1]);
    let f = leak(|| {});
    act_as(&engine, CpuId(0), |_| {
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
        engine.post(CpuId(1), work(Lane::Ordinary, f)).unwrap();
    });
    act_as(&engine, CpuId(1), |cpu| {
        assert_eq!(cpu.nmi(|| engine.answer(&Lane::ALL)), 1);
        assert_eq!(engine.answer(&[Lane::NmiSafe]), 0);
        assert_eq!(cpu.irqs_off(|| cpu.poll()), 0, "a maskable doorbell");
        assert_eq!(cpu.poll(), 1);
    });
}

/// A slot's calls may have their targets in different words of `todo`: each is looked for where it is.
#[test]
fn a_slot_is_not_taken_over_from_a_target_far_away() {
    const SHARED: u32 = 4;
    let engine = machine(ring_once(65), |_| vec![Scripted::bell(|_, _| {})]);
    open(&engine, 0..65);
    let ran = leak(AtomicU32::new(0));
    let f = leak(|| {
        ran.fetch_add(1, Relaxed);
    });
    let post_all = |target| {
        act_as(&engine, CpuId(1), |_| {
            for _ in 0..SHARED {
                engine.post(CpuId(target), nmi_safe(f)).unwrap();
            }
            engine.post(CpuId(target), nmi_safe(f))
        })
    };
    for (target, runs) in [(0, SHARED), (64, 2 * SHARED)] {
        assert_eq!(post_all(target), Err(Error::Busy));
        act_as(&engine, CpuId(target), |_| engine.answer(&Lane::ALL));
        assert_eq!(ran.load(Relaxed), runs);
    }
}
