// SPDX-License-Identifier: GPL-2.0
//! A caller that withdraws at its deadline against a target that claims.

use super::{model, Model};
use crate::machine::{in_nmi, Model as Machine, BOTH_LANES};
use crate::shared::{nmi_safe, Parcel};
use std::sync::Arc;
use xcall::model::{set_hook, Point};
use xcall::{CpuId, CpuSet, Error};

pub fn models() -> Vec<Model> {
    vec![
        model(
            "withdraw",
            "the deadline passes at once: the call runs or is withdrawn, never both, never neither; \
             the argument is left alone after the caller returned; the slot serves the next call",
            |_| withdraw(),
        ),
        model(
            "withdraw_broadcast",
            "the same with two targets: the caller names exactly those that did not run the call",
            |_| withdraw_broadcast(),
        )
        .bounded(6),
        model(
                "nested_send",
                "an NMI right after a withdrawal calls the same target and waits: its call runs, the \
                 withdrawn one does not",
                nested_after_withdrawal,
        )
        .at(Point::WaitWithdrew)
        .bounded(6),
        model(
            "nmi_has_its_own_limit",
            "an NMI interrupts a wait whose time is up and calls a third CPU, which answers: no timeout",
            nmi_has_its_own_limit,
        )
        .at(Point::WaitWithdrew),
    ]
}

fn withdraw() {
    let machine = Machine::new(&[0, 1]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let target = machine.on_cpu(0, move |m| m.idle_until(|| expected[1].runs() > 0));
    machine.become_cpu(1);

    let hasty = &parcels[0];
    let run = || hasty.run();
    let result = machine.engine.call(CpuId(0), nmi_safe(&run).within_ns(0));
    match result {
        Ok(()) => {
            hasty.assert_answered();
            assert_eq!(hasty.runs(), 1);
        }
        Err(Error::Timeout(timeout)) => {
            assert_eq!(timeout.silent.named().collect::<Vec<_>>(), [CpuId(0)]);
            assert_eq!(hasty.runs(), 0);
        }
        Err(other) => panic!("{other:?}"),
    }
    let ran = hasty.runs();
    hasty.end_of_life();

    let patient = &parcels[1];
    let run = || patient.run();
    machine.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
    patient.assert_answered();
    machine.join(target);
    assert_eq!((hasty.runs(), patient.runs()), (ran, 1));
}

fn withdraw_broadcast() {
    let machine = Machine::new(&[0, 1, 2]);
    let parcel = Arc::new(Parcel::new(1));
    let mut targets = vec![];
    for cpu in 0..2 {
        targets.push(machine.on_cpu(cpu, move |m| m.engine.answer(&BOTH_LANES)));
    }
    machine.become_cpu(2);
    let run = || parcel.run_quietly();
    let work = nmi_safe(&run).within_ns(0);
    let result = machine.engine.call_many(CpuSet::new(&[0b11]), work, None);
    let silent: Vec<CpuId> = match &result {
        Ok(reached) => {
            assert_eq!(reached.ran, 2);
            vec![]
        }
        Err(Error::Timeout(t)) => {
            assert_eq!(t.reached.ran + t.silent.count(), 2);
            t.silent.named().collect()
        }
        Err(other) => panic!("{other:?}"),
    };
    parcel.end_of_life();
    for (cpu, target) in targets.into_iter().enumerate() {
        let ran = machine.join(target);
        assert_eq!(ran == 0, silent.contains(&CpuId(cpu as u32)));
    }
}

fn nested_after_withdrawal(at: Option<Point>) {
    let machine = Machine::new(&[0, 1]);
    let parcels = Arc::new([Parcel::new(1), Parcel::new(2)]);
    let expected = parcels.clone();
    let target = machine.on_cpu(0, move |m| m.idle_until(|| expected[1].runs() > 0));
    machine.become_cpu(1);
    let call = |m: &Machine, parcel: &Parcel| {
        let run = || parcel.run();
        m.engine.call(CpuId(0), nmi_safe(&run)).unwrap();
        parcel.assert_answered();
    };
    let (in_hook, nmi_parcels) = (machine.clone(), parcels.clone());
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            in_nmi(|| call(&in_hook, &nmi_parcels[1]));
        }
    }));
    let hasty = &parcels[0];
    let run = || hasty.run();
    let result = machine.engine.call(CpuId(0), nmi_safe(&run).within_ns(0));
    assert_eq!(result.is_ok(), hasty.runs() == 1);
    hasty.end_of_life();
    set_hook(Box::new(|_| {}));
    if parcels[1].runs() == 0 {
        call(&machine, &parcels[1]);
    }
    machine.join(target);
}

fn nmi_has_its_own_limit(at: Option<Point>) {
    let machine = Machine::new(&[0, 1, 2]);
    let parcel = Arc::new(Parcel::new(1));
    let expected = parcel.clone();
    let healthy = machine.on_cpu(2, move |m| m.idle_until(|| expected.runs() > 0));
    machine.become_cpu(1);
    let (in_hook, nmi_parcel) = (machine.clone(), parcel.clone());
    let mut armed = true;
    set_hook(Box::new(move |point| {
        if Some(point) == at && std::mem::take(&mut armed) {
            let run = || nmi_parcel.run();
            in_nmi(|| in_hook.engine.call(CpuId(2), nmi_safe(&run)).unwrap());
        }
    }));
    let unheard = Parcel::new(2);
    let run = || unheard.run();
    let work = nmi_safe(&run).within_ns(0);
    assert!(machine.engine.call(CpuId(0), work).is_err());
    machine.join(healthy);
}
