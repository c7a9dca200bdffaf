// SPDX-License-Identifier: GPL-2.0
//! Nothing is left, whatever happened. One test: the counters are the process'.

mod machine;

use dtrace_interface::action::ActionKind;
use dtrace_interface::options::OptionId;
use dtrace_provider::memory::{host, usage, Usage};
use dtrace_provider::{Control, Error};
use machine::*;

fn session(control: &mut Control<Bench>) -> Result<(), Error> {
    let consumer = control.open(1)?;
    let result = (|| {
        control.set_option(consumer, OptionId::BufferSize.raw(), 4096)?;
        control.set_option(consumer, OptionId::AggregationSize.raw(), 4096)?;
        let mut count = action(ActionKind::Count, None);
        count.key_actions = 1;
        let mut printf = action(ActionKind::Printf, Some(argument(0)));
        host::fail_after_pause(|| printf.format = Some(list(*b"%d")));
        let actions = host::fail_after_pause(|| {
            clause(
                "",
                Some(argument(1)),
                [printf, trace(argument(0)), count, trace(string("x"))],
            )
        });
        control.enable(consumer, actions)?;
        control.go(consumer)?;
        for n in 0..100 {
            control.framework().fire(4, &args(n));
        }
        control.snapshot(consumer, 0, |_| Ok(()))?;
        control
            .aggregation_snapshot(consumer, 0, |_| Err(Error::BadAddress))
            .ok();
        control.stop(consumer)?;
        Ok(())
    })();
    control.close(consumer);
    result
}

#[test]
fn nothing_is_left() {
    let before = usage();
    assert_eq!(before, Usage::default());
    let (mut control, _) = framework(&["a", "b", "c"]);
    let made = usage();
    assert_eq!(control.held(), Usage::default());
    session(&mut control).unwrap();
    assert_eq!(usage(), made);

    // A probe that is made meanwhile is no consumer's, and stays.
    let consumer = control.open(1).unwrap();
    let held = control.held();
    assert!(held.bytes > 0 && held.objects > 0);
    let provider = control.provider_named(b"test").unwrap();
    for n in 0..200 {
        control
            .create_probe(provider, b"", b"", b"late", n)
            .unwrap();
    }
    assert_eq!(control.held(), held);
    control.close(consumer);
    assert_eq!(control.held(), Usage::default());
    assert_ne!(usage(), made);
    let made = usage();

    // Memory ends after n allocations, for every n that matters.
    let mut failures = 0;
    for n in 0.. {
        host::fail_after(Some(n));
        let result = session(&mut control);
        host::fail_after(None);
        match result {
            Ok(()) => break,
            Err(error) => assert_eq!(error, Error::OutOfMemory),
        }
        failures += 1;
        assert_eq!(control.consumers(), 0);
        assert_eq!(usage(), made, "after {n} allocations");
    }
    assert!(failures > 20, "{failures}");

    // A consumer in every state is closed with the framework.
    for stage in 0..3 {
        let consumer = control.open(1).unwrap();
        control
            .enable(consumer, clause("test:::", None, [trace(argument(0))]))
            .unwrap();
        if stage > 0 {
            control.go(consumer).unwrap();
        }
        if stage > 1 {
            control.stop(consumer).unwrap();
        }
    }
    drop(control);
    assert_eq!(usage(), before);
}
