// SPDX-License-Identifier: GPL-2.0
//! The interpreter: a machine, and its run from one instruction to the next.
//!
//! A program counter only grows, so a program of n instructions takes n steps at most. Nothing here
//! relies on validation to stay within memory: registers are masked, every index is checked.

use crate::comparison::Comparison;
use crate::fault::{Fault, FaultKind, Trouble};
use crate::instruction::{Instruction, Register, Space, REGISTERS};
use crate::memory::{Access, Bytes, Memory};
use crate::object::Program;
use crate::progress::{Progress, Tokens};
use crate::step::Step;
use crate::tuple::Tuple;
use crate::Environment;
use core::borrow::Borrow;
use dtrace_interface::dif::TYPE_STRING;
use dtrace_interface::record::write_number;

/// Runs the programs of one clause in one firing, one after the other: predicate, then actions.
///
/// Made anew for each clause: scratch is free then, and the caller cleared the locals. Running it
/// takes about 1 KiB of stack, the environment's share not counted.
#[derive(Debug)]
pub struct Machine<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) used: usize,
    pub(crate) left: u32,
    pub(crate) registers: [u64; REGISTERS],
    pub(crate) comparison: Comparison,
    pub(crate) tuple: &'a mut Tuple,
    pub(crate) tokens: Tokens,
}

impl<'a> Machine<'a> {
    /// For a clause that begins.
    pub fn new(memory: Memory<'a>, tuple: &'a mut Tuple) -> Self {
        Self::resume(memory, tuple, Progress::default())
    }

    /// For a clause that came so far, with the same memory.
    #[inline]
    pub fn resume(memory: Memory<'a>, tuple: &'a mut Tuple, progress: Progress) -> Self {
        let Progress { used, left, tokens } = progress;
        Self {
            memory,
            used,
            left,
            registers: [0; REGISTERS],
            comparison: Comparison::NONE,
            tuple,
            tokens,
        }
    }

    /// How far the clause is.
    pub fn progress(&self) -> Progress {
        Progress {
            used: self.used,
            left: self.left,
            tokens: self.tokens,
        }
    }

    /// Runs a program; what it returns. An address that it returns is good until the next program
    /// runs: see [`Machine::write_result`]. In a firing.
    pub fn run<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
    ) -> Result<u64, Fault> {
        match program.code() {
            Some(code) => self.follow(program, environment, |at| code.get(at)),
            None => self.follow(program, environment, |at| program.decoded(at)),
        }
    }

    /// Runs it from one instruction to the next, as `fetch` has them.
    fn follow<E: Environment, I: Borrow<Instruction>>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        fetch: impl Fn(usize) -> Option<I>,
    ) -> Result<u64, Fault> {
        self.registers = [0; REGISTERS];
        self.comparison = Comparison::NONE;
        self.tuple.flush();
        let length = program.object.instructions.len();
        let mut at: u32 = 0;
        loop {
            let fault = |trouble: Trouble| Fault {
                kind: trouble.kind,
                instruction: at,
                address: trouble.address,
            };
            let illegal = || fault(FaultKind::IllegalOperation.into());
            let instruction = fetch(at as usize).ok_or_else(illegal)?;
            let next = match self
                .step(program, environment, instruction.borrow())
                .map_err(fault)?
            {
                Step::Done(value) => return Ok(value),
                // There is room for one more: a program has less than 2^32.
                Step::Next => at.wrapping_add(1),
                Step::To(target) if target > at => target,
                Step::To(_) => return Err(illegal()),
            };
            // Inside, or the fault is this instruction's.
            if next as usize >= length {
                return Err(illegal());
            }
            at = next;
        }
    }

    /// Writes what [`Machine::run`] returned for this program into its place in a record: a number
    /// in as many bytes as `into` has, data, or a string, which always ends with a NUL and is filled
    /// up with them. In a firing, before the next program runs.
    pub fn write_result<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        value: u64,
        into: &mut [u8],
    ) -> Result<(), Fault> {
        let last = program.object.instructions.len().saturating_sub(1);
        let fault = |trouble: Trouble| Fault {
            kind: trouble.kind,
            instruction: last as u32,
            address: trouble.address,
        };
        if !program.returns_by_ref() {
            write_number(value, into);
            return Ok(());
        }
        let string = program.object.return_type.kind == TYPE_STRING;
        let mut access = self.access(program, environment);
        if !string {
            return access.read(Space::Kernel, value, into).map_err(fault);
        }
        let Some((end, room)) = into.split_last_mut() else {
            return Ok(());
        };
        *end = 0;
        let mut bytes = Bytes::new(Space::Kernel, value);
        let mut ended = false;
        for to in room {
            if !ended {
                *to = bytes.next(&mut access).map_err(fault)?;
                ended = *to == 0;
            } else {
                *to = 0;
            }
        }
        Ok(())
    }

    pub(crate) fn access<'m, E>(
        &'m mut self,
        program: &'m Program<'_>,
        environment: &'m mut E,
    ) -> Access<'m, 'a, E> {
        Access {
            memory: &mut self.memory,
            used: &mut self.used,
            left: &mut self.left,
            strings: program.object.strings,
            environment,
        }
    }

    #[inline]
    pub(crate) fn get(&self, register: Register) -> u64 {
        // In range: number() is masked.
        self.registers
            .get(register.number())
            .copied()
            .unwrap_or_default()
    }

    #[inline]
    pub(crate) fn set(&mut self, register: Register, value: u64) {
        if let Some(slot) = self.registers.get_mut(register.number()) {
            *slot = value;
        }
    }
}
