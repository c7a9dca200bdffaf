// SPDX-License-Identifier: GPL-2.0
//! One ECB in a firing: may it fire, does its predicate hold, is there room, its record. Probe context.

#![forbid(unsafe_code)]

use crate::actions::{run, Actions};
use crate::activity::Role;
use crate::clause::Head;
use crate::consumer::{CpuBuffers, Ecb, Running};
use crate::counts::Outcome;
use crate::expression::{Expression, Site};
use crate::fire::{Failure, Hands};
use crate::half::{write, Half, NoRoom, Room};
use crate::halves::OwnHalf;
use crate::machine::Machine;
use crate::memory::Node;
use crate::point::{reach, Point};
use crate::value::Value;

type SiteOf<'a, M> = Site<'a, <<M as Machine>::Expression as Expression>::Variables>;

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
    if running.only_cpu.is_some_and(|cpu| cpu != hands.cpu) {
        return Outcome::Inactive;
    }
    if ecb.role == Role::Any && hands.process == consumer.process() && !consumer.traces_itself() {
        return Outcome::SelfFiltered;
    }
    let Some(buffers) = running.buffers(inside) else {
        return run_unbuffered(ecb, running, args, hands);
    };
    if hands.left == 0 {
        if let Some(mut half) = buffers.principal.own(hands.pen) {
            half.dropped();
        }
        return Outcome::Drop;
    }
    hands.left = hands.left.saturating_sub(ecb.clause.words);
    match &ecb.clause.values {
        Some(values) => leave_values(values, ecb, running, buffers, args, hands),
        None => run_programs(ecb, running, buffers, args, hands),
    }
}

/// A clause that leaves values which are at hand, one after the other.
#[inline(always)]
fn leave_values<M: Machine>(
    values: &[Value],
    ecb: &Ecb<M>,
    running: &Running<M>,
    buffers: &CpuBuffers,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Outcome {
    reach(Point::Admitted);
    let Some(mut half) = buffers.principal.own(hands.pen) else {
        return Outcome::Drop;
    };
    let Some((room, area)) = begin_record(ecb, running, &mut half) else {
        return Outcome::Drop;
    };
    for value in values {
        value.leave(args, hands.process, area);
    }
    end_record(half, room)
}

/// On a CPU that has just come online and has no buffer yet: a drop, if the predicate holds.
#[cold]
#[inline(never)]
fn run_unbuffered<M: Machine>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    args: &[u64; 10],
    hands: &mut Hands<'_, '_, M>,
) -> Outcome {
    let site = site(ecb, running, args, hands.cpu);
    match holds(ecb, &site, hands) {
        Ok(true) => {
            running.drop_unbuffered(hands.inside);
            Outcome::Drop
        }
        Ok(false) => Outcome::PredicateFalse,
        Err(failure) => {
            hands.failure = Some(failure);
            Outcome::Error
        }
    }
}

/// What programs of a clause are told of the firing.
#[inline(always)]
fn site<'a, M: Machine>(
    ecb: &'a Ecb<M>,
    running: &'a Running<M>,
    args: &'a [u64; 10],
    cpu: usize,
) -> SiteOf<'a, M> {
    Site {
        cpu,
        probe: ecb.probe,
        name: &ecb.name,
        epid: ecb.epid,
        args,
        variables: &running.variables,
    }
}

/// Begins a clause with programs, and looks whether its predicate holds.
#[inline(always)]
fn holds<M: Machine>(
    ecb: &Ecb<M>,
    site: &SiteOf<'_, M>,
    hands: &mut Hands<'_, '_, M>,
) -> Result<bool, Failure> {
    let whose: *const Node<_> = &*ecb.consumer;
    if hands.consumer.is_null() {
        M::Expression::begin_firing(hands.environment);
    }
    if !core::ptr::eq(whose, hands.consumer) {
        M::Expression::begin(hands.environment);
        hands.consumer = whose;
    }
    M::Expression::begin_clause(hands.environment);
    match &ecb.clause.predicate {
        Some(predicate) => match predicate.value(site, hands.environment) {
            Ok(value) => Ok(value != 0),
            Err(fault) => Err(Failure { action: 0, fault }),
        },
        None => Ok(true),
    }
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
    let site = site(ecb, running, args, hands.cpu);
    match holds(ecb, &site, hands) {
        Ok(true) => {}
        Ok(false) => return Outcome::PredicateFalse,
        Err(failure) => {
            if let Some(mut half) = buffers.principal.own(hands.pen) {
                half.failed();
            }
            hands.failure = Some(failure);
            return Outcome::Error;
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
    let Some(mut half) = buffers.principal.own(hands.pen) else {
        return Outcome::Drop;
    };
    if ecb.clause.size == 0 {
        let result = run(&mut actions, &mut []);
        // An aggregation without room is the outcome: there is no record.
        let outcome = match actions.has_dropped {
            true => Outcome::Drop,
            false => Outcome::Record,
        };
        return match result {
            Ok(()) => outcome,
            Err(failure) => {
                half.failed();
                hands.failure = Some(failure);
                Outcome::Error
            }
        };
    }
    let Some((room, area)) = begin_record(ecb, running, &mut half) else {
        return Outcome::Drop;
    };
    if let Err(failure) = run(&mut actions, area) {
        half.abandon(room);
        hands.failure = Some(failure);
        return Outcome::Error;
    }
    end_record(half, room)
}

/// Room for a clause's record, which begins with the EPID; None: there is none, which the buffer counts.
#[inline(always)]
fn begin_record<'a, M: Machine>(
    ecb: &Ecb<M>,
    running: &Running<M>,
    half: &'a mut Half,
) -> Option<(Room, &'a mut [u8])> {
    let clause = &*ecb.clause;
    let room = match half.plain_room(clause.size, clause.align) {
        Some(room) => room,
        None => room_by_policy(ecb, running, half)?,
    };
    reach(Point::Reserved);
    let area = half.room(room)?;
    if clause.head == Head::Wide {
        // Little-endian: the EPID, then zeros.
        write(area, 0, &u64::from(ecb.epid).to_le_bytes());
        return Some((room, area));
    }
    if clause.head == Head::Gaps {
        area.fill(0);
    }
    write(area, 0, &ecb.epid.to_ne_bytes());
    Some((room, area))
}

/// Room where there may be none.
#[inline(never)]
fn room_by_policy<M: Machine>(ecb: &Ecb<M>, running: &Running<M>, half: &mut Half) -> Option<Room> {
    let clause = &*ecb.clause;
    let keep = (ecb.role != Role::End).then_some(running.keep);
    let size_of = |epid| running.size_of(epid);
    match half.reserve(clause.size, clause.align, keep, size_of) {
        Ok(room) => Some(room),
        Err(full) => {
            if full == NoRoom::JustFilled {
                ecb.consumer.count_filled();
            }
            None
        }
    }
}

/// The record is whole.
#[inline(always)]
fn end_record(mut half: OwnHalf<'_, Half>, room: Room) -> Outcome {
    reach(Point::Written);
    half.commit(room);
    half.put_back();
    reach(Point::Committed);
    Outcome::Record
}
