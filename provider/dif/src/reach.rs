// SPDX-License-Identifier: GPL-2.0
//! Instructions that reach beyond the registers: to memory, variables, the tuple stack, subroutines.

use crate::arithmetic::sign_extended;
use crate::call;
use crate::comparison::{compare_strings, Comparison};
use crate::fault::{FaultKind, Trouble};
use crate::instruction::{Instruction, Scope, Space};
use crate::key::Key;
use crate::machine::Machine;
use crate::memory::Access;
use crate::object::Program;
use crate::tuple::Entry;
use crate::variables::Kind;
use crate::Environment;
use dtrace_interface::dif::{OTHER_USER_BASE, TYPE_STRING};
use dtrace_interface::variable::BuiltIn;

impl Machine<'_> {
    #[inline(never)]
    pub(crate) fn reach_out<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        instruction: &Instruction,
    ) -> Result<(), Trouble> {
        match *instruction {
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
            Instruction::Pop => self.tuple.pop(),
            Instruction::Flush => self.tuple.flush(),
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
            // `step` does them.
            _ => return Err(FaultKind::IllegalOperation.into()),
        }
        Ok(())
    }
}

impl<E: Environment> Access<'_, '_, E> {
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
