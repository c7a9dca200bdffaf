// SPDX-License-Identifier: GPL-2.0
//! Firings, from enabling to snapshot.

mod machine;

use dtrace_interface::action::ActionKind;
use dtrace_interface::aggregation::{Linear, LogLinear};
use dtrace_interface::fault;
use dtrace_interface::options::{BufferPolicy, OptionId};
use dtrace_provider::memory::host;
use dtrace_provider::{Activity, ConsumerId, Control, EcbCounts, Error, Fault, Snapshot};
use machine::*;

type Bytes = Vec<u8>;

fn snap(control: &mut Control<Bench>, consumer: ConsumerId, cpu: usize) -> (Snapshot, Bytes) {
    let mut bytes = Vec::new();
    let snapshot = control.snapshot(consumer, cpu, |taken| {
        bytes.extend_from_slice(taken);
        Ok(())
    });
    (snapshot.unwrap(), bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// EPID and first u64 of the records of `{ trace(arg0) }`, in the reader's order.
fn records(bytes: &[u8], oldest: usize) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    for (mut at, end) in [(oldest, bytes.len()), (0, oldest)] {
        while at + 4 <= end {
            match word(bytes, at) {
                0 => at += 4,
                epid => {
                    found.push((epid, long(bytes, at + 8)));
                    at += 16;
                }
            }
        }
    }
    found
}

fn fault(kind: fault::Fault) -> Fault {
    Fault {
        kind,
        offset: 5,
        value: 0xbad,
    }
}

#[test]
fn a_record_has_the_described_layout() {
    let (mut control, recorder) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let actions = [
        trace(integer(1, |_| Ok(0x11))),
        trace(argument(0)),
        trace(string("hello")),
        trace(integer(4, |_| Ok(0x4444_4444))),
        action(ActionKind::Stack, None),
    ];
    let enabled = control.enable(consumer, clause("test::a:entry", None, actions));
    assert_eq!(enabled, Ok(1));
    assert_eq!(recorder.take(), [("enable", 4)]);

    let probe = control.enabled_probe(consumer, 1).unwrap();
    assert_eq!(probe.probe, 4);
    let layout: Vec<_> = probe
        .clause
        .records()
        .map(|r| (r.offset, r.size, r.alignment))
        .collect();
    assert_eq!(
        layout,
        [
            (4, 1, 1),
            (8, 8, 8),
            (16, 256, 1),
            (272, 4, 4),
            (280, 160, 8)
        ]
    );
    assert_eq!(probe.clause.size(), 440);

    control.go(consumer).unwrap();
    on(1);
    control.framework().fire(4, &args(7));
    let (snapshot, bytes) = snap(&mut control, consumer, 1);
    assert_eq!(snapshot.size, 440);
    assert_eq!(word(&bytes, 0), 1);
    assert_eq!(bytes[4], 0x11);
    assert_eq!(long(&bytes, 8), 7);
    assert_eq!(&bytes[16..22], b"hello\0");
    assert_eq!(word(&bytes, 272), 0x4444_4444);
    assert_eq!(long(&bytes, 280), 0xffff_0000);
    assert_eq!(long(&bytes, 280 + 3 * 8), 0, "the stack ends");
    for cpu in [0, 2] {
        assert_eq!(snap(&mut control, consumer, cpu).0, Snapshot::default());
    }
    assert_eq!(snap(&mut control, consumer, 1).0, Snapshot::default());
    control.close(consumer);
    assert_eq!(recorder.take(), [("disable", 4)]);
    control.framework().fire(4, &args(7));
}

#[test]
fn each_firing_has_one_outcome() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .set_option(consumer, OptionId::BufferSize.raw(), 16 * 3)
        .unwrap();
    let predicate = integer(8, |args| match args[0] {
        0 => Ok(0),
        1 => Err(fault(fault::Fault::BadAddress)),
        _ => Ok(1),
    });
    let value = integer(8, |args| match args[0] {
        2 => Err(fault(fault::Fault::DivideByZero)),
        n => Ok(n),
    });
    let described = clause("test:::", Some(predicate), [trace(value)]);
    control.enable(consumer, described).unwrap();
    let framework = control.framework().clone();

    framework.fire(4, &args(9));
    control.go(consumer).unwrap();
    for n in [0, 1, 2, 3, 4, 5, 6, 7] {
        framework.fire(4, &args(n));
    }
    as_process(1);
    framework.fire(4, &args(3));
    as_process(100);
    let expected = EcbCounts {
        hits: 10,
        records: 3,
        drops: 2,
        predicate_false: 1,
        self_filtered: 1,
        inactive: 1,
        errors: 2,
    };
    assert_eq!(control.counts(consumer, 1, Some(0)), Ok(expected));
    assert_eq!(control.counts(consumer, 0, None), Ok(expected));
    assert!(expected.is_whole());
    let (snapshot, bytes) = snap(&mut control, consumer, 0);
    assert_eq!(records(&bytes, 0), [(1, 3), (1, 4), (1, 5)]);
    assert_eq!((snapshot.drops, snapshot.errors), (2, 2));
    let status = control.status(consumer).unwrap();
    assert_eq!((status.errors, status.double_errors), (2, 0));
    framework.fire(4, &args(8));
    assert_eq!(records(&snap(&mut control, consumer, 0).1, 0), [(1, 8)]);
}

