// SPDX-License-Identifier: GPL-2.0
//! The self-test: it passes on a sound machine, and each fault shows in its own line.

mod common;

use common::*;
use std::sync::atomic::{AtomicU64, Ordering::*};
use xcall::selftest::{Failure, Outcome, SelfTest, Trial};
use xcall::{CpuId, Lane};

const CPUS: u32 = 3;

/// Runs it on CPU 0 of a machine with those doorbells.
fn run(
    ladder: Bells,
    heard_within_ns: u64,
    heard: impl Fn(CpuId, usize) -> Option<u64> + Sync,
) -> Vec<(Trial, Outcome)> {
    let engine = machine(config(CPUS), ladder);
    let test = leak(SelfTest::new(PATIENCE_NS, heard_within_ns));
    let trials = std::sync::Mutex::new(Vec::new());
    crowd(&engine, CPUS, |cpu| {
        if cpu.id() == CpuId(0) {
            test.run(&engine, &heard, |trial, outcome| {
                trials.lock().unwrap().push((trial, outcome));
            });
        }
    });
    assert_balanced(&engine);
    trials.into_inner().unwrap()
}

/// Handlers that are heard whatever happens.
fn always() -> impl Fn(CpuId, usize) -> Option<u64> {
    let count = AtomicU64::new(0);
    move |_, _| Some(count.fetch_add(1, Relaxed))
}

#[test]
fn a_sound_machine_passes() {
    for ladder in ALL_LADDERS {
        let trials = run(ladder, PATIENCE_NS, always());
        let outcome = |wanted: Trial| {
            let found = trials.iter().find(|(trial, _)| *trial == wanted);
            found.map(|(_, outcome)| *outcome)
        };
        assert!(trials.iter().all(|(_, o)| o.is_ok()), "{trials:?}");
        assert_eq!(outcome(Trial::Own), Some(Ok(2)));
        for lane in Lane::ALL {
            assert_eq!(outcome(Trial::Broadcast(lane)), Some(Ok(CPUS)));
        }
        assert_eq!(outcome(Trial::IrqsOff), Some(Ok(CPUS - 1)));
        assert_eq!(outcome(Trial::Refusal), Some(Ok(0)));
        assert_eq!(outcome(Trial::Post), Some(Ok(2 * CPUS)));
    }
}

#[test]
fn each_doorbell_is_tried_in_the_lanes_it_serves() {
    let trials = run(signal_and_masked, PATIENCE_NS, always());
    let through: Vec<_> = trials
        .into_iter()
        .filter(|(trial, _)| matches!(trial, Trial::Through(..)))
        .collect();
    assert_eq!(
        through,
        [
            (Trial::Through("signal", Lane::NmiSafe), Ok(CPUS - 1)),
            (Trial::Through("masked-signal", Lane::NmiSafe), Ok(CPUS - 1)),
            (
                Trial::Through("masked-signal", Lane::Ordinary),
                Ok(CPUS - 1)
            ),
        ]
    );
}

#[test]
fn a_doorbell_that_is_left_out_is_not_tried() {
    let trials = run(signal_and_masked, PATIENCE_NS, |_, number| {
        (number == 1).then(monotonic)
    });
    assert!(!trials
        .iter()
        .any(|(trial, _)| matches!(trial, Trial::Through("signal", _))));
}

fn monotonic() -> u64 {
    xcall_host::monotonic_ns()
}

/// The calls run, because a waiter or the target's own poll answers them: the doorbell did nothing.
#[test]
fn a_doorbell_that_is_not_heard_fails() {
    let trials = run(polled, 10_000_000, |_, _| Some(7));
    let outcome = trials[1];
    assert_eq!(outcome.0, Trial::Through("polled", Lane::NmiSafe));
    assert_eq!(outcome.1, Err(Failure::Unheard(CpuId(1))));
    assert_eq!(
        Failure::Unheard(CpuId(1)).to_string(),
        "CPU1 ran the call, but did not hear the doorbell"
    );
}

/// Nobody hears, nobody polls: every trial that needs another CPU says which.
#[test]
fn a_dead_machine_names_the_silent() {
    let engine = machine(config(CPUS), mute);
    open(&engine, [0, 1]);
    let test = leak(SelfTest::new(20_000_000, 0));
    let mut trials = Vec::new();
    xcall_host::act_as(&engine, CpuId(0), |_| {
        test.run(&engine, always(), |trial, outcome| {
            trials.push((trial, outcome))
        });
    });
    for (trial, outcome) in &trials {
        match (trial, outcome) {
            (Trial::Own | Trial::Refusal, Ok(_)) => {}
            (
                Trial::Through(..) | Trial::IrqsOff | Trial::Broadcast(_),
                Err(Failure::Silent { cpus, .. }),
            ) => assert_eq!(cpus.to_string(), "CPU1", "{trial}"),
            (Trial::Post, Err(Failure::Flush(_))) => {}
            _ => panic!("{trial}: {outcome:?}"),
        }
    }
    assert_eq!(trials.len(), 8, "{trials:?}");
}

#[test]
fn one_run_at_a_time() {
    let engine = machine(config(1), mute);
    open(&engine, [0]);
    let test = leak(SelfTest::new(1_000_000, 0));
    let mut inner = Vec::new();
    xcall_host::act_as(&engine, CpuId(0), |_| {
        test.run(&engine, always(), |_, outcome| {
            assert!(outcome.is_ok());
            test.run(&engine, always(), |_, o| inner.push(o));
        });
    });
    assert!(!inner.is_empty());
    assert!(inner.iter().all(|o| *o == Err(Failure::Running)));
}

#[test]
fn lines_are_aligned() {
    let through = Trial::Through("event-channel", Lane::NmiSafe);
    assert_eq!(format!("{through:<26}|"), "event-channel, NMI-safe   |");
    assert_eq!(
        format!("{:<26}|", Trial::Post),
        "post and flush            |"
    );
}
