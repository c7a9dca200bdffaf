// SPDX-License-Identifier: GPL-2.0
//! A firing interrupted by an NMI whose probe fires.

use super::{firing_models_at, Model};
use crate::probes::{args, Probes, POINTS, PROBE};
use dtrace_provider::model::{set_hook, Point};

pub fn models() -> Vec<Model> {
    firing_models_at(
        &POINTS,
        "probe_nested",
        "a probe fires at this step of a firing, and the consumer switches meanwhile: it is refused \
         and counted inside, recorded outside; nothing is lost",
        nested,
    )
}

fn nested(at: Option<Point>) {
    let mut probes = Probes::new();
    let consumer = probes.consumer();
    probes.control.go(consumer).unwrap();
    let cpu = probes.on_cpu_0(move |bench, framework| {
        let inner = framework as *const dtrace_provider::Framework<_>;
        let mut armed = true;
        set_hook(Box::new(move |point| {
            if Some(point) == at && std::mem::take(&mut armed) {
                // SAFETY: the framework outlives the firing that this hook runs in.
                unsafe { (*inner).fire(PROBE, &args(20)) };
            }
            bench.reached(point, at);
        }));
        framework.fire(PROBE, &args(10));
    });
    let mut read = probes.snapshot(consumer);
    probes.join(cpu);
    read.extend(probes.snapshot(consumer));
    let expected: &[u64] = match at {
        Some(Point::Left) => &[10, 20],
        _ => &[10],
    };
    assert_eq!(read, expected);
    let refused = probes.control.framework().nested(0);
    assert_eq!(read.len() as u64 + refused, 2);
}
