// SPDX-License-Identifier: GPL-2.0
//! A flush against posts and the reuse of their slots.

use super::send_drain::posted;
use super::{model, Model};
use crate::machine::Model as Machine;
use crate::shared::Parcel;
use xcall::CpuId;

pub fn models() -> Vec<Model> {
    vec![model(
        "flush",
        3,
        "after a flush the calls posted before have run, and what they wrote is seen",
        |_| flush(),
    )]
}

fn flush() {
    let machine = Machine::new(&[0, 1]);
    let parcel = Parcel::leaked(1);
    let target = machine.on_cpu(0, move |m| m.idle_until(|| parcel.runs() > 0));
    machine.become_cpu(1);
    machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    machine.engine.flush(None).unwrap();
    parcel.assert_answered();
    machine.join(target);
    assert_eq!(parcel.runs(), 1);
}
