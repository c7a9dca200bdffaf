// SPDX-License-Identifier: GPL-2.0
//! The interpreter.
//!
//! A program counter only grows, so a program of n instructions takes n steps at most. Nothing here
//! relies on validation to stay within memory: registers are masked, every index is checked.

use crate::address::Window;
use crate::call;
use crate::fault::{Fault, FaultKind, Trouble};
use crate::instruction::{Binary, Condition, Instruction, Register, Scope, Space, REGISTERS};
use crate::memory::{Access, Bytes, Memory, MAX_TOUCHED};
use crate::object::Program;
use crate::variables::{Kind, Slot};
use crate::Environment;
use core::cmp::Ordering;
use dtrace_interface::dif::{OTHER_USER_BASE, TUPLE_REGISTERS, TYPE_STRING};
use dtrace_interface::variable::BuiltIn;
use xcall_primitive::Ordering as MemoryOrdering;

/// Tuple registers: most that can be pushed. CONF tells clients.
pub const TUPLE_DEPTH: usize = TUPLE_REGISTERS;

/// Runs the programs of one clause in one firing, one after the other: predicate, then actions.
///
/// Made anew for each clause: scratch is free then, and the caller cleared the locals. Running it
/// takes about 1 KiB of stack, the environment's share not counted.
#[derive(Debug)]
pub struct Machine<'a> {
    memory: Memory<'a>,
    used: usize,
    left: u32,
    registers: [u64; REGISTERS],
    comparison: Comparison,
    tuple: &'a mut Tuple,
    tokens: Tokens,
}

/// How far a firing and its clause are: what the firing may still touch, what the clause's programs took of
/// scratch, and where `strtok` stands. Who cannot keep a [`Machine`] from one program to the next keeps this.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    used: usize,
    left: u32,
    tokens: Tokens,
}

/// A firing that begins.
impl Default for Progress {
    fn default() -> Self {
        Self {
            used: 0,
            left: MAX_TOUCHED,
            tokens: Tokens::default(),
        }
    }
}

impl Progress {
    /// Where the next clause of the same firing begins: scratch is free, what was touched stays touched.
    #[must_use]
    pub fn next_clause(self) -> Self {
        Self {
            left: self.left,
            ..Self::default()
        }
    }
}

/// What the last comparison found.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    signed: Ordering,
    unsigned: Ordering,
}

/// What `strtok` has left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    /// Address of the rest; 0: none.
    pub(crate) rest: u64,
    /// Bytes of the rest.
    pub(crate) length: usize,
}

/// The tuple stack: keys of arrays, arguments of subroutines. The caller keeps one for each CPU: to
/// make one takes longer than many a program does. What is in it does not matter.
#[derive(Debug, Default)]
pub struct Tuple {
    entries: [Entry; TUPLE_DEPTH],
    depth: usize,
}

/// One pushed value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) value: u64,
    /// Of what a reference leads to, in bytes.
    pub(crate) size: u32,
    pub(crate) by_ref: bool,
    pub(crate) string: bool,
}

impl Tuple {
    fn push(&mut self, entry: Entry) -> Result<(), FaultKind> {
        let slot = self.entries.get_mut(self.depth);
        *slot.ok_or(FaultKind::TupleOverflow)? = entry;
        self.depth += 1;
        Ok(())
    }

    /// What is pushed.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.get(..self.depth).unwrap_or_default()
    }

    /// Argument `n` of a subroutine.
    pub(crate) fn argument(&self, n: usize) -> Result<u64, FaultKind> {
        let entry = self.entries().get(n);
        Ok(entry.ok_or(FaultKind::IllegalOperation)?.value)
    }
}

