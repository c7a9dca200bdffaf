// SPDX-License-Identifier: GPL-2.0
//! CPUs that go offline and come back, against senders.

use super::send_drain::posted;
use super::{model, Model};
use crate::machine::{AtomicFlag, Model as Machine, BOTH_LANES};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::{CpuId, Error};

pub fn models() -> Vec<Model> {
    vec![
        model(
            "offline",
            "a CPU goes offline against a call: it runs and is reported so, or is reported offline \
             and does not run; the CPU stays closed",
            |_| offline(),
        ),
        model(
            "offline_unheard",
            "the ring of a call is lost and its target goes offline: the second ring finds it closed",
            |_| offline_unheard(),
        ),
        model(
            "back_online",
            "a CPU that goes and comes back takes calls at once: no due mark of the time between \
             saves a ring that nobody owes",
            |_| back_online(),
        ),
        model(
            "opened_twice",
            "opening a mailbox that is open hides no call",
            |_| opened_twice(),
        ),
        model(
            "post_against_offline",
            "a posted call whose ring is lost against its target going offline, tended meanwhile: if \
             it was sent it runs",
            |_| post_against_offline(),
        ),
    ]
}

fn offline() {
    let machine = Machine::new(&[0, 1]);
    let parcel = Arc::new(Parcel::new(1));
    let target = machine.on_cpu(0, |m| {
        m.engine.close();
        // A doorbell that comes late.
        m.engine.answer(&crate::machine::BOTH_LANES);
    });
    machine.become_cpu(1);
    let run = || parcel.run();
    let result = machine.engine.call(CpuId(0), nmi_safe(&run));
    let ran = match result {
        Ok(()) => {
            parcel.assert_answered();
            1
        }
        Err(Error::Offline) => 0,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(parcel.runs(), ran);
    parcel.end_of_life();
    machine.join(target);
    assert_eq!(parcel.runs(), ran);
    assert!(!machine.engine.is_online(CpuId(0)));
}

fn back_online() {
    let machine = Machine::new(&[0, 1]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let back = Arc::new(AtomicFlag::new(false));
    let told = back.clone();
    let target = machine.on_cpu(0, move |m| {
        m.engine.close();
        m.engine.open();
        m.tell(1, &told);
        m.idle_until(|| expected[1].runs() > 0);
    });
    machine.become_cpu(1);
    let early = &parcels[0];
    let run = || early.run();
    let ran = match machine.engine.call(CpuId(0), nmi_safe(&run)) {
        Ok(()) => 1,
        Err(Error::Offline) => 0,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(early.runs(), ran);
    early.end_of_life();
    machine.wait_for(&back);
    let late = &parcels[1];
    let run = || late.run();
    machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    late.assert_answered();
    machine.join(target);
    assert_eq!((early.runs(), late.runs()), (ran, 1));
}

fn offline_unheard() {
    let machine = Machine::with_config(&[0, 1], |config| config.ring_again_ns = 1);
    machine.lose_rings(1);
    machine.tick(4);
    let parcel = Arc::new(Parcel::new(1));
    let target = machine.on_cpu(0, |m| {
        m.engine.close();
    });
    machine.become_cpu(1);
    let run = || parcel.run();
    let result = machine.engine.call(CpuId(0), nmi_safe(&run));
    assert_eq!(parcel.runs(), u32::from(result.is_ok()));
    parcel.end_of_life();
    machine.join(target);
}

fn opened_twice() {
    let machine = Machine::new(&[0, 1]);
    let parcel = Parcel::leaked(1);
    machine.become_cpu(1);
    machine.engine.post(CpuId(0), posted(parcel)).unwrap();
    machine.become_cpu(0);
    machine.engine.open();
    assert_eq!(machine.engine.answer(&BOTH_LANES), 1);
}

fn post_against_offline() {
    let machine = Machine::with_config(&[0, 1], |config| config.ring_again_ns = 1);
    machine.lose_rings(1);
    let parcel = Parcel::leaked(1);
    let target = machine.on_cpu(0, |m| m.engine.close());
    machine.become_cpu(1);
    let sent = machine.engine.post(CpuId(0), posted(parcel));
    machine.pass_time(2);
    machine.engine.tend();
    machine.join(target);
    assert_eq!(parcel.runs(), u32::from(sent.is_ok()), "{sent:?}");
}
