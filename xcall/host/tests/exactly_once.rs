// SPDX-License-Identifier: GPL-2.0
//! A call that returns Ok has run exactly once on every target; nothing runs besides.

mod common;

use common::*;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::sync::Arc;
use xcall::{CpuId, CpuSet, CpuSetMut, Error, Lane};
use xcall_host::{
    current_cpu, in_nmi, irqs_on, Bell, Cpus, Faults, Faulty, MaskedSignal, Polled, Signal,
};

const CPUS: u32 = 4;
const ROUNDS: u32 = 100;

#[test]
fn calls_between_all_pairs() {
    for ladder in ALL_LADDERS {
        let engine = machine(config(CPUS), ladder);
        let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
        crowd(&engine, CPUS, |cpu| {
            let me = cpu.id();
            for round in 0..ROUNDS {
                let target = CpuId((me.0 + round) % CPUS);
                for lane in Lane::ALL {
                    let before = ran.get(me.0, target.0);
                    let f = || ran.ran(me);
                    engine.call(target, work(lane, &f)).unwrap();
                    owed.add(me, target, 1);
                    assert_eq!(ran.get(me.0, target.0), before + 1, "done on return");
                }
            }
        });
        assert_same(&ran, &owed);
        assert_balanced(&engine);
    }
}

#[test]
fn callers_with_interrupts_off_and_a_maskable_doorbell() {
    let engine = machine(config(CPUS), masked);
    let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
    crowd(&engine, CPUS, |cpu| {
        let me = cpu.id();
        for round in 0..ROUNDS {
            let target = CpuId((me.0 + 1 + round % (CPUS - 1)) % CPUS);
            cpu.irqs_off(|| {
                let f = || ran.ran(me);
                engine.call(target, nmi_safe(&f)).unwrap();
                owed.add(me, target, 1);
                assert!(!irqs_on(), "the caller's interrupts stay off");
            });
            assert!(irqs_on());
        }
    });
    assert_same(&ran, &owed);
    assert_balanced(&engine);
}

#[test]
fn broadcasts() {
    for ladder in ALL_LADDERS {
        let engine = machine(config(CPUS), ladder);
        let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
        crowd(&engine, CPUS, |cpu| {
            let me = cpu.id();
            for round in 0..ROUNDS {
                let f = || ran.ran(me);
                let work = work(Lane::ALL[round as usize % 2], &f);
                // 0 to 15: every set of the four, with and without the caller.
                let targets = [u64::from(round % 16), 0];
                let mut missed = [0; 2];
                let reached = if round % 16 == 15 {
                    engine.call_all(work)
                } else {
                    let missed = CpuSetMut::new(&mut missed);
                    engine.call_many(CpuSet::new(&targets), work, Some(missed))
                };
                assert_eq!(reached.unwrap().ran, targets[0].count_ones());
                assert_eq!(missed, [0; 2]);
                for target in CpuSet::new(&targets).iter() {
                    owed.add(me, target, 1);
                }
            }
        });
        assert_same(&ran, &owed);
        assert_balanced(&engine);
    }
}

#[test]
fn calls_to_oneself_from_every_context() {
    let engine = machine(config(1), mute);
    crowd(&engine, 1, |cpu| {
        let me = cpu.id();
        let runs = AtomicU32::new(0);
        let f = || {
            assert_eq!(current_cpu(), Some(me));
            assert!(!irqs_on(), "functions run with interrupts off");
            runs.fetch_add(1, Relaxed);
        };
        engine.call(me, nmi_safe(&f)).unwrap();
        engine.call(me, work(Lane::Ordinary, &f)).unwrap();
        assert!(irqs_on());
        cpu.irqs_off(|| {
            engine.call(me, nmi_safe(&f)).unwrap();
            assert!(!irqs_on());
        });
        cpu.softirq(|| engine.call(me, work(Lane::Ordinary, &f)))
            .unwrap();
        cpu.irq(|| engine.call(me, nmi_safe(&f))).unwrap();
        cpu.nmi(|| engine.call(me, nmi_safe(&f))).unwrap();
        let within = || engine.call(me, nmi_safe(&f)).unwrap();
        engine.call(me, nmi_safe(&within)).unwrap();
        assert_eq!(runs.load(Relaxed), 7);
        assert_eq!(engine.call_all(nmi_safe(&f)).unwrap().ran, 1);
    });
    let stats = engine.total_stats();
    assert_eq!((stats.made, stats.run, stats.rings), (9, 9, 0));
}

/// Each function calls on, until it has come round.
#[test]
fn calls_from_called_functions() {
    for ladder in ALL_LADDERS {
        let engine = machine(config(CPUS), ladder);
        let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
        let busy = AtomicU64::new(0);
        let call = |target: CpuId, f: &(dyn Fn() + Sync)| {
            let me = current_cpu().unwrap();
            let counted = || {
                ran.ran(me);
                f();
            };
            match engine.call(target, nmi_safe(&counted)) {
                Ok(()) => owed.add(me, target, 1),
                Err(Error::Busy) => {
                    busy.fetch_add(1, Relaxed);
                }
                Err(error) => panic!("{error}"),
            }
        };
        let next = |n| CpuId((current_cpu().unwrap().0 + n) % CPUS);
        crowd(&engine, CPUS, |_| {
            for _ in 0..ROUNDS / 4 {
                call(next(1), &|| call(next(2), &|| call(next(3), &|| {})));
            }
        });
        assert_same(&ran, &owed);
        assert_balanced(&engine);
        let stats = engine.total_stats();
        assert_eq!(stats.busy, busy.load(Relaxed));
        assert!(stats.deepest >= 2, "{stats:?}");
    }
}