#[test]
fn error_fires_for_the_consumer_that_failed() {
    let (mut control, _) = framework(&["a"]);
    let (one, other) = (control.open(1).unwrap(), control.open(2).unwrap());
    for consumer in [one, other] {
        let all = (1..6).map(|n| trace(argument(n)));
        control
            .enable(consumer, clause("dtrace:::ERROR", None, all))
            .unwrap();
    }
    let fails = || integer(8, |_| Err(fault(fault::Fault::BadAddress)));
    let actions = [trace(argument(0)), trace(fails())];
    control
        .enable(one, clause("test:::", None, actions))
        .unwrap();
    control.go(one).unwrap();
    control.go(other).unwrap();
    control.framework().fire(4, &args(1));

    let (_, bytes) = snap(&mut control, one, 0);
    assert_eq!(word(&bytes, 0), 1);
    let error: Vec<_> = (0..5).map(|n| long(&bytes, 8 + 8 * n)).collect();
    // EPID, action from 1, DIF offset, fault, its value.
    assert_eq!(error, [2, 2, 5, 1, 0xbad]);
    assert_eq!(snap(&mut control, other, 0).0.size, 0);
    assert_eq!(control.counts(other, 0, None).unwrap().hits, 0);
    assert_eq!(control.status(one).unwrap().errors, 1);
}

#[test]
fn the_process_that_begins_tracing_is_not_traced() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, [trace(argument(0))]))
        .unwrap();
    control.set_process(consumer, 2).unwrap();
    control.go(consumer).unwrap();
    assert_eq!(control.set_process(consumer, 1), Err(Error::Busy));
    for process in [1, 2] {
        as_process(process);
        control.framework().fire(4, &args(0));
    }
    as_process(100);
    let counts = control.counts(consumer, 0, None).unwrap();
    assert_eq!((counts.records, counts.self_filtered), (1, 1));
}

#[test]
fn an_error_in_error_ends_there() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let fails = || trace(integer(8, |_| Err(fault(fault::Fault::BadAddress))));
    for pattern in ["dtrace:::ERROR", "test:::"] {
        control
            .enable(consumer, clause(pattern, None, [fails()]))
            .unwrap();
    }
    control.go(consumer).unwrap();
    control.framework().fire(4, &args(1));
    let status = control.status(consumer).unwrap();
    assert_eq!((status.errors, status.double_errors), (1, 1));
    assert!(control.counts(consumer, 0, None).unwrap().is_whole());
}

#[test]
fn begin_exit_and_end() {
    let (mut control, _) = framework(&["a"]);
    let (consumer, other) = (control.open(1).unwrap(), control.open(1).unwrap());
    for consumer in [consumer, other] {
        for pattern in ["dtrace:::BEGIN", "dtrace:::END"] {
            control.enable(consumer, clause(pattern, None, [])).unwrap();
        }
    }
    let exit = action(ActionKind::Exit, Some(integer(4, |_| Ok(3))));
    control
        .enable(consumer, clause("test:::", None, [exit]))
        .unwrap();
    assert_eq!(control.stop(consumer), Err(Error::Invalid));
    on(2);
    assert_eq!(control.go(consumer), Ok(2));
    assert_eq!(control.go(consumer), Err(Error::Busy));
    assert_eq!(control.status(consumer).unwrap().exiting, 0);
    on(1);
    control.framework().fire(4, &args(0));
    control.framework().fire(4, &args(0));
    assert_eq!(control.activity(consumer), Ok(Activity::Draining));
    assert_eq!(control.status(consumer).unwrap().exiting, 1);
    on(0);
    assert_eq!(control.stop(consumer), Ok(0));
    assert_eq!(control.activity(consumer), Ok(Activity::Stopped));
    assert_eq!(snap(&mut control, consumer, 2).1, 1_u32.to_ne_bytes());
    let (_, exited) = snap(&mut control, consumer, 1);
    assert_eq!(
        (word(&exited, 0), word(&exited, 4), exited.len()),
        (3, 3, 8)
    );
    assert_eq!(snap(&mut control, consumer, 0).1, 2_u32.to_ne_bytes());
    assert_eq!(control.counts(other, 0, None).unwrap().hits, 0);
    assert_eq!(control.stop(consumer), Err(Error::Invalid));
}

