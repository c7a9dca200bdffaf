// SPDX-License-Identifier: GPL-2.0
//! Rings that get lost.

use super::send_drain::posted;
use super::{model, models_at, Model};
use crate::machine::{in_nmi, Model as Machine};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::model::{set_hook, Point};
use xcall::{CpuId, Doorbell, Lane};

pub fn models() -> Vec<Model> {
    let mut models = vec![
        model(
            "lost_ring",
            "the first ring of a waiting call is lost: it rings again and the call runs once",
            |_| lost_ring(),
        ),
        model(
            "lost_ring_of_post",
            "the ring of a posted call is lost: tending rings again and the call runs once",
            |_| lost_ring_of_post(),
        ),
    ];
    models.extend(models_at(
        &[Point::SendRaised, Point::SendRung],
        "nested_send_in_second_ring",
        "an NMI at this step of a second ring calls the same target and waits: both calls run",
        nested_send_in_second_ring,
    ));
    models.extend(models_at(
        &[Point::SendRaised],
        "tend_within_tend",
        "the timer interrupts a tend that looks at the only posted call: it is told to come again",
        tend_within_tend,
    ));
    models
}

/// One doorbell only: the second ring is one like the first.
fn machine() -> Machine {
    let machine = Machine::with_config(&[0, 1], |config| config.ring_again_ns = 1);
    let allowed = machine
        .engine
        .allow_doorbells(Lane::NmiSafe, |bell| bell.name() == "weak");
    assert_eq!(allowed, 1);
    machine
}

fn lost_ring() {
    let machine = machine();
    let parcel = Arc::new(Parcel::new(1));
    let expected = parcel.clone();
    let target = machine.on_cpu(0, move |m| m.idle_until(|| expected.runs() > 0));
    machine.become_cpu(1);
    machine.lose_rings(1);
    machine.tick(1);
    let run = || parcel.run();
    machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    parcel.assert_answered();
    machine.join(target);
    assert_eq!(parcel.runs(), 1);
    assert_eq!(machine.engine.total_stats().rerings, 1);
}

fn lost_ring_of_post() {
    let machine = machine();
    let parcel = Parcel::leaked(1);
    let target = machine.on_cpu(0, move |m| m.idle_until(|| parcel.runs() > 0));
    machine.become_cpu(1);
    machine.lose_rings(1);
    machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    machine.pass_time(2);
    machine.engine.tend();
    machine.join(target);
    assert_eq!(parcel.runs(), 1);
    parcel.assert_answered();
}

fn nested_send_in_second_ring(at: Option<Point>) {
    let machine = machine();
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let target = machine.on_cpu(0, move |m| {
        m.idle_until(|| expected.iter().all(|p| p.runs() > 0));
    });
    machine.become_cpu(1);
    machine.lose_rings(1);
    machine.tick(1);
    let (in_hook, nmi_parcels) = (machine.clone(), parcels.clone());
    let mut times = 0;
    set_hook(Box::new(move |point| {
        times += u32::from(Some(point) == at);
        if times == 2 {
            times += 1;
            let parcel = &nmi_parcels[1];
            let run = || parcel.run();
            in_nmi(|| in_hook.engine.call(CpuId(0), nmi_safe(&run)).unwrap());
            parcel.assert_answered();
        }
    }));
    let run = || parcels[0].run();
    machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    parcels[0].assert_answered();
    set_hook(Box::new(|_| {}));
    if parcels[1].runs() == 0 {
        // The call ended before it came to a second ring.
        let run = || parcels[1].run();
        machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    }
    machine.join(target);
}

fn tend_within_tend(at: Option<Point>) {
    let machine = machine();
    machine.lose_rings(2);
    let parcel = Parcel::leaked(1);
    machine.become_cpu(1);
    machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    machine.pass_time(2);
    let in_hook = machine.clone();
    set_hook(Box::new(move |point| {
        if Some(point) == at {
            assert!(in_hook.engine.tend().is_some(), "a post is under way");
        }
    }));
    assert!(machine.engine.tend().is_some());
}
