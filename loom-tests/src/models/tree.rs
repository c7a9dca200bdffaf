// SPDX-License-Identifier: GPL-2.0
//! The summary tree that machines of many CPUs have.

use super::send_drain::posted;
use super::{model, Model};
use crate::machine::Model as Machine;
use crate::shared::Parcel;
use xcall::CpuId;

pub fn models() -> Vec<Model> {
    vec![
        model(
            "tree_one_word",
            "two senders under one word of the summary tree: the target hears of both",
            |_| two_senders(0, 1),
        ),
        model(
            "tree_one_mid",
            "two senders under one mid of the summary tree: the target hears of both",
            |_| two_senders(0, 2),
        ),
        model(
            "tree_two_mids",
            "two senders under different mids: the target hears of both",
            |_| two_senders(0, 5),
        ),
    ]
}

fn two_senders(one: u32, other: u32) {
    let machine = Machine::new(&[one, other, 7]);
    let parcels = [Parcel::leaked(1), Parcel::leaked(2)];
    let target = machine.on_cpu(7, move |m| {
        m.idle_until(|| parcels.iter().all(|p| p.runs() > 0));
    });
    let sender = machine.on_cpu(one, move |m| {
        m.engine.post(CpuId(7), posted(parcels[0])).unwrap();
    });
    machine.become_cpu(other);
    machine.engine.post(CpuId(7), posted(parcels[1])).unwrap();
    machine.join(sender);
    machine.join(target);
    assert!(parcels.iter().all(|p| p.runs() == 1));
}