#[test]
fn exit_in_begin_lets_nothing_else_fire() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let exit = action(ActionKind::Exit, Some(integer(4, |_| Ok(0))));
    control
        .enable(consumer, clause("dtrace:::BEGIN", None, [exit]))
        .unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    control.framework().fire(4, &args(0));
    assert_eq!(control.activity(consumer), Ok(Activity::Draining));
    assert_eq!(control.counts(consumer, 2, None).unwrap().inactive, 1);
}

#[test]
fn a_ring_keeps_the_newest_and_tells_the_oldest() {
    for size in [64, 80, 100, 1000] {
        let (mut control, _) = framework(&["a"]);
        let consumer = control.open(1).unwrap();
        for (option, value) in [
            (OptionId::BufferSize, size),
            (OptionId::BufferPolicy, BufferPolicy::Ring.raw()),
        ] {
            control.set_option(consumer, option.raw(), value).unwrap();
        }
        control
            .enable(consumer, clause("test:::", None, [trace(argument(0))]))
            .unwrap();
        control.go(consumer).unwrap();
        for n in 0..200 {
            control.framework().fire(4, &args(n));
        }
        assert_eq!(
            control.snapshot(consumer, 0, |_| Ok(())),
            Err(Error::Busy),
            "a ring is read at the end"
        );
        control.stop(consumer).unwrap();
        let (snapshot, bytes) = snap(&mut control, consumer, 0);
        let found = records(&bytes, snapshot.oldest);
        let kept = found.len() as u64;
        assert!(kept >= size / 16 - 1 && kept <= size / 16, "{size}: {kept}");
        let expected: Vec<_> = (200 - kept..200).map(|n| (1, n)).collect();
        assert_eq!(found, expected, "{size}");
        assert_eq!(snapshot.drops, 0);
        assert_eq!(snap(&mut control, consumer, 0).0.size, 0, "read once");
    }
}

/// Records of three sizes in a ring, against a plain model: what is read is an unbroken run of the
/// newest.
#[test]
fn a_ring_of_mixed_sizes_is_read_in_order() {
    for size in (64..400).step_by(8) {
        let (mut control, _) = framework(&["a", "b", "c"]);
        let consumer = control.open(1).unwrap();
        for (option, value) in [
            (OptionId::BufferSize, size),
            (OptionId::BufferPolicy, BufferPolicy::Ring.raw()),
        ] {
            control.set_option(consumer, option.raw(), value).unwrap();
        }
        let fails = || {
            trace(integer(8, |args| match args[1] {
                1 => Err(fault(fault::Fault::BadAddress)),
                _ => Ok(0),
            }))
        };
        let number = || trace(integer(4, |args| Ok(args[0])));
        control
            .enable(consumer, clause("::a:", None, [number()]))
            .unwrap();
        control
            .enable(consumer, clause("::b:", None, [number(), fails()]))
            .unwrap();
        let three = [number(), trace(argument(0)), trace(argument(0))];
        control
            .enable(consumer, clause("::c:", None, three))
            .unwrap();
        control.go(consumer).unwrap();
        let sizes = [8, 16, 24];
        let mut written = Vec::new();
        let mut random = 12345_u32;
        for n in 1..500_u64 {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12345);
            let which = (random >> 16) % 3;
            let mut values = args(n);
            values[1] = u64::from((random >> 20) % 5 == 0);
            control.framework().fire(4 + which, &values);
            if which != 1 || values[1] == 0 {
                written.push((which + 1, n));
            }
        }
        control.stop(consumer).unwrap();
        let (snapshot, bytes) = snap(&mut control, consumer, 0);
        let mut found = Vec::new();
        for (mut at, end) in [
            (snapshot.oldest, bytes.len()),
            (0, snapshot.oldest.min(bytes.len())),
        ] {
            while at < end {
                match word(&bytes, at) {
                    0 => at += 4,
                    epid => {
                        found.push((epid, u64::from(word(&bytes, at + 4))));
                        at += sizes[epid as usize - 1];
                    }
                }
            }
        }
        assert!(!found.is_empty());
        assert_eq!(found, written[written.len() - found.len()..], "{size}");
    }
}

