// SPDX-License-Identifier: GPL-2.0
//! CPUs that come and go.

mod common;

use common::*;
use std::sync::atomic::{AtomicU32, Ordering::*};
use xcall::{CpuId, Error, Lane};
use xcall_host::act_as;

#[test]
fn draining_keeps_a_closed_mailbox_closed() {
    let engine = machine(config(2), polled);
    open(&engine, [0, 1]);
    let f = leak(|| {});
    act_as(&engine, CpuId(1), |_| {
        engine.close();
        assert_eq!(engine.answer(&Lane::ALL), 0);
        assert!(!engine.is_online(CpuId(1)));
    });
    for lane in Lane::ALL {
        let result = act_as(&engine, CpuId(0), |_| engine.post(CpuId(1), work(lane, f)));
        assert_eq!(result, Err(Error::Offline));
    }
    act_as(&engine, CpuId(1), |_| {
        assert_eq!(engine.answer(&Lane::ALL), 0);
    });
    assert_balanced(&engine);
}

#[test]
fn closing_runs_what_was_sent_before() {
    let engine = machine(config(2), mute);
    open(&engine, [0, 1]);
    let runs = leak(AtomicU32::new(0));
    let f = leak(|| {
        runs.fetch_add(1, Relaxed);
    });
    act_as(&engine, CpuId(0), |_| {
        for lane in Lane::ALL {
            engine.post(CpuId(1), work(lane, f)).unwrap();
        }
    });
    act_as(&engine, CpuId(1), |_| engine.close());
    assert_eq!(runs.load(Relaxed), 2);
}

/// A sender that found the mailbox closed left its mark in the summary and did not ring. The first
/// sender after the opening must ring.
#[test]
fn the_first_call_after_opening_rings() {
    let engine = machine(ring_once(2), mute);
    open(&engine, [0, 1]);
    let f = leak(|| {});
    act_as(&engine, CpuId(1), |_| engine.close());
    let post = || act_as(&engine, CpuId(0), |_| engine.post(CpuId(1), nmi_safe(f)));
    assert_eq!(post(), Err(Error::Offline));
    act_as(&engine, CpuId(1), |_| engine.open());
    assert_eq!(post(), Ok(()));
    let stats = engine.total_stats();
    assert_eq!((stats.rings, stats.rings_saved), (1, 0));
}

/// A waiting call whose target goes offline is not waited for to the deadline: the re-ring sees it.
#[test]
fn a_closed_cpu_can_still_call() {
    let engine = machine(config(2), signal);
    let runs = AtomicU32::new(0);
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(1) {
            engine.close();
            let f = || {
                runs.fetch_add(1, Relaxed);
            };
            engine.call(CpuId(0), nmi_safe(&f)).unwrap();
            engine.call(CpuId(1), nmi_safe(&f)).unwrap();
        }
    });
    assert_eq!(runs.load(Relaxed), 2);
}

/// One CPU comes and goes while the others call it and each other.
#[test]
fn opening_and_closing_against_traffic() {
    const CPUS: u32 = 4;
    for ladder in ALL_LADDERS {
        let engine = machine(config(CPUS), ladder);
        let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
        let offline = AtomicU32::new(0);
        let callers = AtomicU32::new(CPUS - 1);
        crowd(&engine, CPUS, |cpu| {
            let me = cpu.id();
            if me.0 == CPUS - 1 {
                wait_until("the callers", Some(cpu), || {
                    engine.close();
                    assert!(!engine.is_online(me));
                    std::thread::yield_now();
                    engine.open();
                    std::thread::yield_now();
                    callers.load(Relaxed) == 0 && offline.load(Relaxed) != 0
                });
                return;
            }
            let mut round = 0;
            while round < 200 || offline.load(Relaxed) == 0 {
                round += 1;
                let f = || ran.ran(me);
                let target = CpuId((me.0 + round) % CPUS);
                match engine.call(target, nmi_safe(&f)) {
                    Ok(()) => owed.add(me, target, 1),
                    Err(Error::Offline) => {
                        assert_eq!(target.0, CPUS - 1);
                        offline.fetch_add(1, Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
                let reached = engine.call_all(nmi_safe(&|| {})).unwrap();
                assert!(reached.ran == CPUS || reached.ran == CPUS - 1);
            }
            callers.fetch_sub(1, Relaxed);
        });
        assert_same(&ran, &owed);
        assert_balanced(&engine);
    }
}
