// SPDX-License-Identifier: GPL-2.0
//! One ECB in a firing: may it fire, does its predicate hold, is there room, its record. Probe context.

#![forbid(unsafe_code)]

use crate::actions::{run, Actions};
use crate::activity::Role;
use crate::clause::Work;
use crate::consumer::{CpuBuffers, Ecb, Running};
use crate::counts::Outcome;
use crate::cpu::Pen;
use crate::expression::{Expression, Site};
use crate::fire::{Failure, Hands};
use crate::half::{write, Half, NoRoom};
use crate::machine::Machine;
use crate::memory::Node;
use crate::point::{reach, Point};
use core::convert::Infallible;
use dtrace_interface::record::write_number;

/// Runs an ECB up to its outcome; [`Hands::failure`] says of what it failed.
#[inline(always)]
pub(crate) fn run_ecb<M: Machine>(
    ecb: &Ecb<M>,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Outcome {
    let consumer = &*ecb.consumer;
    if !consumer.activity.lets(ecb.role) {
        return Outcome::Inactive;
    }
    let inside = hands.inside;
    let Some(running) = consumer.running.get(inside) else {
        return Outcome::Inactive;
    };
    if running.only_cpu.is_some_and(|cpu| cpu != inside.cpu()) {
        return Outcome::Inactive;
    }
    if ecb.role == Role::Any && hands.process == consumer.process() && !consumer.traces_itself() {
        return Outcome::SelfFiltered;
    }
    let Some(buffers) = running.buffers(inside) else {
        return Outcome::Drop;
    };
    if hands.left == 0 {
        buffers.principal.write(hands.pen, Half::dropped);
        return Outcome::Drop;
    }
    hands.left = hands.left.saturating_sub(ecb.clause.words);
    match ecb.clause.is_plain {
        true => leave_values(ecb, running, buffers, args, hands),
        false => run_programs(ecb, running, buffers, args, hands),
    }
}

/// A clause that leaves values which are at hand, one after the other.
#[inline(always)]
fn leave_values<M: Machine>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    buffers: &CpuBuffers,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Outcome {
    reach(Point::Admitted);
    let process = hands.process;
    let left = leave_record(ecb, running, buffers, hands.pen, |area| {
        for step in &ecb.clause.steps {
            if let Work::Store(expression) = &step.work {
                let value = expression.plain(args, process).unwrap_or_default();
                if let Some(record) = area.get_mut(step.offset..step.end) {
                    write_number(value, record);
                }
            }
        }
        Ok(())
    });
    let Ok(outcome): Result<_, Infallible> = left;
    outcome
}

/// Any other clause: a predicate, then actions.
#[inline(never)]
fn run_programs<M: Machine>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    buffers: &CpuBuffers,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Outcome {
    let whose: *const Node<_> = &*ecb.consumer;
    if hands.consumer.is_null() {
        M::Expression::begin_firing(hands.environment);
    }
    if !core::ptr::eq(whose, hands.consumer) {
        M::Expression::begin(hands.environment);
        hands.consumer = whose;
    }
    M::Expression::begin_clause(hands.environment);
    let site = Site {
        cpu: hands.inside.cpu(),
        probe: ecb.probe,
        name: &ecb.name,
        epid: ecb.epid,
        args,
        variables: &running.variables,
    };
    if let Some(predicate) = &ecb.clause.predicate {
        match predicate.value(&site, hands.environment) {
            Ok(0) => return Outcome::PredicateFalse,
            Ok(_) => {}
            Err(fault) => {
                buffers.principal.write(hands.pen, Half::failed);
                hands.failure = Some(Failure { action: 0, fault });
                return Outcome::Error;
            }
        }
    }
    reach(Point::Admitted);
    let mut actions = Actions {
        ecb,
        site: &site,
        buffers,
        pen: hands.aggregation_pen,
        environment: hands.environment,
        has_dropped: false,
    };
    let left = leave_record(ecb, running, buffers, hands.pen, |area| {
        run(&mut actions, area)
    });
    match left {
        // An aggregation without room is the outcome where there is no record.
        Ok(Outcome::Record) if actions.has_dropped && ecb.clause.size == 0 => Outcome::Drop,
        Ok(outcome) => outcome,
        Err(failure) => {
            hands.failure = Some(failure);
            Outcome::Error
        }
    }
}

/// Has `fill` write the clause's record, if it leaves one and there is room for it.
#[inline(always)]
fn leave_record<M: Machine, F>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    buffers: &CpuBuffers,
    pen: &mut Pen<'_, Half>,
    fill: impl FnOnce(&mut [u8]) -> Result<(), F>,
) -> Result<Outcome, F> {
    let clause = &*ecb.clause;
    let left = buffers.principal.write(pen, |half| {
        if clause.size == 0 {
            return match fill(&mut []) {
                Ok(()) => Ok(Outcome::Record),
                Err(failure) => {
                    half.failed();
                    Err(failure)
                }
            };
        }
        let keep = (ecb.role != Role::End).then_some(running.keep);
        let room = half.reserve(clause.size, clause.align, keep, |epid| {
            running.size_of(epid)
        });
        let room = match room {
            Ok(room) => room,
            Err(full) => {
                if full == NoRoom::JustFilled {
                    ecb.consumer.count_filled();
                }
                return Ok(Outcome::Drop);
            }
        };
        reach(Point::Reserved);
        let Some(area) = half.room(room) else {
            return Ok(Outcome::Drop);
        };
        if !clause.is_dense {
            area.fill(0);
        }
        match clause.is_wide {
            // Little-endian: the EPID, then zeros.
            true => write(area, 0, &u64::from(ecb.epid).to_le_bytes()),
            false => write(area, 0, &ecb.epid.to_ne_bytes()),
        }
        if let Err(failure) = fill(area) {
            half.abandon(room);
            return Err(failure);
        }
        reach(Point::Written);
        half.commit(room);
        Ok(Outcome::Record)
    });
    reach(Point::Committed);
    left.unwrap_or(Ok(Outcome::Drop))
}
