// SPDX-License-Identifier: GPL-2.0
//! Timeouts: the CPUs named did not and will not run the call, the others did.

mod common;

use common::*;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*};
use xcall::{Config, CpuId, CpuSet, CpuSetMut, Doorbell, Error, Lane, Timeout};
use xcall_host::{act_as, with_played, Bell, Polled, Signal};

const SHORT_NS: u64 = 20_000_000;

fn timeout<T: std::fmt::Debug>(result: Result<T, Error>) -> Timeout {
    match result {
        Err(Error::Timeout(timeout)) => timeout,
        other => panic!("no timeout: {other:?}"),
    }
}

#[test]
fn a_silent_target_is_named_and_never_runs_the_call() {
    // CPU1 is played by nobody: no signal reaches it.
    let engine = machine(config(2), |cpus| {
        vec![Bell::new(Polled::new(cpus)), Bell::new(Signal::new(cpus))]
    });
    open(&engine, [0, 1]);
    let runs = AtomicU32::new(0);
    let f = || {
        runs.fetch_add(1, Relaxed);
    };
    let mut calls = 0;
    // On a busy machine a wait may end before it was time to ring again.
    while engine.total_stats().escalations == 0 {
        act_as(&engine, CpuId(0), |_| {
            let work = nmi_safe(&f).within_ns(SHORT_NS);
            let timeout = timeout(engine.call(CpuId(1), work));
            assert_eq!(timeout.silent.to_string(), "CPU1");
            assert_eq!(timeout.silent.count(), 1);
            assert_eq!(timeout.caller, CpuId(0));
            assert!(timeout.age_ns >= SHORT_NS);
            let climbed = engine.total_stats().escalations != 0;
            let last = if climbed { "signal" } else { "polled" };
            assert_eq!(timeout.last_doorbell, last);
            assert_ne!(timeout.function, 0);
            assert_eq!(timeout.reached.ran, 0);
        });
        calls += 1;
    }
    let stats = engine.total_stats();
    assert_eq!((stats.made, stats.run, stats.withdrawn), (calls, 0, calls));
    assert_eq!((stats.timeouts, stats.escalations), (calls, 1));
    assert!(stats.rerings >= 1, "{stats:?}");
    act_as(&engine, CpuId(1), |cpu| {
        assert_eq!(cpu.poll(), 0, "it hears the ring and finds nothing");
        assert_eq!(engine.answer(&Lane::ALL), 0);
        engine.close();
        engine.open();
    });
    assert_eq!(runs.load(Relaxed), 0);
    act_as(&engine, CpuId(0), |_| {
        // The slot is free again, and the mailbox in order.
        let again = nmi_safe(&f).within_ns(SHORT_NS);
        timeout(engine.call(CpuId(1), again));
    });
}

#[test]
fn a_broadcast_says_whom_it_reached() {
    let engine = machine(config(8), polled);
    open(&engine, [2, 3]);
    let runs = Pairs::new(8);
    crowd(&engine, 2, |cpu| {
        if cpu.id() != CpuId(0) {
            return;
        }
        let f = || runs.ran(CpuId(0));
        let wanted = set([0, 1, 2, 3, 5, 9, 70]);
        let mut missed = set([]);
        let timeout = timeout(engine.call_many(
            CpuSet::new(&wanted),
            nmi_safe(&f).within_ns(SHORT_NS),
            Some(CpuSetMut::new(&mut missed)),
        ));
        assert_eq!(timeout.silent.to_string(), "CPU2,CPU3");
        assert_eq!(timeout.reached.ran, 2);
        assert_eq!(timeout.reached.offline.to_string(), "CPU5,CPU9,CPU70");
        assert_eq!(members(&missed), [2, 3, 5, 9, 70]);
    });
    for id in [2, 3] {
        let ran = act_as(&engine, CpuId(id), |_| engine.answer(&Lane::ALL));
        assert_eq!(ran, 0);
    }
    assert_eq!((runs.get(0, 0), runs.get(0, 1), runs.total()), (1, 1, 2));
    assert_balanced(&engine);
}

