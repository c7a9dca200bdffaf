// SPDX-License-Identifier: GPL-2.0
//! One call to many targets.

use super::{model, Model};
use crate::machine::Model as Machine;
use crate::shared::{nmi_safe, Parcel};
use std::cell::Cell;
use std::sync::Arc;
use xcall::CpuSet;

loom::thread_local! {
    static PLAYS: Cell<usize> = Cell::new(0);
}

pub fn models() -> Vec<Model> {
    vec![model(
        "broadcast",
        "a call to two CPUs and the caller's own: all run it once, and the caller sees what each wrote",
        |_| broadcast(),
    )]
}

fn broadcast() {
    let machine = Machine::new(&[0, 1, 2]);
    machine.waits_spin();
    let parcels: Arc<[Parcel; 3]> = Arc::new([1, 2, 3].map(Parcel::new));
    let mut targets = vec![];
    for cpu in 0..2 {
        let mine = parcels.clone();
        targets.push(machine.on_cpu(cpu, move |m| {
            PLAYS.with(|c| c.set(cpu as usize));
            m.idle_until(|| mine[cpu as usize].runs() > 0);
        }));
    }
    machine.become_cpu(2);
    PLAYS.with(|c| c.set(2));
    let run = || parcels[PLAYS.with(Cell::get)].run();
    let reached = machine
        .engine
        .call_many(CpuSet::new(&[0b111]), nmi_safe(&run), None)
        .unwrap();
    assert_eq!((reached.ran, reached.offline.count()), (3, 0));
    for parcel in parcels.iter() {
        parcel.assert_answered();
        parcel.end_of_life();
    }
    for target in targets {
        machine.join(target);
    }
    assert!(parcels.iter().all(|p| p.runs() == 1));
}
