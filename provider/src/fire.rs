// SPDX-License-Identifier: GPL-2.0
//! A firing: from a probe's number to its ECBs and out again. Probe context, all of it.
//!
//! What a firing that leaves a record always takes is inlined into one function; what it seldom takes
//! (an error, a switch, an aggregation) is out of line and marked cold.

#![forbid(unsafe_code)]

use crate::activity::Role;
use crate::aggregation::AggregationHalf;
use crate::consumer::{Consumer, Ecb};
use crate::counts::Outcome;
use crate::cpu::{Cpu, Entered, Inside, Pen};
use crate::ecb::run_ecb;
use crate::expression::{Expression, Fault};
use crate::framework::{Framework, ERROR};
use crate::half::Half;
use crate::machine::{Machine, Surroundings};
use crate::memory::{Chain, Node};
use crate::point::{reach, Point};

/// What the ECBs of one firing may do, together, in words of records and actions. One that begins when
/// nothing is left is a drop. What expressions may do they count themselves.
const FIRING_WORDS: usize = 1 << 17;

/// An expression failed: in which action (0: the predicate), and of what.
pub(crate) struct Failure {
    pub(crate) action: u64,
    pub(crate) fault: Fault,
}

pub(crate) type EnteredOf<'a, M> = Entered<'a, <M as Machine>::Environment, Half, AggregationHalf>;

/// What a firing has on its CPU, borrowed for one ECB.
pub(crate) struct Hands<'a, 'b, M: Machine> {
    pub(crate) inside: &'a Inside<'b>,
    pub(crate) pen: &'a mut Pen<'b, Half>,
    pub(crate) aggregation_pen: &'a mut Pen<'b, AggregationHalf>,
    pub(crate) environment: &'a mut M::Environment,
    /// Whose clauses used the environment last; null: none did yet.
    pub(crate) consumer: *const Node<Consumer<M>>,
    /// Of [`FIRING_WORDS`].
    pub(crate) left: usize,
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
        self.fire_here(self.machine.this_cpu(), chain, args, None);
        self.machine.irqs_restore(irqs);
    }

    /// [`fire`](Self::fire) for a caller who has turned maskable interrupts off and knows that it is on
    /// `cpu`. Any context, NMI included.
    #[inline]
    pub fn fire_irqs_off(&self, cpu: usize, probe: u32, args: &[u64; 10]) {
        let Some(chain) = self.slots.get(probe) else {
            return;
        };
        if !chain.is_empty() {
            self.fire_here(cpu, chain, args, None);
        }
    }

    /// Fires the ECBs of one probe, or those of one consumer, on this CPU, whose number is `cpu`.
    /// Interrupts off.
    #[inline]
    pub(crate) fn fire_here(
        &self,
        cpu: usize,
        chain: &Chain<Ecb<M>>,
        args: &[u64; 10],
        only: Option<&Node<Consumer<M>>>,
    ) {
        let Some(cpu) = self.cpus.get(cpu) else {
            return;
        };
        let Some(mut entered) = cpu.enter() else {
            cpu.refused();
            return;
        };
        entered.with(|inside, pen, aggregation_pen, environment| {
            environment.begin();
            M::Expression::begin_firing(environment);
            let mut hands = Hands::<M> {
                inside,
                pen,
                aggregation_pen,
                environment,
                consumer: core::ptr::null(),
                left: FIRING_WORDS,
            };
            for ecb in chain.walk(inside) {
                reach(Point::EcbSeen);
                if only.is_some_and(|only| !core::ptr::eq(only, &*ecb.consumer)) {
                    continue;
                }
                if let Err(failure) = fire_ecb(ecb, args, &mut hands) {
                    self.failed(ecb, &failure, &mut hands);
                }
            }
        });
        self.leave(cpu, entered);
    }

    /// An ECB failed: counted, and dtrace:::ERROR of its consumer fires. Its clauses are further ones of the
    /// same firing: they see the clause-local variables, and leave them to those that come after.
    #[cold]
    #[inline(never)]
    fn failed(&self, failed: &Ecb<M>, failure: &Failure, hands: &mut Hands<'_, '_, M>) {
        failed.consumer.count_error(failed.role == Role::Error);
        if failed.role == Role::Error {
            return;
        }
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
                && fire_ecb(ecb, &args, hands).is_err()
            {
                ecb.consumer.count_error(true);
            }
        }
    }

    /// Ends a firing. Switches that were asked for within it are done first; one that comes after the
    /// look, and before the end, is looked for once more.
    #[inline]
    pub(crate) fn leave<'a>(&self, cpu: &'a Cpu<M::Environment>, mut entered: EnteredOf<'a, M>) {
        if cpu.is_wanted() {
            self.serve(cpu, &mut entered);
        }
        reach(Point::Served);
        cpu.leave(entered);
        if cpu.is_wanted() {
            self.leave_again(cpu);
        }
    }

    /// A switch was wanted in between. The consumer asks again if this CPU is inside anew.
    #[cold]
    #[inline(never)]
    fn leave_again(&self, cpu: &Cpu<M::Environment>) {
        let Some(mut entered) = cpu.enter() else {
            return;
        };
        if cpu.is_wanted() {
            self.serve(cpu, &mut entered);
        }
        reach(Point::Served);
        cpu.leave(entered);
    }

    /// Does the switches that are asked for.
    #[cold]
    #[inline(never)]
    fn serve(&self, cpu: &Cpu<M::Environment>, entered: &mut EnteredOf<'_, M>) {
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
}

/// One ECB: counts one hit and one outcome.
#[inline]
fn fire_ecb<M: Machine>(
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
