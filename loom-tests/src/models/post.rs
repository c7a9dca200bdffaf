// SPDX-License-Identifier: GPL-2.0
//! Posted calls and the slots they leave behind.

use super::send_drain::posted;
use super::{models_at, Model};
use crate::machine::{in_nmi, Model as Machine, BOTH_LANES};
use crate::shared::Parcel;
use std::sync::Arc;
use std::sync::Mutex;
use xcall::model::{set_hook, Point};
use xcall::{CpuId, Error, SLOTS};

/// Slots that posted calls may use.
const POSTED: usize = SLOTS / 2;

pub fn models() -> Vec<Model> {
    let points = [Point::ClaimTaken, Point::SendClaimed];
    [
        models_at(
            &points,
            "slot_taken_over",
            "all slots for posted calls are used and ended; a post takes one over while an NMI posts \
             as many as it can: no slot serves two, every call runs once",
            |at| slots_claimed(POSTED, at),
        ),
        models_at(
            &points,
            "free_slot_claimed",
            "a post claims a free slot while an NMI posts as many as it can: no slot serves two, every \
             call runs once",
            |at| slots_claimed(0, at),
        ),
    ]
    .concat()
}

/// `used`: slots whose posted calls have ended. Nothing but the models' own hooks interrupts: where
/// `at` is not on the way, the NMI does not come.
fn slots_claimed(used: usize, at: Option<Point>) {
    let machine = Machine::new(&[0, 1]);
    let first: Vec<_> = (0..used).map(|n| Parcel::leaked(n as u32)).collect();
    machine.become_cpu(1);
    for parcel in &first {
        machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    }
    machine.become_cpu(0);
    machine.engine.answer(&BOTH_LANES);

    let all: Arc<Mutex<Vec<&'static Parcel>>> = Arc::default();
    let (in_hook, sent) = (machine.clone(), all.clone());
    machine.become_cpu(1);
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            in_nmi(|| {
                for n in 0..POSTED {
                    let parcel = Parcel::leaked(10 + n as u32);
                    match in_hook.engine.post(CpuId(0), posted(parcel)) {
                        Ok(()) => sent.lock().unwrap().push(parcel),
                        Err(Error::Busy) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    }));
    let parcel = Parcel::leaked(20);
    match machine.engine.post(CpuId(0), posted(parcel)) {
        Ok(()) => all.lock().unwrap().push(parcel),
        Err(Error::Busy) => {}
        Err(other) => panic!("{other:?}"),
    }
    set_hook(Box::new(|_| {}));
    machine.become_cpu(0);
    machine.engine.answer(&BOTH_LANES);
    let all = all.lock().unwrap();
    assert!(all.len() >= POSTED - 1 || used == 0);
    assert!(!all.is_empty());
    for parcel in first.iter().chain(all.iter()) {
        assert_eq!(parcel.runs(), 1);
    }
}
