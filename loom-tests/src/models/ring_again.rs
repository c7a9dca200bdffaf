// SPDX-License-Identifier: GPL-2.0
//! Rings that get lost.

use super::send_drain::posted;
use super::{model, Model};
use crate::machine::Model as Machine;
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::{CpuId, Doorbell, Lane};

pub fn models() -> Vec<Model> {
    vec![
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
    ]
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
