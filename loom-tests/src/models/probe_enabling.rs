// SPDX-License-Identifier: GPL-2.0
//! Enabling and disabling against a firing probe: the others' ECBs miss nothing.

use super::{firing_model, firing_models_at, Model};
use crate::probes::{Probes, PROBE};
use dtrace_provider::model::Point;

pub fn models() -> Vec<Model> {
    let mut models = firing_models_at(
        &[Point::EcbSeen, Point::Reserved, Point::Left],
        "probe_disable",
        "one of two consumers of a probe goes while it fires: the other has every record",
        disable,
    );
    models.extend([
        firing_model(
            "probe_enable",
            "a probe is enabled while it fires: a firing sees the whole ECB or none of it",
            enable,
            None,
        ),
        firing_model(
            "probe_enable_between",
            "a consumer's second clause comes before another's while both fire: the other has every record",
            enable_between,
            None,
        ),
        firing_model(
            "probe_go",
            "GO while the probe fires: a firing finds all that it needs, or is counted as inactive",
            go,
            None,
        ),
        firing_model(
            "probe_late_cpu",
            "a CPU gets its buffers while it fires: a firing finds them whole, or is a drop that the snapshot tells",
            late_cpu,
            None,
        ),
    ]);
    models
}

fn disable(at: Option<Point>) {
    let mut probes = Probes::new();
    let first = probes.consumer();
    let second = probes.consumer();
    for consumer in [first, second] {
        probes.control.go(consumer).unwrap();
    }
    let cpu = probes.fires(at, &[10]);
    probes.control.close(first);
    probes.join(cpu);
    assert_eq!(probes.snapshot(second), [10]);
}

fn enable(_: Option<Point>) {
    let mut probes = Probes::new();
    let first = probes.consumer();
    probes.control.go(first).unwrap();
    let second = probes.control.open(1).unwrap();
    let cpu = probes.fires(None, &[10]);
    probes.enable(second);
    probes.join(cpu);
    assert_eq!(probes.snapshot(first), [10]);
    assert!(probes.control.framework().is_enabled(PROBE));
    let counts = probes.control.counts(second, 1, Some(0)).unwrap();
    assert_eq!(counts.hits, counts.inactive);
}

fn enable_between(_: Option<Point>) {
    let mut probes = Probes::new();
    // Not tracing yet.
    let first = probes.consumer();
    let second = probes.consumer();
    probes.control.go(second).unwrap();
    let cpu = probes.fires(None, &[10]);
    probes.enable(first);
    probes.join(cpu);
    assert_eq!(probes.snapshot(second), [10]);
    let later = probes.control.counts(first, 2, Some(0)).unwrap();
    assert_eq!(later.hits, later.inactive);
}

fn go(_: Option<Point>) {
    let mut probes = Probes::new();
    let consumer = probes.consumer();
    let cpu = probes.fires(None, &[10, 11]);
    probes.control.go(consumer).unwrap();
    probes.join(cpu);
    let counts = probes.control.counts(consumer, 1, Some(0)).unwrap();
    assert_eq!((counts.hits, counts.records + counts.inactive), (2, 2));
    assert_eq!(probes.snapshot(consumer).len() as u64, counts.records);
}

fn late_cpu(_: Option<Point>) {
    let mut probes = Probes::with_cpu_online(false);
    let consumer = probes.consumer();
    probes.control.go(consumer).unwrap();
    probes.bring_online();
    let cpu = probes.fires(None, &[10, 11]);
    probes.control.status(consumer).unwrap();
    probes.join(cpu);
    let counts = probes.control.counts(consumer, 1, Some(0)).unwrap();
    assert_eq!((counts.hits, counts.records + counts.drops), (2, 2));
    let (values, drops) = probes.snapshot_and_drops(consumer);
    assert_eq!((values.len() as u64, drops), (counts.records, counts.drops));
}