#[test]
fn a_fill_buffer_stops_and_keeps_room_for_end() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    for (option, value) in [
        (OptionId::BufferSize, 64 + 16),
        (OptionId::BufferPolicy, BufferPolicy::Fill.raw()),
    ] {
        control.set_option(consumer, option.raw(), value).unwrap();
    }
    for pattern in ["test:::", "dtrace:::END"] {
        control
            .enable(consumer, clause(pattern, None, [trace(argument(0))]))
            .unwrap();
    }
    control.go(consumer).unwrap();
    for n in 0..10 {
        control.framework().fire(4, &args(n));
    }
    assert_eq!(control.status(consumer).unwrap().filled, 1);
    control.stop(consumer).unwrap();
    let (snapshot, bytes) = snap(&mut control, consumer, 0);
    assert_eq!(records(&bytes, 0), [(1, 0), (1, 1), (1, 2), (2, 0)]);
    assert_eq!(snapshot.drops, 0, "a full fill buffer is no drop");
    assert_eq!(control.counts(consumer, 1, None).unwrap().drops, 7);
}

#[test]
fn aggregations_by_key_and_cpu() {
    let (mut control, _) = framework(&["a", "b"]);
    let consumer = control.open(1).unwrap();
    let key = |n| trace(argument(n));
    let mut count = action(ActionKind::Count, None);
    count.key_actions = 1;
    let mut sum = action(ActionKind::Sum, Some(argument(2)));
    sum.key_actions = 2;
    let actions = [key(0), count, trace(string("k")), key(1), sum];
    assert_eq!(
        control.enable(consumer, clause("test:::", None, actions)),
        Ok(2)
    );
    let (epid, size, records) = control.aggregation(consumer, 4).unwrap();
    let records: Vec<_> = records.map(|r| (r.action, r.offset, r.size)).collect();
    assert_eq!((epid, size), (2, 280));
    assert_eq!(records, [(1, 4, 256), (1, 264, 8), (0x705, 272, 8)]);
    assert_eq!(
        control.aggregation(consumer, 5).err(),
        Some(Error::NotFound)
    );
    let probe = control.enabled_probe(consumer, 1).unwrap();
    assert_eq!(
        (probe.clause.size(), probe.clause.records().count()),
        (0, 0)
    );

    control.go(consumer).unwrap();
    on(1);
    for (a, b) in [(1, 10), (2, 10), (1, 20)] {
        let mut values = args(a);
        (values[1], values[2]) = (7, b);
        control.framework().fire(4, &values);
    }
    assert_eq!(snap(&mut control, consumer, 1).0, Snapshot::default());
    let mut bytes = Vec::new();
    let snapshot = control
        .aggregation_snapshot(consumer, 1, |taken| {
            bytes.extend_from_slice(taken);
            Ok(())
        })
        .unwrap();
    assert_eq!(snapshot.size, 24 + 280 + 24);
    let entry = |at| {
        (
            word(&bytes, at),
            long(&bytes, at + 8),
            long(&bytes, at + 16),
        )
    };
    assert_eq!(entry(0), (1, 1, 2));
    assert_eq!(entry(24 + 280), (1, 2, 1));
    assert_eq!(word(&bytes, 24), 2);
    assert_eq!(&bytes[28..30], b"k\0");
    assert_eq!((long(&bytes, 24 + 264), long(&bytes, 24 + 272)), (7, 40));
    let again = control.aggregation_snapshot(consumer, 1, |_| Ok(()));
    assert_eq!(again.unwrap().size, 0);
    let counts = control.counts(consumer, 1, Some(1)).unwrap();
    assert_eq!((counts.hits, counts.records), (3, 3));
}

#[test]
fn the_one_traced_cpu() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .set_option(consumer, OptionId::Cpu.raw(), 1)
        .unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    for cpu in 0..CPUS {
        on(cpu);
        control.framework().fire(4, &args(0));
    }
    assert_eq!(snap(&mut control, consumer, 1).0.size, 4);
    assert_eq!(snap(&mut control, consumer, 0).0.size, 0);
    assert_eq!(control.counts(consumer, 1, None).unwrap().inactive, 2);
}