/// Where an instruction leads.
enum Step {
    Next,
    To(u32),
    Done(u64),
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
        self.registers = [0; REGISTERS];
        self.comparison = Comparison::NONE;
        self.tuple.depth = 0;
        let mut at: u32 = 0;
        loop {
            let fault = |trouble: Trouble| Fault {
                kind: trouble.kind,
                instruction: at,
                address: trouble.address,
            };
            let illegal = || fault(FaultKind::IllegalOperation.into());
            let word = program.object.instructions.get(at as usize);
            let word = *word.ok_or_else(illegal)?;
            let instruction = Instruction::decode(word).map_err(|_| illegal())?;
            let next = match self
                .step(program, environment, instruction)
                .map_err(fault)?
            {
                Step::Done(value) => return Ok(value),
                Step::Next => at.saturating_add(1),
                Step::To(target) => target,
            };
            // Forward and inside, or the fault is this instruction's.
            if next <= at || next as usize >= program.object.instructions.len() {
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
            let bytes = value.to_ne_bytes();
            into.fill(0);
            // Little-endian: the lower bytes come first.
            for (to, from) in into.iter_mut().zip(bytes) {
                *to = from;
            }
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

    fn access<'m, E>(
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

    fn get(&self, register: Register) -> u64 {
        // In range: number() is masked.
        self.registers
            .get(register.number())
            .copied()
            .unwrap_or_default()
    }

    fn set(&mut self, register: Register, value: u64) {
        if let Some(slot) = self.registers.get_mut(register.number()) {
            *slot = value;
        }
    }

    fn step<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        instruction: Instruction,
    ) -> Result<Step, Trouble> {
        match instruction {
            Instruction::Binary { op, r1, r2, rd } => {
                let value = binary(op, self.get(r1), self.get(r2))?;
                self.set(rd, value);
            }
            Instruction::Not { r1, rd } => self.set(rd, !self.get(r1)),
            Instruction::Move { r1, rd } => self.set(rd, self.get(r1)),
            Instruction::Compare { r1, r2 } => {
                self.comparison = Comparison::of(self.get(r1), self.get(r2));
            }
            Instruction::Test { r1 } => self.comparison = Comparison::of(self.get(r1), 0),
            Instruction::CompareStrings { r1, r2 } => {
                let (one, other) = (self.get(r1), self.get(r2));
                let mut access = self.access(program, environment);
                let order = compare_strings(&mut access, one, other)?;
                // As with numbers below 2^63, so that unsigned branches work too.
                self.comparison = Comparison {
                    signed: order,
                    unsigned: order,
                };
            }
            Instruction::Branch { condition, target } => {
                if self.comparison.holds(condition) {
                    return Ok(Step::To(target));
                }
            }
            Instruction::Load {
                space,
                width,
                signed,
                r1,
                rd,
            } => {
                let address = self.get(r1);
                let mut bytes = [0; 8];
                let part = bytes.get_mut(..width.bytes()).unwrap_or_default();
                self.access(program, environment)
                    .read(space, address, part)?;
                let value = u64::from_le_bytes(bytes);
                let value = match signed {
                    true => sign_extended(value, width.bytes()),
                    false => value,
                };
                self.set(rd, value);
            }
            Instruction::Store { width, r1, rd } => {
                let (value, address) = (self.get(r1), self.get(rd));
                // A width is a power of two.
                if address & (width.bytes() as u64).wrapping_sub(1) != 0 {
                    return Err(Trouble::at(FaultKind::BadAlignment, address));
                }
                let bytes = value.to_le_bytes();
                let part = bytes.get(..width.bytes()).unwrap_or_default();
                self.access(program, environment).write(address, part)?;
            }
            Instruction::Return { rd } => return Ok(Step::Done(self.get(rd))),
            Instruction::Nop => {}
            Instruction::SetInteger { index, rd } => {
                let value = program.object.integers.get(usize::from(index));
                let value = *value.ok_or(FaultKind::IllegalOperation)?;
                self.set(rd, value);
            }
            Instruction::SetString { offset, rd } => {
                self.set(rd, Window::Strings.address(u32::from(offset)));
            }
            Instruction::LoadArray {
                scope,
                variable,
                index,
                rd,
            } => {
                let built_in = BuiltIn::from_raw(u16::from(variable));
                let built_in = built_in.filter(|_| scope == Scope::Global);
                let built_in = built_in.ok_or(FaultKind::IllegalOperation)?;
                let value = environment.number(built_in, self.get(index))?;
                self.set(rd, value);
            }
            Instruction::LoadScalar {
                scope: Scope::Global,
                variable,
                rd,
            } if variable < OTHER_USER_BASE => {
                let built_in = BuiltIn::from_raw(variable).filter(|one| !one.is_array());
                let built_in = built_in.ok_or(FaultKind::IllegalOperation)?;
                let value = match built_in.is_string() {
                    false => environment.number(built_in, 0)?,
                    true => self.access(program, environment).text(built_in)?,
                };
                self.set(rd, value);
            }
            Instruction::LoadScalar {
                scope,
                variable,
                rd,
            } => {
                let slot = self.declared(scope, variable, Kind::Scalar)?;
                let value = match scope {
                    Scope::Thread => {
                        let key = Key::thread_scalar(variable);
                        self.load_dynamic(program, environment, &slot, key)?
                    }
                    Scope::Global | Scope::Local => self.load_static(scope, &slot)?,
                };
                self.set(rd, value);
            }
            Instruction::StoreScalar {
                scope,
                variable,
                rs,
            } => {
                let slot = self.declared(scope, variable, Kind::Scalar)?;
                let value = self.get(rs);
                match scope {
                    Scope::Thread => {
                        let key = Key::thread_scalar(variable);
                        self.store_dynamic(program, environment, &slot, key, value)?;
                    }
                    Scope::Global | Scope::Local => {
                        self.store_static(program, environment, scope, &slot, value)?;
                    }
                }
            }
            Instruction::LoadAssociative {
                scope,
                variable,
                rd,
            } => {
                let slot = self.declared(scope, variable, Kind::Array)?;
                let key = Key::element(scope, variable);
                let value = self.load_dynamic(program, environment, &slot, key)?;
                self.set(rd, value);
            }
            Instruction::StoreAssociative {
                scope,
                variable,
                rs,
            } => {
                let slot = self.declared(scope, variable, Kind::Array)?;
                let key = Key::element(scope, variable);
                self.store_dynamic(program, environment, &slot, key, self.get(rs))?;
            }
            Instruction::Call { subroutine, rd } => {
                let mut access = Access {
                    memory: &mut self.memory,
                    used: &mut self.used,
                    left: &mut self.left,
                    strings: program.object.strings,
                    environment,
                };
                let value = call::call(&mut access, self.tuple, &mut self.tokens, subroutine)?;
                self.set(rd, value);
            }
            Instruction::PushReference { kind, size, rs } => {
                let string = kind == TYPE_STRING;
                let size = match self.get(size) {
                    0 if string => u64::from(self.memory.strsize),
                    size => size,
                };
                self.tuple.push(Entry {
                    value: self.get(rs),
                    size: u32::try_from(size).unwrap_or(u32::MAX),
                    by_ref: true,
                    string,
                })?;
            }
            Instruction::PushValue { rs, .. } => {
                self.tuple.push(Entry {
                    value: self.get(rs),
                    ..Entry::default()
                })?;
            }
            Instruction::Pop => self.tuple.depth = self.tuple.depth.saturating_sub(1),
            Instruction::Flush => self.tuple.depth = 0,
            Instruction::Allocate { r1, rd } => {
                let size = self.get(r1);
                let address = self.access(program, environment).allocate(size)?;
                self.set(rd, address);
            }
            Instruction::Copy { r1, r2, rd } => {
                let (from, length, to) = (self.get(r1), self.get(r2), self.get(rd));
                self.access(program, environment)
                    .copy(Space::Kernel, from, to, length)?;
            }
            Instruction::Translate { .. } | Instruction::TranslateArgument { .. } => {
                return Err(FaultKind::IllegalOperation.into());
            }
        }
        Ok(Step::Next)
    }

    fn declared(&self, scope: Scope, variable: u16, kind: Kind) -> Result<Slot, FaultKind> {
        let slot = self.memory.declared.of_kind(scope, variable, kind);
        slot.copied().ok_or(FaultKind::IllegalOperation)
    }

    fn load_static(&self, scope: Scope, slot: &Slot) -> Result<u64, FaultKind> {
        let (window, first) = match scope {
            Scope::Local => {
                let word = self.memory.locals.get(slot.word as usize);
                (Window::Locals, word.copied())
            }
            _ => {
                let word = self.memory.globals.get(slot.word as usize);
                // Relaxed: variables order nothing.
                let value = word.map(|word| word.load(MemoryOrdering::Relaxed));
                (Window::Globals, value)
            }
        };
        let first = first.ok_or(FaultKind::IllegalOperation)?;
        Ok(match (slot.by_ref, first) {
            (false, value) => value,
            // 1: it is null.
            (true, 1) => 0,
            (true, _) => window.address(slot.word.saturating_add(1).saturating_mul(8)),
        })
    }

    fn store_static<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        scope: Scope,
        slot: &Slot,
        value: u64,
    ) -> Result<(), Trouble> {
        let first = match slot.by_ref {
            false => value,
            true => u64::from(value == 0),
        };
        let window = match scope {
            Scope::Local => {
                let word = self.memory.locals.get_mut(slot.word as usize);
                *word.ok_or(FaultKind::IllegalOperation)? = first;
                Window::Locals
            }
            _ => {
                let word = self.memory.globals.get(slot.word as usize);
                // Relaxed: variables order nothing.
                word.ok_or(FaultKind::IllegalOperation)?
                    .store(first, MemoryOrdering::Relaxed);
                Window::Globals
            }
        };
        if !slot.by_ref || value == 0 {
            return Ok(());
        }
        let to = window.address(slot.word.saturating_add(1).saturating_mul(8));
        self.access(program, environment).assign(slot, value, to)
    }

