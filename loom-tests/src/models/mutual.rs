// SPDX-License-Identifier: GPL-2.0
//! CPUs that call each other while neither can take a doorbell.

use super::{model, Model};
use crate::machine::{irqs_off, Model as Machine};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::CpuId;

pub fn models() -> Vec<Model> {
    vec![model(
        "mutual",
        "two CPUs call each other with interrupts off and no doorbell is ever answered: both calls \
         run, because a waiter answers its own mailbox",
        |_| mutual(),
    )]
}

fn mutual() {
    let machine = Machine::new(&[0, 1]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let call_other = |me: u32, m: &Machine, parcels: &[Parcel; 2]| {
        let other = 1 - me;
        let to_other = &parcels[other as usize];
        let run = || to_other.run();
        irqs_off(|| m.engine.call(CpuId(other), nmi_safe(&run)).unwrap());
        to_other.assert_answered();
        // Interrupts are back on: a doorbell that came late is heard.
        m.idle_until(|| parcels[me as usize].runs() > 0);
    };
    let theirs = parcels.clone();
    let other = machine.on_cpu(0, move |m| call_other(0, m, &theirs));
    machine.become_cpu(1);
    call_other(1, &machine, &parcels);
    machine.join(other);
    assert!(parcels.iter().all(|p| p.runs() == 1));
}