#[test]
fn a_cpu_that_comes_on_line_gets_its_buffer() {
    let (mut control, _) = framework(&["a"]);
    set_offline(&[2]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    set_offline(&[]);
    on(2);
    control.framework().fire(4, &args(0));
    control.status(consumer).unwrap();
    control.framework().fire(4, &args(0));
    let counts = control.counts(consumer, 1, Some(2)).unwrap();
    assert_eq!((counts.drops, counts.records), (1, 1));
    set_offline(&[2]);
    let (snapshot, _) = snap(&mut control, consumer, 2);
    assert_eq!(snapshot.size, 4, "read off line");
    assert_eq!(snapshot.drops, 1, "of before it had a buffer");
}

/// The client's memory is away: the records are lost, what was counted is not.
#[test]
fn a_copy_that_fails_loses_no_count() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .set_option(consumer, OptionId::BufferSize.raw(), 16)
        .unwrap();
    control
        .enable(consumer, clause("test:::", None, [trace(argument(0))]))
        .unwrap();
    control.go(consumer).unwrap();
    (0..4).for_each(|_| control.framework().fire(4, &args(0)));
    let result = control.snapshot(consumer, 0, |_| Err(Error::BadAddress));
    assert_eq!(result, Err(Error::BadAddress));
    let told: u64 = (0..3)
        .map(|_| snap(&mut control, consumer, 0).0.drops)
        .sum();
    assert_eq!(told, control.counts(consumer, 1, None).unwrap().drops);
    assert_eq!(told, 3);
}

#[test]
fn drops_of_a_cpu_that_came_and_went_are_told() {
    let (mut control, _) = framework(&["a"]);
    set_offline(&[2]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    // On line for a while in which nobody looks.
    on(2);
    (0..3).for_each(|_| control.framework().fire(4, &args(0)));
    assert_eq!(snap(&mut control, consumer, 2).0.drops, 3);
    assert_eq!(snap(&mut control, consumer, 2).0.drops, 0, "once");
    control.framework().fire(4, &args(0));
    set_offline(&[]);
    let (snapshot, _) = snap(&mut control, consumer, 2);
    assert_eq!((snapshot.size, snapshot.drops), (0, 1), "with a buffer");
}

/// Where there is no buffer a predicate is asked all the same: what it refuses is no loss.
#[test]
fn a_cpu_that_came_drops_nothing_that_a_predicate_refuses() {
    let (mut control, _) = framework(&["a"]);
    set_offline(&[2]);
    let consumer = control.open(1).unwrap();
    let predicate = integer(8, |args| match args[0] {
        0 => Ok(0),
        1 => Ok(1),
        _ => Err(fault(fault::Fault::BadAddress)),
    });
    control
        .enable(
            consumer,
            clause("test:::", Some(predicate), [trace(argument(0))]),
        )
        .unwrap();
    control.go(consumer).unwrap();
    on(2);
    (0..3).for_each(|value| control.framework().fire(4, &args(value)));
    let counts = control.counts(consumer, 1, Some(2)).unwrap();
    assert_eq!(
        (counts.hits, counts.predicate_false, counts.drops),
        (3, 1, 1)
    );
    assert_eq!(counts.errors, 1);
    assert_eq!(snap(&mut control, consumer, 2).0.drops, 1);
}

#[test]
fn a_firing_in_a_firing_is_refused_and_a_switch_in_one_waits() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let nested = control.framework().clone();
    let fires = integer(8, move |_| {
        nested.fire(4, &args(1));
        Ok(1)
    });
    control
        .enable(consumer, clause("test:::", None, [trace(fires)]))
        .unwrap();
    control.go(consumer).unwrap();
    control.framework().fire(4, &args(0));
    assert_eq!(control.framework().nested(0), 1);
    let counts = control.counts(consumer, 1, None).unwrap();
    assert_eq!((counts.hits, counts.records), (1, 1));
    control.close(consumer);
}

#[test]
fn a_provider_that_cannot_enable_leaves_nothing() {
    let (mut control, recorder) = framework(&["a", "b", "c"]);
    let consumer = control.open(1).unwrap();
    recorder
        .refuses
        .store(6, std::sync::atomic::Ordering::Relaxed);
    let mut count = action(ActionKind::Count, None);
    count.key_actions = 0;
    let result = control.enable(consumer, clause("test:::", None, [count]));
    assert_eq!(result, Err(Error::Unsupported("this probe")));
    assert_eq!(
        recorder.take(),
        [("enable", 4), ("enable", 5), ("disable", 4), ("disable", 5)]
    );
    assert!(!control.framework().is_enabled(4));
    let count = action(ActionKind::Count, None);
    assert_eq!(
        control.enable(consumer, clause("::a:", None, [count])),
        Ok(1)
    );
    assert_eq!(control.aggregation(consumer, 1).map(|a| a.0), Ok(1));
    assert!(control.aggregation(consumer, 2).is_err());
}

