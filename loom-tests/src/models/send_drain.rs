// SPDX-License-Identifier: GPL-2.0
//! Sending against draining: no call lost, none run twice, a ring saved only when another is due.

use super::{model, Model};
use crate::machine::Model as Machine;
use crate::machine::BOTH_LANES;
use crate::shared::{nmi_safe, Parcel};
use xcall::model::{set_hook, unstarted, Point};
use xcall::{CpuId, Lane, Work};

pub fn models() -> Vec<Model> {
    vec![
        model(
            "saved_ring",
            "two senders post to one idle target: it hears of both calls, though one ring may be saved",
            |_| senders_to_one(&[2, 3], false),
        ),
        model(
            "polled_and_rung",
            "a target that also looks without being rung runs each call once",
            |_| senders_to_one(&[2, 3], true),
        ),
        model(
            "three_senders",
            "three senders post to one idle target: all are heard, each once",
            |_| senders_to_one(&[1, 2, 3], false),
        )
        .bounded(3),
        model(
            "one_claim_at_a_time",
            "while a target runs one of two calls, the other can still be withdrawn",
            |_| one_claim_at_a_time(),
        ),
    ]
}

/// A leaked parcel as work that may be posted.
pub fn posted(parcel: &'static Parcel) -> Work<'static> {
    let run: &'static _ = Box::leak(Box::new(|| parcel.run()));
    nmi_safe(run)
}

/// `senders` each post a call to CPU 0; the last of them is this thread.
fn senders_to_one(senders: &[u32], polls: bool) {
    let online: Vec<u32> = [0].iter().chain(senders).copied().collect();
    let machine = Machine::new(&online);
    let parcels: Vec<_> = senders.iter().map(|s| Parcel::leaked(*s)).collect();
    let expected = parcels.clone();
    let target = machine.on_cpu(0, move |m| {
        if polls {
            m.engine.answer(&BOTH_LANES);
        }
        m.idle_until(|| expected.iter().all(|p| p.runs() > 0));
    });
    let mut threads = vec![];
    for (sender, parcel) in senders.iter().copied().zip(parcels.clone()) {
        let send = move |m: &Machine| m.engine.post(CpuId(0), posted(parcel)).unwrap();
        if sender == *senders.last().unwrap() {
            machine.become_cpu(sender);
            send(&machine);
        } else {
            threads.push(machine.on_cpu(sender, send));
        }
    }
    for thread in threads {
        machine.join(thread);
    }
    machine.join(target);
    for parcel in parcels {
        assert_eq!(parcel.runs(), 1);
        parcel.assert_answered();
    }
}

fn one_claim_at_a_time() {
    let machine = Machine::new(&[0, 1]);
    machine.become_cpu(1);
    for n in 0..2 {
        let parcel = Parcel::leaked(n);
        machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    }
    machine.become_cpu(0);
    let in_hook = machine.clone();
    let mut left = 2;
    set_hook(Box::new(move |point| {
        if point == Point::DrainClaimed {
            left -= 1;
            assert_eq!(unstarted(&in_hook.engine, CpuId(0), Lane::NmiSafe), left);
        }
    }));
    assert_eq!(machine.engine.answer(&BOTH_LANES), 2);
}