#[test]
fn a_crowd_of_silent_targets_is_counted() {
    let engine = machine(config(16), mute);
    open(&engine, 0..16);
    act_as(&engine, CpuId(0), |_| {
        let timeout = timeout(engine.call_all(nmi_safe(&|| {}).within_ns(SHORT_NS)));
        assert_eq!(timeout.silent.count(), 15);
        assert_eq!(
            timeout.silent.to_string(),
            "CPU1,CPU2,CPU3,CPU4,CPU5,CPU6,CPU7,CPU8 and 7 more"
        );
    });
    assert_eq!(engine.total_stats().withdrawn, 15);
}

/// Started before the deadline, done after it: the caller stays, its argument is in use.
#[test]
fn a_call_that_has_started_is_waited_for() {
    let engine = machine(config(2), signal);
    crowd(&engine, 2, |cpu| {
        let (started, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let age = AtomicU64::new(0);
        let f = || {
            let begun_ns = xcall_host::monotonic_ns();
            started.store(true, Relaxed);
            while age.load(Relaxed) < 3 * SHORT_NS {
                age.store(xcall_host::monotonic_ns() - begun_ns, Relaxed);
                std::thread::yield_now();
            }
            ended.store(true, Relaxed);
        };
        if cpu.id() == CpuId(0) {
            let result = engine.call(CpuId(1), nmi_safe(&f).within_ns(SHORT_NS));
            match result {
                Ok(()) => assert!(ended.load(Relaxed)),
                // A loaded machine: it had not even started.
                Err(_) => assert!(!started.load(Relaxed)),
            }
        }
    });
    assert_balanced(&engine);
}

/// Two calls wait in one word of the target's mailbox. While the first runs, the second's caller
/// takes it back: it has not started.
#[test]
fn a_call_beside_a_running_one_can_be_withdrawn() {
    let engine = machine(config(3), polled);
    let sent = |cpu| {
        let stats = engine.stats(CpuId(cpu)).unwrap();
        stats.rings + stats.rings_saved > 0
    };
    let (over, wrong) = (AtomicBool::new(false), AtomicU32::new(0));
    let gave_up = AtomicBool::new(false);
    crowd(&engine, 3, |cpu| match cpu.id().0 {
        0 => {
            // Not polling until both are there.
            wait_until("both calls", None, || sent(1) && sent(2));
        }
        1 => {
            let hold = || {
                if !spin_until(|| over.load(Acquire)) {
                    gave_up.store(true, Relaxed);
                }
            };
            engine.call(CpuId(0), nmi_safe(&hold)).unwrap();
        }
        _ => {
            wait_until("the first call", None, || sent(1));
            let f = || {
                wrong.fetch_add(1, Relaxed);
            };
            let result = engine.call(CpuId(0), nmi_safe(&f).within_ns(10 * SHORT_NS));
            over.store(true, Release);
            timeout(result);
        }
    });
    assert!(!gave_up.load(Relaxed), "not withdrawn while the other ran");
    assert_eq!(wrong.load(Relaxed), 0);
    assert_balanced(&engine);
}

/// A call made by a function that a waiter runs ends no later than the waiter's own.
#[test]
fn a_nested_wait_ends_with_the_outer_one() {
    let engine = machine(config(2), mute);
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |cpu| {
        let inner_age_ns = leak(AtomicU64::new(0));
        let engine_address = std::ptr::from_ref(&engine) as usize;
        let inner = leak(move || {
            // SAFETY: the engine outlives the posted call: it has run before this test ends.
            let engine = unsafe { &*(engine_address as *const xcall_host::HostEngine) };
            let work = nmi_safe(&|| {}).within_ns(PATIENCE_NS);
            let timeout = timeout(engine.call(CpuId(1), work));
            inner_age_ns.store(timeout.age_ns, Relaxed);
        });
        // Posted to ourselves from where it cannot run at once.
        cpu.irqs_off(|| engine.post(CpuId(0), work(Lane::Ordinary, inner)))
            .unwrap();
        let outer = timeout(engine.call(CpuId(1), nmi_safe(&|| {}).within_ns(SHORT_NS)));
        let inner_age_ns = inner_age_ns.load(Relaxed);
        assert_ne!(inner_age_ns, 0, "the function ran within the outer wait");
        assert!(inner_age_ns <= outer.age_ns);
        let least_ns = 16 * engine.config().ring_again_ns;
        assert!(least_ns > SHORT_NS, "more than is left of the outer wait");
        assert!(inner_age_ns >= least_ns, "it has time for some rings");
    });
    assert_balanced(&engine);
}