    /// 0 if there is no such variable: that is what one never stored holds.
    fn load_dynamic<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        slot: &Slot,
        key: Key,
    ) -> Result<u64, Trouble> {
        let length = self.build_key(program, environment, key)?;
        let (cpu, store) = (self.memory.cpu, self.memory.store);
        let mut access = self.access(program, environment);
        let key = access.free();
        let mut looked = 0;
        let found = store.and_then(|store| {
            let found = store.find_counted(cpu, key.get(..length)?, &mut looked)?;
            match slot.by_ref {
                true => Some(Window::Dynamic.address(found.word.saturating_mul(8))),
                false => store.read(found.word),
            }
        });
        access.spend(u64::from(looked).saturating_mul(8))?;
        Ok(found.unwrap_or(0))
    }

    /// A value of 0 removes the variable. A drop is counted by the store and no fault.
    fn store_dynamic<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        slot: &Slot,
        key: Key,
        value: u64,
    ) -> Result<(), Trouble> {
        let length = self.build_key(program, environment, key)?;
        let cpu = self.memory.cpu;
        let Some(store) = self.memory.store else {
            return Ok(());
        };
        let mut access = self.access(program, environment);
        let key = access.free().get(..length).unwrap_or_default();
        let mut looked = 0;
        if value == 0 {
            store.remove_counted(cpu, key, &mut looked);
            return access.spend(u64::from(looked).saturating_mul(8));
        }
        let first = match slot.by_ref {
            true => 0,
            false => value,
        };
        let found = store.find_or_insert_counted(cpu, key, slot.data_words(), first, &mut looked);
        access.spend(u64::from(looked).saturating_mul(8))?;
        let Some(found) = found else {
            return Ok(());
        };
        if !slot.by_ref {
            store.write(found.word, value);
            return Ok(());
        }
        let to = Window::Dynamic.address(found.word.saturating_mul(8));
        let assigned = access.assign(slot, value, to);
        if assigned.is_err() && found.new {
            let key = access.free().get(..length).unwrap_or_default();
            store.remove(cpu, key);
        }
        assigned
    }

    /// Writes a key into free scratch; its bytes, a multiple of 8.
    fn build_key<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        key: Key,
    ) -> Result<usize, Trouble> {
        let thread = match key.of_thread {
            true => environment.thread(),
            false => 0,
        };
        let mut access = Access {
            memory: &mut self.memory,
            used: &mut self.used,
            left: &mut self.left,
            strings: program.object.strings,
            environment,
        };
        let mut builder = KeyBuilder { length: 0 };
        builder.word(&mut access, key.name)?;
        builder.word(&mut access, thread)?;
        if key.of_tuple {
            for entry in self.tuple.entries() {
                builder.entry(&mut access, entry)?;
            }
        }
        Ok(builder.length)
    }
}