#[test]
fn a_provider_is_told_of_the_first_and_the_last() {
    let (mut control, recorder) = framework(&["a"]);
    let (one, two) = (control.open(1).unwrap(), control.open(1).unwrap());
    for consumer in [one, two, one] {
        control
            .enable(consumer, clause("test:::", None, []))
            .unwrap();
    }
    assert_eq!(recorder.take(), [("enable", 4)]);
    control.close(one);
    assert_eq!(recorder.take(), []);
    assert!(control.framework().is_enabled(4));
    control.close(two);
    assert_eq!(recorder.take(), [("disable", 4)]);
    assert!(!control.framework().is_enabled(4));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let mut refuse = |description, error| {
        assert_eq!(control.enable(consumer, description), Err(error));
    };
    refuse(
        clause("", None, [action(ActionKind::Panic, None)]),
        Error::Unsupported("panic"),
    );
    refuse(
        clause("", None, [action(ActionKind::Speculate, None)]),
        Error::Unsupported("speculate"),
    );
    refuse(
        clause("", None, [action(ActionKind::Sum, None)]),
        Error::Invalid,
    );
    let mut count = action(ActionKind::Count, None);
    count.key_actions = 1;
    refuse(clause("", None, [count]), Error::Invalid);
    refuse(clause("", Some(string("predicate")), []), Error::Invalid);
    refuse(
        clause("", None, [trace(integer(3, |_| Ok(0)))]),
        Error::TooMany("bytes of a record"),
    );
    for (option, value) in [(99, 0), (OptionId::StringSize.raw(), 5000)] {
        assert_eq!(
            control.set_option(consumer, option, value),
            Err(Error::Invalid)
        );
    }
    assert_eq!(
        control.set_option(consumer, OptionId::Destructive.raw(), 1),
        Err(Error::Unsupported("destructive actions"))
    );
}

#[test]
fn every_action_runs_or_is_refused_by_name() {
    use ActionKind as A;
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let mut runs = Vec::new();
    for kind in A::ALL {
        let mut action = action(*kind, Some(argument(0)));
        if *kind == A::Lquantize {
            action.argument = Linear {
                base: 0,
                levels: 10,
                step: 1,
            }
            .to_argument();
        }
        if *kind == A::Llquantize {
            action.argument = LogLinear {
                factor: 10,
                low: 0,
                high: 2,
                steps: 10,
            }
            .to_argument();
        }
        match control.enable(consumer, clause("test:::", None, [action])) {
            Ok(1) => runs.push(*kind),
            answer => assert_eq!(answer, Err(Error::Unsupported(kind.name())), "{kind:?}"),
        }
    }
    let wanted = [
        A::DifExpression,
        A::Exit,
        A::Printf,
        A::Printa,
        A::Library,
        A::Tracemem,
        A::Ustack,
        A::Usym,
        A::Umod,
        A::Uaddr,
        A::Stack,
        A::Sym,
        A::Mod,
        A::Count,
        A::Min,
        A::Max,
        A::Avg,
        A::Sum,
        A::Stddev,
        A::Quantize,
        A::Lquantize,
        A::Llquantize,
    ];
    assert_eq!(runs, wanted);
}

#[test]
fn sizes_that_were_lowered_are_told() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    let mut count = action(ActionKind::Count, None);
    count.key_actions = 0;
    control
        .enable(
            consumer,
            clause("test:::", None, [trace(argument(0)), count]),
        )
        .unwrap();
    let wanted = [OptionId::BufferSize, OptionId::AggregationSize];
    for option in wanted {
        control.set_option(consumer, option.raw(), 1 << 20).unwrap();
    }
    // Not enough even for the smallest: as it was.
    host::fail_above(2000);
    assert_eq!(control.go(consumer), Err(Error::OutOfMemory));
    let told = |control: &Control<Bench>| {
        let options = control.options(consumer).unwrap();
        wanted.map(|option| options.get(option))
    };
    assert_eq!(told(&control), [1 << 20; 2]);
    host::fail_above(100_000);
    assert_eq!(control.go(consumer), Ok(0));
    host::fail_above(usize::MAX);
    assert_eq!(told(&control), [1 << 16; 2]);
    assert_eq!(control.buffer_sizes(consumer), Ok((1 << 16, 1 << 16)));
    assert_eq!(control.has_room(consumer, (1 << 16, 1 << 16)), Ok(()));
    control.close(consumer);
}

