// SPDX-License-Identifier: GPL-2.0
//! A slot used again and again by waiting calls.

use super::{model, Model};
use crate::machine::{Model as Machine, BOTH_LANES};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::CpuId;

pub fn models() -> Vec<Model> {
    vec![model(
        "slot_reuse",
        "two calls one after the other through one slot, the target also looks unrung: each runs its own function once, the \
         caller sees what it wrote, and nobody touches an argument after its call has returned",
        |_| calls_in_turn(),
    )]
}

fn calls_in_turn() {
    let machine = Machine::new(&[0, 1]);
    machine.waits_spin();
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let target = machine.on_cpu(0, move |m| {
        m.engine.answer(&BOTH_LANES);
        m.idle_until(|| expected.iter().all(|p| p.runs() > 0));
    });
    machine.become_cpu(1);
    for parcel in parcels.iter() {
        let run = || parcel.run();
        machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
        parcel.assert_answered();
        parcel.end_of_life();
    }
    machine.join(target);
    assert!(parcels.iter().all(|p| p.runs() == 1));
}