/// A wait in an NMI takes nothing over from the one it interrupted.
#[test]
fn an_nmi_has_a_limit_of_its_own() {
    const LIMIT_NS: u64 = 5 * SHORT_NS;
    let inner_age_ns = leak(AtomicU64::new(0));
    let armed = leak(AtomicBool::new(true));
    let engine = machine(config(2), |_| {
        vec![Scripted::bell(move |_, _| {
            if armed.swap(false, Relaxed) {
                with_played(|cpu| {
                    let cpu = cpu.expect("a CPU rings");
                    let work = nmi_safe(&|| {}).within_ns(LIMIT_NS);
                    let timeout = timeout(cpu.nmi(|| cpu.engine().call(CpuId(1), work)));
                    inner_age_ns.store(timeout.age_ns, Relaxed);
                });
            }
        })]
    });
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |_| {
        timeout(engine.call(CpuId(1), nmi_safe(&|| {}).within_ns(SHORT_NS)));
    });
    let inner_age_ns = inner_age_ns.load(Relaxed);
    assert!(inner_age_ns >= LIMIT_NS, "{inner_age_ns}");
}

/// The target has started the call, so the caller stays, past its deadline. What it runs meanwhile has
/// time limits of its own.
#[test]
fn a_wait_past_its_deadline_hurries_nobody() {
    const LIMIT_NS: u64 = 5 * SHORT_NS;
    let engine = &machine(config(4), polled);
    // CPU3 is played by nobody.
    open(engine, [3]);
    let (started, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let inner_age_ns = AtomicU64::new(0);
    crowd(engine, 3, |cpu| match cpu.id().0 {
        0 => {
            let long = || {
                started.store(true, Release);
                wait_until("the other call", None, || over.load(Acquire));
            };
            engine
                .call(CpuId(1), nmi_safe(&long).within_ns(SHORT_NS))
                .expect("it had started");
        }
        2 => {
            wait_until("the start", Some(cpu), || started.load(Acquire));
            std::thread::sleep(std::time::Duration::from_nanos(2 * SHORT_NS));
            let inner = || {
                let work = nmi_safe(&|| {}).within_ns(LIMIT_NS);
                let timeout = timeout(engine.call(CpuId(3), work));
                inner_age_ns.store(timeout.age_ns, Relaxed);
            };
            let result = engine.call(CpuId(0), nmi_safe(&inner));
            over.store(true, Release);
            result.unwrap();
        }
        _ => {}
    });
    let inner_age_ns = inner_age_ns.load(Relaxed);
    assert!(inner_age_ns >= LIMIT_NS, "{inner_age_ns}");
}

/// A ring that was lost must not silence those who have no time to ring again.
#[test]
fn a_call_too_short_to_ring_again_saves_no_ring() {
    let engine = machine(config(2), mute);
    open(&engine, [0, 1]);
    let short_ns = engine.config().ring_again_ns / 2;
    act_as(&engine, CpuId(0), |_| {
        for _ in 0..3 {
            timeout(engine.call(CpuId(1), nmi_safe(&|| {}).within_ns(short_ns)));
        }
    });
    let stats = engine.total_stats();
    assert_eq!((stats.rings, stats.rings_saved), (3, 0));
}

/// Crash dumping waits a second for a CPU in an NMI; whatever limit a call asks for, it gets less.
#[test]
fn waits_in_an_nmi_are_short() {
    let limits = Config {
        nmi_deadline_ns: SHORT_NS,
        ..config(2)
    };
    let engine = machine(limits, mute);
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |cpu| {
        let work = nmi_safe(&|| {}).within_ns(PATIENCE_NS);
        let timeout = timeout(cpu.nmi(|| engine.call(CpuId(1), work)));
        assert!((SHORT_NS..PATIENCE_NS).contains(&timeout.age_ns));
    });
}

