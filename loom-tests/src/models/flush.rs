// SPDX-License-Identifier: GPL-2.0
//! A flush against posts and the reuse of their slots.

use super::send_drain::posted;
use super::{model, Model};
use crate::machine::{Model as Machine, BOTH_LANES};
use crate::shared::Parcel;
use xcall::{CpuId, Error, SLOTS};

pub fn models() -> Vec<Model> {
    vec![
        model(
            "flush",
            "after a flush the calls posted before have run, and what they wrote is seen",
            |_| flush(),
        ),
        model(
            "flush_reused_slot",
            "a flush from another CPU while the slot of the posted call serves the next one: what \
             the first wrote is seen",
            |_| flush_reused_slot(),
        )
        .bounded(3),
        model(
            "flush_withdrawn_successor",
            "the same, and the next call of the slot is withdrawn at once",
            |_| flush_withdrawn_successor(),
        ),
    ]
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

/// CPU 1 posts to CPU 0 and, once that has ended, until the slot is used again; CPU 2 flushes.
fn flush_reused_slot() {
    let machine = Machine::new(&[0, 1, 2]);
    let first = Parcel::leaked(1);
    let others: Vec<_> = (1..=SLOTS as u32 / 2)
        .map(|n| Parcel::leaked(n + 1))
        .collect();
    machine.become_cpu(1);
    machine.engine.post(CpuId(0), posted(first)).unwrap();
    let target = machine.on_cpu(0, |m| m.engine.answer(&BOTH_LANES));
    let poster = machine.on_cpu(1, move |m| {
        for parcel in others {
            let _ = m.engine.post(CpuId(0), posted(parcel));
        }
    });
    machine.become_cpu(2);
    let flushed = machine.engine.flush(Some(0));
    if flushed.is_ok() {
        first.assert_answered();
    }
    machine.join(poster);
    machine.join(target);
}

fn flush_withdrawn_successor() {
    let machine = Machine::new(&[0, 1, 2]);
    let first = Parcel::leaked(1);
    machine.become_cpu(1);
    machine.engine.post(CpuId(0), posted(first)).unwrap();
    machine.become_cpu(2);
    machine.engine.close();
    let target = machine.on_cpu(0, |m| m.engine.answer(&BOTH_LANES));
    let poster = machine.on_cpu(1, move |m| {
        let second = m.engine.post(CpuId(2), posted(Parcel::leaked(2)));
        assert_eq!(second, Err(Error::Offline));
    });
    machine.become_cpu(2);
    if machine.engine.flush(Some(0)).is_ok() {
        first.assert_answered();
    }
    machine.join(poster);
    machine.join(target);
}