/// Which variable is meant.
#[derive(Clone, Copy)]
struct Key {
    name: u64,
    of_thread: bool,
    of_tuple: bool,
}

impl Key {
    fn thread_scalar(variable: u16) -> Self {
        Self {
            name: u64::from(variable) | (1 << 16),
            of_thread: true,
            of_tuple: false,
        }
    }

    fn element(scope: Scope, variable: u16) -> Self {
        let of_thread = scope == Scope::Thread;
        Self {
            name: u64::from(variable) | (2 << 16) | (u64::from(of_thread) << 18),
            of_thread,
            of_tuple: true,
        }
    }
}

/// Writes a key into free scratch: words; of references the size and then the bytes, filled up with
/// zeros.
struct KeyBuilder {
    length: usize,
}

impl KeyBuilder {
    fn room<'s, E: Environment>(
        &mut self,
        access: &'s mut Access<'_, '_, E>,
        bytes: usize,
    ) -> Result<&'s mut [u8], FaultKind> {
        let end = self.length.checked_add(bytes);
        let room = end.and_then(|end| access.free().get_mut(self.length..end));
        let room = room.ok_or(FaultKind::NoScratch)?;
        self.length = self.length.saturating_add(bytes);
        Ok(room)
    }

    fn word<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        word: u64,
    ) -> Result<(), Trouble> {
        access.spend(8)?;
        self.room(access, 8)?.copy_from_slice(&word.to_ne_bytes());
        Ok(())
    }

    fn entry<E: Environment>(
        &mut self,
        access: &mut Access<'_, '_, E>,
        entry: &Entry,
    ) -> Result<(), Trouble> {
        if !entry.by_ref {
            self.word(access, u64::MAX)?;
            self.word(access, entry.value)?;
            return Ok(());
        }
        let size = match entry.string {
            true => access.string_length(Space::Kernel, entry.value, entry.size as usize)?,
            false => entry.size as usize,
        };
        self.word(access, size as u64)?;
        let mut bytes = Bytes::new(Space::Kernel, entry.value);
        let mut left = size;
        while left > 0 {
            let mut word = [0; 8];
            for byte in word.iter_mut().take(left) {
                *byte = bytes.next(access)?;
            }
            left = left.saturating_sub(8);
            self.word(access, u64::from_ne_bytes(word))?;
        }
        Ok(())
    }
}

