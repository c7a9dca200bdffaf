// SPDX-License-Identifier: GPL-2.0
//! A waiting call interrupted by an NMI that calls the same target and waits.

use super::{models_at, Model};
use crate::machine::{in_nmi, Model as Machine, ModelEngine};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::model::{set_hook, Point};
use xcall::{CpuId, CpuSet, Work};

const POINTS: [Point; 6] = [
    Point::SendClaimed,
    Point::SendFilled,
    Point::SendPublished,
    Point::SendRaised,
    Point::SendRung,
    Point::WaitPolled,
];

const SET_POINTS: [Point; 3] = [Point::SendFilled, Point::SendPublished, Point::SendRaised];

const TREE_POINTS: [Point; 3] = [Point::SendPublished, Point::SendClimbed, Point::SendRaised];

pub fn models() -> Vec<Model> {
    let shows =
        "an NMI at this step of a call makes one to the same target and waits: both run, once \
                 each; the NMI does not count on a ring that cannot come before it returns";
    [
        models_at(&POINTS, "nested_send", shows, |at| {
            nested_send(at, 0, 1, call_one)
        }),
        models_at(&TREE_POINTS, "nested_send_in_tree", shows, |at| {
            nested_send(at, 7, 0, call_one)
        }),
        models_at(&SET_POINTS, "nested_send_to_set", shows, |at| {
            nested_send(at, 0, 1, call_set)
        }),
    ]
    .concat()
}

/// A way to call.
type Call = fn(&ModelEngine, CpuId, Work<'_>);

fn call_one(engine: &ModelEngine, cpu: CpuId, work: Work<'_>) {
    engine.call(cpu, work).unwrap();
}

/// A set has a way of its own through the engine, even one of one.
fn call_set(engine: &ModelEngine, cpu: CpuId, work: Work<'_>) {
    let set = [1 << cpu.0];
    let reached = engine.call_many(CpuSet::new(&set), work, None).unwrap();
    assert_eq!(reached.ran, 1);
}

fn nested_send(at: Option<Point>, to: u32, from: u32, call: Call) {
    let machine = Machine::new(&[to, from]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let target = machine.on_cpu(to, move |m| {
        m.idle_until(|| expected.iter().all(|p| p.runs() > 0));
    });
    machine.become_cpu(from);
    let (in_hook, nmi_parcels) = (machine.clone(), parcels.clone());
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            let parcel = &nmi_parcels[1];
            let run = || parcel.run();
            in_nmi(|| call(&in_hook.engine, CpuId(to), nmi_safe(&run)));
            parcel.assert_answered();
            parcel.end_of_life();
        }
    }));
    let parcel = &parcels[0];
    let run = || parcel.run();
    call(&machine.engine, CpuId(to), nmi_safe(&run));
    parcel.assert_answered();
    parcel.end_of_life();
    set_hook(Box::new(|_| {}));
    if parcels[1].runs() == 0 {
        // The call ended before it came to that step.
        let run = || parcels[1].run();
        call(&machine.engine, CpuId(to), nmi_safe(&run));
    }
    machine.join(target);
    assert!(parcels.iter().all(|p| p.runs() == 1));
}
