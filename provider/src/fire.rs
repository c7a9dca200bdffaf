// SPDX-License-Identifier: GPL-2.0
//! A firing: from a probe's number to records. Probe context, all of it.

#![forbid(unsafe_code)]

use crate::activity::Role;
use crate::aggregation::AggregationHalf;
use crate::clause::{Clause, Step, Work};
use crate::consumer::{Consumer, CpuBuffers, Ecb};
use crate::counts::Outcome;
use crate::cpu::{Cpu, Entered, Inside, Pen};
use crate::expression::{Expression, Fault, Site};
use crate::framework::{Framework, ERROR};
use crate::half::{write, Half, NoRoom};
use crate::machine::{Machine, Surroundings};
use crate::memory::{Chain, Node};
use crate::point::{reach, Point};

/// What the ECBs of one firing may do, together, in words of records and actions. One that begins when
/// nothing is left is a drop. What expressions may do they count themselves.
const FIRING_WORDS: usize = 1 << 17;

/// An expression failed: in which action (0: the predicate), and of what.
struct Failure {
    action: u64,
    fault: Fault,
}

type SiteOf<'a, M> = Site<'a, <<M as Machine>::Expression as Expression>::Variables>;
pub(crate) type EnteredOf<'a, M> = Entered<'a, <M as Machine>::Environment, Half, AggregationHalf>;

/// What a firing has on its CPU, borrowed for one ECB.
struct Hands<'a, 'b, M: Machine> {
    inside: &'a Inside<'b>,
    pen: &'a mut Pen<'b, Half>,
    aggregation_pen: &'a mut Pen<'b, AggregationHalf>,
    environment: &'a mut M::Environment,
    /// Whose clauses ran last; null: none did yet.
    consumer: *const Node<Consumer<M>>,
    /// Of [`FIRING_WORDS`].
    left: usize,
}

impl<M: Machine> Framework<M> {
    /// A probe fires on this CPU. The caller is not preemptible, in any context, NMI included; for a probe
    /// without an ECB this is two loads.
    ///
    /// Within another firing on the same CPU it is refused and counted ([`nested`](Self::nested)).
    #[inline]
    pub fn fire(&self, probe: u32, args: &[u64; 10]) {
        let Some(chain) = self.slots.get(probe) else {
            return;
        };
        if chain.is_empty() {
            return;
        }
        let irqs = self.machine.irqs_off();
        self.fire_here(chain, args, None);
        self.machine.irqs_restore(irqs);
    }

    /// Fires the ECBs of one probe, or those of one consumer. Interrupts off.
    pub(crate) fn fire_here(
        &self,
        chain: &Chain<Ecb<M>>,
        args: &[u64; 10],
        only: Option<&Node<Consumer<M>>>,
    ) {
        let Some(cpu) = self.cpus.get(self.machine.this_cpu()) else {
            return;
        };
        let Some(mut entered) = cpu.enter() else {
            cpu.refused();
            return;
        };
        entered.with(|inside, pen, aggregation_pen, environment| {
            let mut hands = Hands::<M> {
                inside,
                pen,
                aggregation_pen,
                environment,
                consumer: core::ptr::null(),
                left: FIRING_WORDS,
            };
            M::Expression::begin_firing(hands.environment);
            for ecb in chain.walk(inside) {
                reach(Point::EcbSeen);
                if only.is_some_and(|only| !core::ptr::eq(only, &*ecb.consumer)) {
                    continue;
                }
                let Err(failure) = self.fire_ecb(ecb, args, &mut hands) else {
                    continue;
                };
                ecb.consumer.count_error(ecb.role == Role::Error);
                if ecb.role != Role::Error {
                    self.fire_error(ecb, &failure, &mut hands);
                }
            }
        });
        self.leave(cpu, entered);
    }

