// SPDX-License-Identifier: GPL-2.0
//! A buffer's switch against a firing probe: no half is touched by both sides, no record is lost.

use super::{firing_models_at, Model};
use crate::probes::{Probes, POINTS};
use dtrace_provider::model::Point;

pub fn models() -> Vec<Model> {
    let mut models = firing_models_at(
        &[Point::Reserved, Point::Served],
        "probe_two_switches",
        "two switches, which land at this step of firings: each consumer's half is its own",
        |at| switches(at, 2),
    );

    models.extend(firing_models_at(
        &POINTS,
        "probe_switch",
        "a call that switches a buffer lands at this step of a firing: the consumer reads whole \
             records only, each of them once, in order",
        |at| switches(at, 1),
    ));
    models
}

fn switches(at: Option<Point>, count: usize) {
    let mut probes = Probes::new();
    let consumer = probes.consumer();
    probes.control.go(consumer).unwrap();
    let cpu = probes.fires(at, &[10, 11]);
    let mut read = vec![];
    for _ in 0..count {
        read.extend(probes.snapshot(consumer));
    }
    probes.join(cpu);
    read.extend(probes.snapshot(consumer));
    assert_eq!(read, [10, 11]);
    let counts = probes.control.counts(consumer, 1, Some(0)).unwrap();
    assert_eq!((counts.hits, counts.records), (2, 2));
}