#[test]
fn formats_are_numbered_once() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    for format in ["x %d", "y", "x %d"] {
        let mut printf = action(ActionKind::Printf, Some(argument(0)));
        printf.format = Some(list(format.bytes()));
        control
            .enable(consumer, clause("test:::", None, [printf]))
            .unwrap();
    }
    let numbers: Vec<_> = (1..=3)
        .map(|epid| {
            let probe = control.enabled_probe(consumer, epid).unwrap();
            let number = probe.clause.records().next().unwrap().format;
            number
        })
        .collect();
    assert_eq!(numbers, [1, 2, 1]);
    assert_eq!(control.format(consumer, 2), Ok(b"y".as_slice()));
    assert_eq!(control.format(consumer, 3), Err(Error::NotFound));
    assert_eq!(control.format(consumer, 0), Err(Error::NotFound));
}

#[test]
fn the_silent_are_killed() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    let waiting = control.open(1).unwrap();
    control.go(consumer).unwrap();
    // Only this test looks at the time.
    let at = |ns| NOW_NS.store(ns, std::sync::atomic::Ordering::Relaxed);
    at(10);
    control.status(consumer).unwrap();
    at(20);
    let framework = control.framework().clone();
    assert_eq!(framework.kill_silent(10), 0);
    assert_eq!(framework.kill_silent(9), 1);
    assert_eq!(framework.kill_silent(9), 0);
    assert_eq!(control.activity(waiting), Ok(Activity::Inactive));
    control.framework().fire(4, &args(0));
    assert_eq!(control.status(consumer).unwrap().killed, 1);
    assert_eq!(control.counts(consumer, 1, None).unwrap().inactive, 1);
    assert_eq!(control.stop(consumer), Ok(0));
    assert_eq!(control.activity(consumer), Ok(Activity::Killed));
}

#[test]
fn a_buffer_is_as_large_as_its_option_says() {
    let (mut control, _) = framework(&["a"]);
    for (asked, size) in [(1, 8), (8, 8), (23, 16), (24, 24), (4097, 4096)] {
        let consumer = control.open(1).unwrap();
        for option in [OptionId::BufferSize, OptionId::AggregationSize] {
            control.set_option(consumer, option.raw(), asked).unwrap();
            assert_eq!(control.options(consumer).unwrap().get(option), size);
        }
        let actions = [action(ActionKind::Count, None)];
        control
            .enable(consumer, clause("test:::", None, actions))
            .unwrap();
        control.go(consumer).unwrap();
        let size = size as usize;
        assert_eq!(control.buffer_sizes(consumer), Ok((size, size)));
        assert_eq!(control.has_room(consumer, (size, size)), Ok(()));
        for room in [(size - 1, size), (size, size - 1)] {
            assert_eq!(control.has_room(consumer, room), Err(Error::Invalid));
        }
        control.close(consumer);
    }
}

#[test]
fn a_filled_buffer_takes_no_smaller_record() {
    let (mut control, _) = framework(&["a", "b"]);
    let consumer = control.open(1).unwrap();
    for (option, value) in [
        (OptionId::BufferSize, 24 + 16 + 16),
        (OptionId::BufferPolicy, BufferPolicy::Fill.raw()),
    ] {
        control.set_option(consumer, option.raw(), value).unwrap();
    }
    let large = || [trace(argument(0)), trace(argument(0))];
    let small = || [trace(argument(0))];
    control
        .enable(consumer, clause("::a:", None, large()))
        .unwrap();
    for pattern in ["::b:", "dtrace:::END"] {
        control
            .enable(consumer, clause(pattern, None, small()))
            .unwrap();
    }
    control.go(consumer).unwrap();
    // 24 bytes; no room for 24 more; 16 would fit.
    for probe in [4, 4, 5] {
        control.framework().fire(probe, &args(1));
    }
    assert_eq!(control.status(consumer).unwrap().filled, 1);
    assert_eq!(control.counts(consumer, 2, None).unwrap().drops, 1);
    control.stop(consumer).unwrap();
    let (_, bytes) = snap(&mut control, consumer, 0);
    assert_eq!((bytes.len(), word(&bytes, 0), word(&bytes, 24)), (40, 1, 3));
}

#[test]
fn a_firing_does_so_much_and_no_more() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    // 512 words each, and a few.
    let long = || {
        let mut bytes = string("");
        bytes.result.size = 4096;
        [trace(bytes)]
    };
    for _ in 0..300 {
        control
            .enable(consumer, clause("::a:", None, long()))
            .unwrap();
    }
    control.go(consumer).unwrap();
    for firing in 1..3 {
        control.framework().fire(4, &args(0));
        let counts = control.counts(consumer, 0, None).unwrap();
        assert!(counts.is_whole());
        assert_eq!(counts.records, 256 * firing);
        assert_eq!(counts.drops, 44 * firing);
        assert_eq!(snap(&mut control, consumer, 0).0.drops, 44);
    }
}