/// The lockup detectors watch CPUs; whatever limit a call asks for, it gets less.
#[test]
fn waits_end_before_a_lockup_is_seen() {
    let limits = Config {
        irqs_on_deadline_ns: 4 * SHORT_NS,
        irqs_off_deadline_ns: SHORT_NS,
        ..config(2)
    };
    let engine = machine(limits, mute);
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |cpu| {
        let call = |within_ns| {
            let work = nmi_safe(&|| {}).within_ns(within_ns);
            timeout(engine.call(CpuId(1), work)).age_ns
        };
        let off_ns = cpu.irqs_off(|| call(PATIENCE_NS));
        assert!((SHORT_NS..PATIENCE_NS).contains(&off_ns));
        let on_ns = call(PATIENCE_NS);
        assert!((4 * SHORT_NS..PATIENCE_NS).contains(&on_ns));
    });
}

#[test]
fn what_an_error_says() {
    let engine = machine(config(2), mute);
    open(&engine, [0, 1]);
    act_as(&engine, CpuId(0), |_| {
        let error = engine
            .call(CpuId(1), nmi_safe(&|| {}).within_ns(SHORT_NS))
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("CPU1 not started in "), "{text}");
        assert!(
            text.ends_with(" ms, last doorbell scripted, withdrawn"),
            "{text}"
        );
    });
}

/// How long calls took is kept by the doorbell they rang last.
#[test]
fn latency_by_the_doorbell_last_rung() {
    // Of a mute one and one that is heard: calls climb to the second.
    let bells = |cpus: &std::sync::Arc<xcall_host::Cpus>| {
        let mut bells = mute(cpus);
        bells.extend(signal(cpus));
        bells
    };
    let engine = machine(config(2), bells);
    crowd(&engine, 2, |cpu| {
        if cpu.id() == CpuId(0) {
            engine.call(CpuId(1), nmi_safe(&|| {})).unwrap();
            engine.call(CpuId(0), nmi_safe(&|| {})).unwrap();
        }
    });
    let calls = |cpu, number| engine.latency(CpuId(cpu), number).map(|h| h.calls());
    // The target polls: it may have answered before the call climbed.
    let climbed = engine.total_stats().escalations;
    assert!(climbed <= 1);
    assert_eq!(calls(0, 0), Some(1 - climbed));
    assert_eq!(calls(0, 1), Some(climbed));
    assert_eq!(calls(1, 0), Some(0));
    assert_eq!((calls(0, 2), calls(2, 0)), (None, None));
    assert_eq!(engine.total_stats().latency.calls(), 1, "own CPU: no wait");
}

/// A call through one doorbell rings that one only, allowed or not, and does not climb.
#[test]
fn a_call_through_one_doorbell() {
    let bells = |cpus: &std::sync::Arc<xcall_host::Cpus>| {
        let mut bells = mute(cpus);
        bells.extend(signal(cpus));
        bells
    };
    let engine = machine(config(2), bells);
    open(&engine, [0, 1]);
    let name_of = |number| {
        act_as(&engine, CpuId(0), |_| {
            let work = nmi_safe(&|| {}).within_ns(SHORT_NS).through(number);
            timeout(engine.call(CpuId(1), work)).last_doorbell
        })
    };
    // On a busy machine a wait may end before it was time to ring again.
    let mut calls = 0;
    while engine.total_stats().rerings == 0 {
        assert_eq!(name_of(0), "scripted");
        calls += 1;
    }
    assert_eq!(engine.total_stats().escalations, 0);
    engine.allow_doorbells(Lane::NmiSafe, |bell| bell.name() == "scripted");
    assert_eq!(name_of(1), "signal", "allowed or not");
    assert_eq!(engine.latency(CpuId(0), 0).unwrap().calls(), calls);
    assert_eq!(engine.latency(CpuId(0), 1).unwrap().calls(), 1);
    act_as(&engine, CpuId(0), |_| {
        for (lane, number) in [(Lane::Ordinary, 1), (Lane::NmiSafe, 2), (Lane::NmiSafe, 9)] {
            let result = engine.call(CpuId(1), work(lane, &|| {}).through(number));
            assert_eq!(result, Err(Error::NoDoorbell), "{lane:?} {number}");
        }
    });
}
