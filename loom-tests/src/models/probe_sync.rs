// SPDX-License-Identifier: GPL-2.0
//! sync against a firing probe: what a firing reads stays until it is over.

use super::{firing_models_at, Model};
use crate::probes::{Probes, POINTS};
use dtrace_provider::model::Point;

pub fn models() -> Vec<Model> {
    [
        firing_models_at(
            &POINTS,
            "probe_close",
            "a consumer is closed and sync's call lands at this step of a firing: the ECB, its program \
             and the consumer's variables live until the firing is over",
            close,
        ),
        firing_models_at(
            &POINTS,
            "probe_stop",
            "tracing stops, and sync's call lands at this step of a firing: after STOP the counters are \
             exact and no record comes",
            stop,
        ),
    ]
    .concat()
}

fn close(at: Option<Point>) {
    let mut probes = Probes::new();
    let consumer = probes.consumer();
    probes.control.go(consumer).unwrap();
    let cpu = probes.fires(at, &[10, 11]);
    probes.control.close(consumer);
    probes.join(cpu);
}

fn stop(at: Option<Point>) {
    let mut probes = Probes::new();
    let consumer = probes.consumer();
    probes.control.go(consumer).unwrap();
    let cpu = probes.fires(at, &[10]);
    probes.control.stop(consumer).unwrap();
    let counts = probes.control.counts(consumer, 1, Some(0)).unwrap();
    let read = probes.snapshot(consumer);
    assert_eq!(read.len() as u64, counts.records);
    probes.join(cpu);
    let after = probes.control.counts(consumer, 1, Some(0)).unwrap();
    assert!(after.is_whole());
    assert_eq!(after.records, counts.records);
    assert_eq!(probes.snapshot(consumer), [0; 0]);
}
