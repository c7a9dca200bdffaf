// SPDX-License-Identifier: GPL-2.0
//! Snapshots of statistics taken while calls are under way.

use super::{model, Model};
use crate::machine::Model as Machine;
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::CpuId;

pub fn models() -> Vec<Model> {
    vec![
        model(
            "statistics",
            "a snapshot never shows more calls run or withdrawn than made; at rest they are equal",
            |_| snapshot(),
        ),
        model(
            "statistics_of_withdrawal",
            "the same while a call is withdrawn",
            |_| snapshot_of_withdrawal(),
        ),
    ]
}

fn snapshot() {
    xcall::model::model_counters();
    let machine = Machine::new(&[0, 1, 2]);
    let parcel = Arc::new(Parcel::new(1));
    let expected = parcel.clone();
    let target = machine.on_cpu(0, move |m| m.idle_until(|| expected.runs() > 0));
    let reader = machine.on_cpu(2, |m| {
        let stats = m.engine.total_stats();
        assert!(stats.run + stats.withdrawn <= stats.made);
    });
    machine.become_cpu(1);
    let run = || parcel.run();
    machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    machine.join(reader);
    machine.join(target);
    let stats = machine.engine.total_stats();
    assert_eq!((stats.made, stats.run, stats.withdrawn), (1, 1, 0));
}

fn snapshot_of_withdrawal() {
    xcall::model::model_counters();
    let machine = Machine::new(&[0, 1, 2]);
    let reader = machine.on_cpu(2, |m| {
        let stats = m.engine.total_stats();
        assert!(stats.run + stats.withdrawn <= stats.made);
    });
    machine.become_cpu(1);
    let parcel = Arc::new(Parcel::new(1));
    let run = || parcel.run();
    let work = nmi_safe(&run).within_ns(0);
    assert!(machine.engine.call(CpuId(0), work).is_err());
    machine.join(reader);
    let stats = machine.engine.total_stats();
    assert_eq!((stats.made, stats.run, stats.withdrawn), (1, 0, 1));
}