/// A called function that runs in a signal handler, on top of anything, calls all others.
#[test]
fn calls_from_signal_handlers() {
    let engine = machine(config(CPUS), signal);
    let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
    let from_nmi = AtomicU64::new(0);
    crowd(&engine, CPUS, |cpu| {
        let me = cpu.id();
        let onward = || {
            ran.ran(me);
            if !in_nmi() {
                return;
            }
            let here = current_cpu().unwrap();
            let f = || ran.ran(here);
            for target in (0..CPUS).map(CpuId) {
                match engine.call(target, nmi_safe(&f)) {
                    Ok(()) => owed.add(here, target, 1),
                    Err(Error::Busy) => {}
                    Err(error) => panic!("{error}"),
                }
                from_nmi.fetch_add(1, Relaxed);
            }
        };
        let mut round = 0;
        while round < ROUNDS || from_nmi.load(Relaxed) == 0 {
            round += 1;
            let target = CpuId((me.0 + 1 + round % (CPUS - 1)) % CPUS);
            engine.call(target, nmi_safe(&onward)).unwrap();
            owed.add(me, target, 1);
            // Not waiting for a call: whoever calls us finds us by signal only.
            for _ in 0..2000 {
                std::hint::spin_loop();
            }
        }
    });
    assert_same(&ran, &owed);
    assert_balanced(&engine);
}

/// A third of the rings never come: every call runs all the same, because it is rung for again.
#[test]
fn rings_that_get_lost() {
    faults(Faults {
        drop: 30,
        ..Faults::default()
    });
}

#[test]
fn rings_that_come_late() {
    faults(Faults {
        delay: 30,
        ..Faults::default()
    });
}

#[test]
fn rings_that_come_twice() {
    faults(Faults {
        duplicate: 50,
        ..Faults::default()
    });
}

#[test]
fn rings_that_do_all_of_it() {
    faults(Faults {
        drop: 20,
        delay: 20,
        duplicate: 20,
    });
}

fn faults(faults: Faults) {
    let cpus = Cpus::new(CPUS);
    let signal = Arc::new(Faulty::new(Signal::new(&cpus), faults, 1));
    let masked = Arc::new(Faulty::new(MaskedSignal::new(&cpus), faults, 2));
    let polled = Arc::new(Faulty::new(Polled::new(&cpus), faults, 3));
    let of = |n: usize| match n {
        0 => Bell::shared(&signal),
        1 => Bell::shared(&masked),
        _ => Bell::shared(&polled),
    };
    for n in 0..3 {
        let engine = xcall_host::engine(&cpus, config(CPUS), [of(n)]).unwrap();
        let (ran, owed) = (Pairs::new(CPUS), Pairs::new(CPUS));
        crowd(&engine, CPUS, |cpu| {
            let me = cpu.id();
            for round in 0..ROUNDS {
                let f = || ran.ran(me);
                let target = CpuId((me.0 + 1 + round % (CPUS - 1)) % CPUS);
                engine.call(target, nmi_safe(&f)).unwrap();
                owed.add(me, target, 1);
                // Let the others find us not waiting: that is when a ring matters.
                for _ in 0..500 {
                    std::hint::spin_loop();
                }
            }
        });
        assert_same(&ran, &owed);
        assert_balanced(&engine);
        let stats = engine.total_stats();
        assert!(stats.rerings <= stats.rings, "{stats:?}");
        assert_eq!(stats.timeouts, 0, "{stats:?}");
    }
    for (hit, asked) in [
        (signal.dropped() + masked.dropped(), faults.drop),
        (signal.delayed() + masked.delayed(), faults.delay),
        (signal.duplicated() + masked.duplicated(), faults.duplicate),
    ] {
        assert_eq!(hit != 0, asked != 0, "{faults:?}");
    }
}

/// Every ring but each third is lost, and the target never polls on its own: each call that no
/// ring reached is rung for again, and that is counted.
#[test]
fn a_lost_ring_is_rung_again_and_counted() {
    let heard = leak(AtomicU64::new(0));
    let engine = machine(config(2), |cpus| {
        let inner = Signal::new(cpus);
        vec![Scripted::bell(move |here, targets| {
            if heard.fetch_add(1, Relaxed) % 3 == 2 {
                xcall::Doorbell::ring(&inner, here, targets);
            }
        })]
    });
    let runs = AtomicU64::new(0);
    let finished = AtomicU64::new(0);
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(1) {
            wait_until("the caller", None, || finished.load(Acquire) == 1);
            return;
        }
        for _ in 0..5 {
            let f = || {
                runs.fetch_add(1, Relaxed);
            };
            engine.call(CpuId(1), nmi_safe(&f)).unwrap();
        }
        finished.store(1, Release);
    });
    let stats = engine.total_stats();
    assert_eq!(runs.load(Relaxed), 5);
    assert!(stats.rerings >= 10, "two lost rings a call: {stats:?}");
    assert_eq!(stats.rings, heard.load(Relaxed));
    assert_balanced(&engine);
}