impl<E: Environment> Access<'_, '_, E> {
    /// Copies what `from` leads to into the variable at `to`.
    fn assign(&mut self, slot: &Slot, from: u64, to: u64) -> Result<(), Trouble> {
        match slot.string {
            true => self.copy_string(from, to, slot.size),
            false => self.copy(Space::Kernel, from, to, u64::from(slot.size)),
        }
    }

    /// A built-in string, in scratch.
    fn text(&mut self, built_in: BuiltIn) -> Result<u64, Trouble> {
        let most = self.strsize();
        let start = self.free_start();
        let memory = &mut *self.memory;
        let free = memory.scratch.get_mut(start..).unwrap_or_default();
        let room = free.len().min(most);
        let (end, text) = free
            .get_mut(..room)
            .and_then(<[u8]>::split_last_mut)
            .ok_or(FaultKind::NoScratch)?;
        *end = 0;
        let length = self.environment.text(built_in, text)?.min(text.len());
        if let Some(after) = text.get_mut(length) {
            *after = 0;
        }
        Ok(self.keep(length.saturating_add(1)))
    }
}

impl Comparison {
    /// Before any comparison. As DTrace, which has all its flags down then: not equal, not less.
    const NONE: Self = Self {
        signed: Ordering::Greater,
        unsigned: Ordering::Greater,
    };

