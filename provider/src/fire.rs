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
use crate::expression::Fault;
use crate::framework::{Framework, ERROR};
use crate::half::Half;
use crate::machine::{Machine, Surroundings};
use crate::memory::{Chain, Node};
use crate::point::{reach, Point};

/// What the ECBs of one firing may do, together, in words of records and actions. One that begins when
/// nothing is left is a drop. What expressions may do they count themselves.
const FIRING_WORDS: usize = 1 << 17;

/// An expression failed: in which action (0: the predicate), and of what.
#[derive(Clone, Copy)]
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
    /// The CPU it is on, and the process it is in.
    pub(crate) cpu: usize,
    pub(crate) process: u32,
    /// Whose clauses used the environment last; null: none did yet.
    pub(crate) consumer: *const Node<Consumer<M>>,
    /// Of [`FIRING_WORDS`].
    pub(crate) left: usize,
    /// Why the last ECB failed whose outcome was an error.
    pub(crate) failure: Option<Failure>,
}

impl<M: Machine> Framework<M> {
    /// A probe fires on this CPU. The caller is not preemptible, in any context, NMI included; for a probe
    /// without an ECB this is two loads.
    ///
    /// Within another firing on the same CPU it is refused and counted ([`nested`](Self::nested)).
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
    /// `cpu` and in `process`. Any context, NMI included.
    #[inline(always)]
    pub fn fire_known(&self, cpu: usize, process: u32, probe: u32, args: &[u64; 10]) {
        if let Some(chain) = self.slots.get(probe) {
            self.fire_chain(cpu, |_| process, chain, args, None);
        }
    }

    /// Fires the ECBs of one probe, or those of one consumer, on this CPU, whose number is `cpu`.
    /// Interrupts off.
    #[inline(never)]
    pub(crate) fn fire_here(
        &self,
        cpu: usize,
        chain: &Chain<Ecb<M>>,
        args: &[u64; 10],
        only: Option<&Node<Consumer<M>>>,
    ) {
        self.fire_chain(cpu, Surroundings::process, chain, args, only);
    }

    #[inline(always)]
    fn fire_chain(
        &self,
        cpu: usize,
        process: impl FnOnce(&M::Environment) -> u32,
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
            let mut hands = Hands::<M> {
                cpu: inside.cpu(),
                process: process(environment),
                inside,
                pen,
                aggregation_pen,
                environment,
                consumer: core::ptr::null(),
                left: FIRING_WORDS,
                failure: None,
            };
            for ecb in chain.walk(inside) {
                reach(Point::EcbSeen);
                if only.is_some_and(|only| !core::ptr::eq(only, &*ecb.consumer)) {
                    continue;
                }
                if fire_ecb(ecb, args, &mut hands) == Outcome::Error {
                    self.failed(ecb, &mut hands);
                }
            }
        });
        self.finish(cpu, &mut entered);
        cpu.leave(entered);
        self.look_again(cpu);
    }

    /// An ECB failed: counted, and dtrace:::ERROR of its consumer fires. Its clauses are further ones of the
    /// same firing: they see the clause-local variables, and leave them to those that come after.
    #[cold]
    #[inline(never)]
    fn failed(&self, failed: &Ecb<M>, hands: &mut Hands<'_, '_, M>) {
        failed.consumer.count_error(failed.role == Role::Error);
        if failed.role == Role::Error {
            return;
        }
        let (Some(failure), Some(chain)) = (hands.failure, self.slots.get(ERROR)) else {
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
            // Others' clauses are looked at too: that is bounded as all else is.
            if hands.left == 0 {
                return;
            }
            hands.left = hands.left.saturating_sub(1);
            if core::ptr::eq(&*ecb.consumer, &*failed.consumer)
                && fire_ecb(ecb, &args, hands) == Outcome::Error
            {
                ecb.consumer.count_error(true);
            }
        }
    }

    /// Ends a firing. Switches that were asked for within it are done first; one that comes after the
    /// look, and before the end, is looked for once more.
    pub(crate) fn leave<'a>(&self, cpu: &'a Cpu<M::Environment>, mut entered: EnteredOf<'a, M>) {
        self.finish(cpu, &mut entered);
        cpu.leave(entered);
        self.look_again(cpu);
    }

    /// Right before the end.
    #[inline(always)]
    fn finish(&self, cpu: &Cpu<M::Environment>, entered: &mut EnteredOf<'_, M>) {
        if cpu.is_wanted() {
            self.serve(cpu, entered);
        }
        reach(Point::Served);
    }

    /// Right after it.
    #[inline(always)]
    fn look_again(&self, cpu: &Cpu<M::Environment>) {
        if cpu.is_wanted() {
            self.leave_again(cpu);
        }
    }

    /// A switch was wanted in between. The consumer asks again if this CPU is inside anew.
    #[cold]
    #[inline(never)]
    fn leave_again(&self, cpu: &Cpu<M::Environment>) {
        if let Some(mut entered) = cpu.enter() {
            self.finish(cpu, &mut entered);
            cpu.leave(entered);
        }
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

/// One ECB: counts one hit and one outcome. (On a CPU without counters, which there is none of: nothing.)
#[inline(always)]
fn fire_ecb<M: Machine>(ecb: &Ecb<M>, args: &[u64; 10], hands: &mut Hands<'_, '_, M>) -> Outcome {
    let Some(counters) = ecb.counters.get(hands.cpu) else {
        return Outcome::Inactive;
    };
    counters.hit();
    let outcome = run_ecb(ecb, args, hands);
    counters.ended(outcome);
    outcome
}