/// Keys are written, hashed and compared, though they leave no record.
#[test]
fn a_firing_s_keys_count_too() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    // 514 words of an entry, two actions, and one.
    let long = || {
        let mut bytes = string("");
        bytes.result.size = 4096;
        let mut count = action(ActionKind::Count, None);
        count.key_actions = 1;
        [trace(bytes), count]
    };
    for _ in 0..300 {
        control
            .enable(consumer, clause("::a:", None, long()))
            .unwrap();
    }
    control.go(consumer).unwrap();
    control.framework().fire(4, &args(0));
    let counts = control.counts(consumer, 0, None).unwrap();
    assert!(counts.is_whole());
    assert_eq!((counts.records, counts.drops), (254, 46));
}

#[test]
fn a_probe_has_so_many_clauses_and_no_more() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    for _ in 0..4096 {
        control.enable(consumer, clause("::a:", None, [])).unwrap();
    }
    let more = control.enable(consumer, clause("::a:", None, []));
    assert_eq!(more, Err(Error::TooMany("clauses of a probe")));
}

#[test]
fn clauses_that_are_enabled_together_stay_together() {
    let (mut control, recorder) = framework(&["a", "b"]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("::a:", None, [trace(argument(0))]))
        .unwrap();
    recorder.take();
    let mut printed = trace(argument(0));
    printed.format = Some(list(*b"x"));
    printed.kind = ActionKind::Printf;
    recorder
        .refuses
        .store(5, std::sync::atomic::Ordering::Relaxed);
    let result = control.all_or_nothing(consumer, |control| {
        control.set_option(consumer, OptionId::StringSize.raw(), 8)?;
        assert_eq!(
            control.enable(consumer, clause("::a:", None, [printed])),
            Ok(1)
        );
        control.enable(consumer, clause("::b:", None, []))
    });
    assert!(result.is_err());
    let string_size = control.options(consumer).unwrap().get(OptionId::StringSize);
    assert_eq!(string_size, 256);
    assert_eq!(control.format(consumer, 1), Err(Error::NotFound));
    assert!(control.enabled_probe(consumer, 1).is_ok());
    assert!(control.enabled_probe(consumer, 2).is_err());
    control.go(consumer).unwrap();
    control.framework().fire(4, &args(0));
    assert_eq!(control.counts(consumer, 0, None).unwrap().hits, 1);
}

#[test]
fn a_fill_buffer_without_room_for_end_is_refused() {
    for (size, result) in [(16, None), (24, Some(0))] {
        let (mut control, _) = framework(&["a"]);
        let consumer = control.open(1).unwrap();
        for (option, value) in [
            (OptionId::BufferSize, size),
            (OptionId::BufferPolicy, BufferPolicy::Fill.raw()),
        ] {
            control.set_option(consumer, option.raw(), value).unwrap();
        }
        control
            .enable(consumer, clause("dtrace:::END", None, [trace(argument(0))]))
            .unwrap();
        assert_eq!(control.go(consumer).ok(), result);
        assert_eq!(control.stop(consumer).ok(), result);
    }
}

#[test]
fn who_waits_for_a_cpu_that_takes_no_calls_lets_it_go_off_line() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    let before = HELD_PAUSES.get();
    UNREACHED.set(3);
    control.framework().sync();
    UNREACHED.set(1);
    snap(&mut control, consumer, 1);
    assert_eq!((UNREACHED.get(), HELD_PAUSES.get()), (0, before));
}

#[test]
fn a_cpu_that_does_not_answer_for_long_is_told_of_once() {
    let (mut control, _) = framework(&["a"]);
    let consumer = control.open(1).unwrap();
    control
        .enable(consumer, clause("test:::", None, []))
        .unwrap();
    control.go(consumer).unwrap();
    const SECOND: u64 = 1_000_000_000;
    PAUSE_NS.set(SECOND);
    UNREACHED.set(9);
    control.framework().sync();
    assert_eq!(LATE.take(), []);
    UNREACHED.set(30);
    control.framework().sync();
    assert_eq!(LATE.take(), [(0, 10 * SECOND)]);
    UNREACHED.set(30);
    snap(&mut control, consumer, 1);
    assert_eq!(LATE.take(), [(1, 10 * SECOND)]);
    PAUSE_NS.set(0);
}