    fn of(one: u64, other: u64) -> Self {
        Self {
            signed: (one as i64).cmp(&(other as i64)),
            unsigned: one.cmp(&other),
        }
    }

    fn holds(self, condition: Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Equal => self.signed.is_eq(),
            Condition::NotEqual => self.signed.is_ne(),
            Condition::Greater => self.signed.is_gt(),
            Condition::GreaterEqual => self.signed.is_ge(),
            Condition::Less => self.signed.is_lt(),
            Condition::LessEqual => self.signed.is_le(),
            Condition::GreaterUnsigned => self.unsigned.is_gt(),
            Condition::GreaterEqualUnsigned => self.unsigned.is_ge(),
            Condition::LessUnsigned => self.unsigned.is_lt(),
            Condition::LessEqualUnsigned => self.unsigned.is_le(),
        }
    }
}

/// Shifts take their count modulo 64. The smallest number divided by -1 stays what it is.
fn binary(op: Binary, one: u64, other: u64) -> Result<u64, FaultKind> {
    let zero = FaultKind::DivideByZero;
    Ok(match op {
        Binary::Or => one | other,
        Binary::Xor => one ^ other,
        Binary::And => one & other,
        Binary::ShiftLeft => one.wrapping_shl(other as u32),
        Binary::ShiftRight => one.wrapping_shr(other as u32),
        Binary::ShiftRightSigned => (one as i64).wrapping_shr(other as u32) as u64,
        Binary::Subtract => one.wrapping_sub(other),
        Binary::Add => one.wrapping_add(other),
        Binary::Multiply => one.wrapping_mul(other),
        Binary::DivideUnsigned => one.checked_div(other).ok_or(zero)?,
        Binary::RemainderUnsigned => one.checked_rem(other).ok_or(zero)?,
        Binary::DivideSigned if other == 0 => return Err(zero),
        Binary::DivideSigned => match (one as i64).checked_div(other as i64) {
            Some(quotient) => quotient as u64,
            None => one,
        },
        Binary::RemainderSigned if other == 0 => return Err(zero),
        Binary::RemainderSigned => match (one as i64).checked_rem(other as i64) {
            Some(rest) => rest as u64,
            None => 0,
        },
    })
}

fn sign_extended(value: u64, bytes: usize) -> u64 {
    let unused = 64u32.saturating_sub(bytes as u32 * 8);
    (value.wrapping_shl(unused) as i64).wrapping_shr(unused) as u64
}

/// Compares up to `strsize` bytes.
fn compare_strings<E: Environment>(
    access: &mut Access<'_, '_, E>,
    one: u64,
    other: u64,
) -> Result<Ordering, Trouble> {
    // The same address need not be read: a null string equals itself only.
    if one == other {
        return Ok(Ordering::Equal);
    }
    if one == 0 || other == 0 {
        return Ok(one.cmp(&other));
    }
    let (mut ones, mut others) = (
        Bytes::new(Space::Kernel, one),
        Bytes::new(Space::Kernel, other),
    );
    for _ in 0..access.strsize() {
        let (one, other) = (ones.next(access)?, others.next(access)?);
        match one.cmp(&other) {
            Ordering::Equal if one == 0 => break,
            Ordering::Equal => {}
            unequal => return Ok(unequal),
        }
    }
    Ok(Ordering::Equal)
}