    /// dtrace:::ERROR of the consumer whose ECB failed. Its clauses are further ones of the same firing: they
    /// see the clause-local variables, and leave them to those that come after.
    fn fire_error(&self, failed: &Ecb<M>, failure: &Failure, hands: &mut Hands<'_, '_, M>) {
        let Some(chain) = self.slots.get(ERROR) else {
            return;
        };
        let mut args = [0; 10];
        let [_, epid, action, offset, kind, value, ..] = &mut args;
        *epid = failed.epid.into();
        *action = failure.action;
        *offset = failure.fault.offset.into();
        *kind = failure.fault.kind.raw().into();
        *value = failure.fault.value;
        for ecb in chain.walk(hands.inside) {
            if core::ptr::eq(&*ecb.consumer, &*failed.consumer)
                && self.fire_ecb(ecb, &args, hands).is_err()
            {
                ecb.consumer.count_error(true);
            }
        }
    }

    /// One ECB: counts one hit and one outcome.
    fn fire_ecb(
        &self,
        ecb: &Ecb<M>,
        args: &[u64; 10],
        hands: &mut Hands<'_, '_, M>,
    ) -> Result<(), Failure> {
        let Some(counters) = ecb.counters.get(hands.inside.cpu()) else {
            return Ok(());
        };
        counters.hit();
        let result = run_ecb(ecb, args, hands);
        counters.ended(match &result {
            Ok(outcome) => *outcome,
            Err(_) => Outcome::Error,
        });
        result.map(|_| ())
    }

    /// Ends a firing. Switches that were asked for within it are done first; one that comes after the
    /// look, and before the end, is looked for once more.
    pub(crate) fn leave<'a>(&self, cpu: &'a Cpu<M::Environment>, mut entered: EnteredOf<'a, M>) {
        const ROUNDS: usize = 2;
        for _ in 0..ROUNDS {
            if cpu.is_wanted() {
                cpu.serving();
                entered.with(|inside, pen, aggregation_pen, _| {
                    for consumer in self.consumers.walk(inside) {
                        let running = consumer.running.get(inside);
                        if let Some(buffers) = running.and_then(|running| running.buffers(inside)) {
                            buffers.serve(pen, aggregation_pen);
                        }
                    }
                });
            }
            reach(Point::Served);
            cpu.leave(entered);
            if !cpu.is_wanted() {
                return;
            }
            // Wanted in between. The consumer asks again if this CPU is inside anew.
            match cpu.enter() {
                Some(again) => entered = again,
                None => return,
            }
        }
        cpu.leave(entered);
    }
}

