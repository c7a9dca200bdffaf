// SPDX-License-Identifier: GPL-2.0
//! Interruptions at the worst place: a send inside a send, a drain inside a drain.

mod common;

use common::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use xcall::{CpuId, Doorbell, Lane};
use xcall_host::{act_as, with_played, Bell, HostEngine, Signal};

/// An NMI comes between a send's publish and its ring, and calls the same target. It finds a ring
/// due that cannot come before it returns: it must ring itself.
#[test]
fn a_send_inside_a_send_rings() {
    let rings = leak(AtomicU32::new(0));
    let inner_runs = leak(AtomicU32::new(0));
    let engine = machine(ring_once(2), |cpus| {
        let signal = Signal::new(cpus);
        vec![Scripted::bell(move |here, targets| {
            if rings.fetch_add(1, Relaxed) == 0 {
                with_played(|cpu| {
                    let cpu = cpu.expect("a CPU rings");
                    let f = || {
                        inner_runs.fetch_add(1, Relaxed);
                    };
                    cpu.nmi(|| cpu.engine().call(CpuId(1), nmi_safe(&f)))
                        .expect("the nested call rings for itself");
                });
            }
            signal.ring(here, targets);
        })]
    });
    let outer_runs = AtomicU32::new(0);
    let finished = AtomicBool::new(false);
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(0) {
            let f = || {
                outer_runs.fetch_add(1, Relaxed);
            };
            engine.call(CpuId(1), nmi_safe(&f)).unwrap();
            finished.store(true, Release);
        } else {
            wait_until("the caller", None, || finished.load(Acquire));
        }
    });
    assert_eq!(inner_runs.load(Relaxed), 1);
    assert_eq!(outer_runs.load(Relaxed), 1);
    assert_eq!(rings.load(Relaxed), 2);
    assert_eq!(engine.total_stats().rerings, 0);
}

/// Outside of that, a second ring is saved.
#[test]
fn a_ring_that_is_due_is_not_rung_twice() {
    let engine = machine(ring_once(2), mute);
    open(&engine, [0, 1]);
    let f = leak(|| {});
    act_as(&engine, CpuId(0), |_| {
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
    });
    let stats = engine.total_stats();
    assert_eq!((stats.rings, stats.rings_saved), (1, 1));
    act_as(&engine, CpuId(1), |_| {
        assert_eq!(engine.answer(&[Lane::NmiSafe]), 2);
    });
    act_as(&engine, CpuId(0), |_| {
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
    });
    assert_eq!(engine.total_stats().rings, 2, "answered: no ring is due");
}

/// A stronger doorbell is rung although a weaker one is due; a weaker one is saved if a stronger is.
#[test]
fn a_ring_is_saved_only_if_one_as_strong_is_due() {
    let engine = machine(ring_once(2), |_| {
        let weak = Scripted::bell(|_: &xcall::Here, _: xcall::CpuSet<'_>| {});
        let strong = Bell::new(Scripted {
            name: "strong",
            lanes: &Lane::ALL,
            from_nmi: true,
            ring: |_: &xcall::Here, _: xcall::CpuSet<'_>| {},
        });
        vec![weak, strong]
    });
    open(&engine, [0, 1]);
    let f = leak(|| {});
    let rings = || {
        let stats = engine.total_stats();
        (stats.rings, stats.rings_saved)
    };
    act_as(&engine, CpuId(0), |_| {
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
        assert_eq!(rings(), (1, 0));
        engine.allow_doorbells(Lane::NmiSafe, |bell| bell.name() == "strong");
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
        assert_eq!(rings(), (2, 0));
        engine.allow_doorbells(Lane::NmiSafe, |bell| bell.name() != "strong");
        engine.post(CpuId(1), nmi_safe(f)).unwrap();
        assert_eq!(rings(), (2, 1));
    });
}

/// Two posted calls wait in different words. The first one's function is interrupted by an NMI: its
/// drain must find the second, though the interrupted drain has cleared the summary already.
#[test]
fn a_drain_inside_a_drain_looks_into_every_word() {
    // 8 senders share a word; above 448 CPUs words share a word of the summary.
    for cpus in [16, 4096] {
        let engine = machine(ring_once(cpus), mute);
        open(&engine, [0, 1, 8]);
        let inner = leak(AtomicU32::new(0));
        let first = leak(move || {
            let ran = with_played(|cpu| {
                let cpu = cpu.unwrap();
                cpu.nmi(|| cpu.engine().answer(&[Lane::NmiSafe]))
            });
            inner.fetch_add(ran, Relaxed);
        });
        act_as(&engine, CpuId(0), |_| {
            engine.post(CpuId(1), nmi_safe(first)).unwrap();
        });
        act_as(&engine, CpuId(8), |_| {
            engine.post(CpuId(1), nmi_safe(leak(|| {}))).unwrap();
        });
        let outer = act_as(&engine, CpuId(1), |_| engine.answer(&[Lane::NmiSafe]));
        assert_eq!((outer, inner.load(Relaxed)), (1, 1), "{cpus} CPUs");
        assert_balanced(&engine);
    }
}

/// As above, with a waiting call in place of the NMI: its target waits for the second call.
#[test]
fn a_wait_inside_a_drain_looks_into_every_word() {
    let engine = machine(ring_once(16), signal);
    open(&engine, [1, 8]);
    let second_ran = leak(AtomicBool::new(false));
    let in_time = leak(AtomicBool::new(false));
    let finished = AtomicBool::new(false);
    let first = leak(move || {
        let awaits_second = || {
            if spin_until(|| second_ran.load(Acquire)) {
                in_time.store(true, Relaxed);
            }
        };
        with_played(|cpu| {
            let engine: &HostEngine = cpu.unwrap().engine();
            engine.call(CpuId(2), nmi_safe(&awaits_second)).unwrap();
        });
    });
    let second = leak(|| second_ran.store(true, Release));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            act_as(&engine, CpuId(2), |_| {
                engine.open();
                wait_until("the others", None, || finished.load(Acquire));
            });
        });
        wait_until("CPU2", None, || engine.is_online(CpuId(2)));
        act_as(&engine, CpuId(0), |_| {
            engine.post(CpuId(1), nmi_safe(first)).unwrap();
        });
        act_as(&engine, CpuId(8), |_| {
            engine.post(CpuId(1), nmi_safe(second)).unwrap();
        });
        act_as(&engine, CpuId(1), |_| engine.answer(&[Lane::NmiSafe]));
        finished.store(true, Release);
    });
    assert!(in_time.load(Relaxed));
    assert_balanced(&engine);
}

/// Two CPUs with interrupts off call each other and neither can take a doorbell: each runs the
/// other's call while it waits for its own.
#[test]
fn a_waiter_answers_its_own_mailbox() {
    let engine = machine(ring_once(2), mute);
    let runs = AtomicU32::new(0);
    crowd(&engine, 2, |cpu| {
        let f = || {
            runs.fetch_add(1, Relaxed);
        };
        let other = CpuId(1 - cpu.id().0);
        cpu.irqs_off(|| engine.call(other, nmi_safe(&f))).unwrap();
        cpu.nmi(|| engine.call(other, nmi_safe(&f))).unwrap();
        // The other may be behind; from here on there is no waiter to run its calls.
        wait_until("the other's calls", None, || {
            engine.answer(&[Lane::NmiSafe]);
            runs.load(Relaxed) == 4
        });
    });
    assert_eq!(runs.load(Relaxed), 4);
    assert_balanced(&engine);
}
