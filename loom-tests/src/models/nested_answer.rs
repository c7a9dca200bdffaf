// SPDX-License-Identifier: GPL-2.0
//! A drain interrupted by an NMI that answers, or calls, on the same CPU.

use super::send_drain::posted;
use super::{models_at, Model};
use crate::machine::{in_nmi, Model as Machine, BOTH_LANES};
use crate::shared::{nmi_safe, Parcel};
use loom::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use xcall::model::{set_hook, Point};
use xcall::{CpuId, Lane};

const POINTS: [Point; 6] = [
    Point::DrainBegun,
    Point::DrainCleared,
    Point::DrainSeen,
    Point::DrainClaimed,
    Point::DrainRan,
    Point::DrainDone,
];

pub fn models() -> Vec<Model> {
    [
        models_at(
            &POINTS,
            "nested_answer",
            "the doorbell's handler interrupts a drain: when it returns, every call sent before it \
             began has been started, none is held by the drain it interrupted",
            nested_answer,
        ),
        models_at(
            &POINTS,
            "nested_call_in_drain",
            "an NMI at this step of a drain calls another CPU, which waits for a call to this one: \
             both end, and the NMI does not wait while a call is held by the drain below it",
            nested_call,
        ),
    ]
    .concat()
}

fn nested_answer(at: Option<Point>) {
    let machine = Machine::new(&[0, 1, 2]);
    let parcels = [Parcel::leaked(1), Parcel::leaked(2)];
    let sent = Arc::new(AtomicBool::new(false));
    let told = sent.clone();
    machine.become_cpu(2);
    machine.engine.post(CpuId(0), posted(parcels[0])).unwrap();
    let sender = machine.on_cpu(1, move |m| {
        m.engine.post(CpuId(0), posted(parcels[1])).unwrap();
        told.store(true, Ordering::Release);
    });
    machine.become_cpu(0);
    let in_hook = machine.clone();
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            let both_sent = sent.load(Ordering::Acquire);
            in_nmi(|| in_hook.engine.answer(&BOTH_LANES));
            if both_sent {
                let unstarted = xcall::model::unstarted(&in_hook.engine, CpuId(0), Lane::NmiSafe);
                assert_eq!(unstarted, 0, "a call is held by the drain below");
            }
        }
    }));
    machine.engine.answer(&BOTH_LANES);
    machine.idle_until(|| parcels.iter().all(|p| p.runs() > 0));
    machine.join(sender);
    for parcel in parcels {
        assert_eq!(parcel.runs(), 1);
        parcel.assert_answered();
    }
}

fn nested_call(at: Option<Point>) {
    let machine = Machine::new(&[0, 1, 2]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let held = Parcel::leaked(3);
    machine.become_cpu(2);
    machine.engine.post(CpuId(0), posted(held)).unwrap();
    let theirs = parcels.clone();
    let other = machine.on_cpu(1, move |m| {
        let parcel = &theirs[0];
        let run = || parcel.run();
        m.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
        parcel.assert_answered();
        m.idle_until(|| theirs[1].runs() > 0);
    });
    machine.become_cpu(0);
    let call_other = |m: &Machine, parcel: &Parcel| {
        let run = || parcel.run();
        m.engine.call(CpuId(1), nmi_safe(&run)).unwrap();
        parcel.assert_answered();
    };
    let (in_hook, nmi_parcels) = (machine.clone(), parcels.clone());
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            let turns = in_hook.turns(0);
            in_nmi(|| call_other(&in_hook, &nmi_parcels[1]));
            let waited = in_hook.turns(0) != turns;
            let held = xcall::model::waits(&in_hook.engine, CpuId(0), Lane::NmiSafe, CpuId(2));
            assert!(!(waited && held), "a call is held by the drain below");
        }
    }));
    machine.idle_until(|| held.runs() > 0 && parcels[0].runs() > 0);
    set_hook(Box::new(|_| {}));
    if parcels[1].runs() == 0 {
        // The drain did not come to that step.
        call_other(&machine, &parcels[1]);
    }
    machine.join(other);
    assert_eq!(
        (held.runs(), parcels[0].runs(), parcels[1].runs()),
        (1, 1, 1)
    );
}