/// Runs an ECB up to its outcome.
fn run_ecb<M: Machine>(
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
        running.drop_unbuffered(inside);
        return Ok(Outcome::Drop);
    };
    if hands.left == 0 {
        buffers.principal.write(hands.pen, Half::dropped);
        return Ok(Outcome::Drop);
    }
    let words = (ecb.clause.size / 8).saturating_add(ecb.clause.steps.len());
    hands.left = hands.left.saturating_sub(words.saturating_add(1));
    let site = Site {
        cpu: inside.cpu(),
        probe: ecb.probe,
        name: &ecb.name,
        epid: ecb.epid,
        args,
        variables: &running.variables,
    };
    let whose: *const Node<Consumer<M>> = &**consumer;
    if !core::ptr::eq(whose, hands.consumer) {
        M::Expression::begin(hands.environment);
        hands.consumer = whose;
    }
    M::Expression::begin_clause(hands.environment);
    if let Some(predicate) = &ecb.clause.predicate {
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
    let Hands {
        pen,
        aggregation_pen,
        environment,
        ..
    } = hands;
    let clause = &*ecb.clause;
    let mut steps = Steps::<M> {
        ecb,
        clause,
        site: &site,
        buffers,
        pen: aggregation_pen,
        environment,
        has_dropped: false,
    };
    let written = buffers.principal.write(pen, |half| {
        if clause.size == 0 {
            return match steps.run(&mut []) {
                Ok(()) => Ok(()),
                Err(failure) => {
                    half.failed();
                    Err(failure)
                }
            }
            .map(|()| match steps.has_dropped {
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
        write(area, 0, &ecb.epid.to_ne_bytes());
        if let Err(failure) = steps.run(area) {
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

/// The actions of an ECB, under way.
struct Steps<'a, 'b, M: Machine> {
    ecb: &'a Ecb<M>,
    clause: &'a Clause<M::Expression>,
    site: &'a SiteOf<'a, M>,
    buffers: &'a CpuBuffers,
    pen: &'a mut Pen<'b, AggregationHalf>,
    environment: &'a mut M::Environment,
    has_dropped: bool,
}

impl<M: Machine> Steps<'_, '_, M> {
    /// All actions; records go into `area`, which holds zeros behind the EPID.
    fn run(&mut self, area: &mut [u8]) -> Result<(), Failure> {
        for (at, step) in self.clause.steps.iter().enumerate() {
            if step.is_key {
                continue;
            }
            let failed = |fault| Failure {
                action: (at as u64).saturating_add(1),
                fault,
            };
            if let Work::Aggregate { .. } = step.work {
                self.aggregate(at, step).map_err(failed)?;
                continue;
            }
            let end = step.offset.saturating_add(step.size);
            let record = area.get_mut(step.offset..end).unwrap_or_default();
            self.record(step, record).map_err(failed)?;
        }
        Ok(())
    }

    /// One record.
    fn record(&mut self, step: &Step<M::Expression>, to: &mut [u8]) -> Result<(), Fault> {
        let Work::Exit(expression) = &step.work else {
            return store::<M>(step, self.site, self.environment, to);
        };
        let status = expression.value(self.site, self.environment)?;
        write(to, 0, &(status as u32).to_ne_bytes());
        self.ecb.consumer.activity.exit();
        Ok(())
    }

    fn aggregate(&mut self, at: usize, step: &Step<M::Expression>) -> Result<(), Fault> {
        let Work::Aggregate {
            function,
            expression,
            number,
            keys,
            key_size,
        } = &step.work
        else {
            return Ok(());
        };
        let value = match expression {
            Some(expression) => expression.value(self.site, self.environment)?,
            None => 0,
        };
        let id = self.ecb.first_aggregation.wrapping_add(*number);
        let clause = self.clause;
        let parts = at
            .checked_sub(*keys)
            .and_then(|from| clause.steps.get(from..at))
            .unwrap_or_default();
        let buffers = self.buffers;
        // The pen is taken by parts: the key's steps do not aggregate.
        let mut result = Ok(());
        let mut has_joined = false;
        let Self {
            site,
            environment,
            pen,
            ..
        } = self;
        buffers.aggregation.write(pen, |half| {
            let key = half.key(*key_size);
            write(key, 0, &id.to_ne_bytes());
            for part in parts {
                let end = part.offset.saturating_add(part.size);
                let to = key.get_mut(part.offset..end).unwrap_or_default();
                result = store::<M>(part, site, environment, to);
                if result.is_err() {
                    half.failed();
                    return;
                }
            }
            has_joined = half.join(*key_size, *function, value);
        });
        self.has_dropped |= result.is_ok() && !has_joined;
        result
    }
}

/// A record, or a part of a key.
fn store<M: Machine>(
    part: &Step<M::Expression>,
    site: &SiteOf<'_, M>,
    environment: &mut M::Environment,
    to: &mut [u8],
) -> Result<(), Fault> {
    match &part.work {
        Work::Store(expression) => expression.store(site, environment, to)?,
        Work::ProcessAddress(expression) => {
            let address = expression.value(site, environment)?;
            write(to, 0, &u64::from(environment.process()).to_ne_bytes());
            write(to, 8, &address.to_ne_bytes());
        }
        Work::Stack(frames) => write_words(to, environment.kernel_stack(*frames)),
        Work::UserStack(frames) => {
            write(to, 0, &u64::from(environment.process()).to_ne_bytes());
            let end = frames.saturating_add(1).saturating_mul(8).min(to.len());
            let place = to.get_mut(8..end).unwrap_or_default();
            write_words(place, environment.user_stack(*frames));
        }
        Work::Exit(_) | Work::Aggregate { .. } | Work::Nothing => {}
    }
    Ok(())
}

/// As many words as there is room for.
fn write_words(to: &mut [u8], words: &[u64]) {
    for (place, word) in to.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}
