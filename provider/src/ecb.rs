// SPDX-License-Identifier: GPL-2.0
//! One ECB in a firing: may it fire, does its predicate hold, is there room, its record. Probe context.

#![forbid(unsafe_code)]

use crate::actions::{run, Actions};
use crate::activity::Role;
use crate::consumer::{CpuBuffers, Ecb, Running};
use crate::counts::Outcome;
use crate::expression::{Expression, Site};
use crate::fire::{Failure, Hands};
use crate::half::{write, Half, NoRoom};
use crate::machine::{Machine, Surroundings};
use crate::memory::Node;
use crate::point::{reach, Point};

/// Runs an ECB up to its outcome.
#[inline]
pub(crate) fn run_ecb<M: Machine>(
    ecb: &Ecb<M>,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Result<Outcome, Failure> {
    let consumer = &ecb.consumer;
    if !consumer.activity.lets(ecb.role) {
        return Ok(Outcome::Inactive);
    }
    let inside = hands.inside;
    let Some(running) = consumer.running.get(inside) else {
        return Ok(Outcome::Inactive);
    };
    if running.only_cpu.is_some_and(|cpu| cpu != inside.cpu()) {
        return Ok(Outcome::Inactive);
    }
    if ecb.role == Role::Any
        && hands.environment.process() == consumer.process()
        && !consumer.traces_itself()
    {
        return Ok(Outcome::SelfFiltered);
    }
    let Some(buffers) = running.buffers(inside) else {
        return Ok(Outcome::Drop);
    };
    let clause = &*ecb.clause;
    if hands.left == 0 {
        buffers.principal.write(hands.pen, Half::dropped);
        return Ok(Outcome::Drop);
    }
    hands.left = hands.left.saturating_sub(clause.words);
    let site = Site {
        cpu: inside.cpu(),
        probe: ecb.probe,
        name: &ecb.name,
        epid: ecb.epid,
        args,
        variables: &running.variables,
    };
    if !clause.is_plain {
        prepare(ecb, hands);
    }
    if let Some(predicate) = &clause.predicate {
        let holds = predicate.value(&site, hands.environment);
        let holds = holds.map_err(|fault| {
            buffers.principal.write(hands.pen, Half::failed);
            Failure { action: 0, fault }
        })?;
        if holds == 0 {
            return Ok(Outcome::PredicateFalse);
        }
    }
    reach(Point::Admitted);
    record(ecb, running, buffers, &site, hands)
}

/// The environment is this clause's from here on.
fn prepare<M: Machine>(ecb: &Ecb<M>, hands: &mut Hands<'_, '_, M>) {
    let whose: *const Node<_> = &*ecb.consumer;
    if !core::ptr::eq(whose, hands.consumer) {
        M::Expression::begin(hands.environment);
        hands.consumer = whose;
    }
    M::Expression::begin_clause(hands.environment);
}

/// Runs the actions, with room for their records if they leave any.
#[inline]
fn record<M: Machine>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    buffers: &CpuBuffers,
    site: &Site<'_, <M::Expression as Expression>::Variables>,
    hands: &mut Hands<'_, '_, M>,
) -> Result<Outcome, Failure> {
    let clause = &*ecb.clause;
    let mut actions = Actions {
        ecb,
        site,
        buffers,
        pen: hands.aggregation_pen,
        environment: hands.environment,
        has_dropped: false,
    };
    let written = buffers.principal.write(hands.pen, |half| {
        if clause.size == 0 {
            let result = run(&mut actions, &mut []);
            if result.is_err() {
                half.failed();
            }
            return result.map(|()| match actions.has_dropped {
                true => Outcome::Drop,
                false => Outcome::Record,
            });
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
        let area = half.room(room);
        if !clause.is_dense {
            area.fill(0);
        }
        match clause.head() {
            // Little-endian: the EPID, then zeros.
            8 => write(area, 0, &u64::from(ecb.epid).to_le_bytes()),
            _ => write(area, 0, &ecb.epid.to_ne_bytes()),
        }
        if let Err(failure) = run(&mut actions, area) {
            half.abandon(room);
            return Err(failure);
        }
        reach(Point::Written);
        half.commit(room);
        Ok(Outcome::Record)
    });
    reach(Point::Committed);
    written.unwrap_or(Ok(Outcome::Drop))
}
