// SPDX-License-Identifier: GPL-2.0
//! What each instruction does: here what needs the registers alone. The rest is out of line, so that the
//! loop over instructions keeps what it needs in the processor's.

use crate::address::Window;
use crate::arithmetic::binary;
use crate::comparison::Comparison;
use crate::fault::{FaultKind, Trouble};
use crate::instruction::Instruction;
use crate::machine::Machine;
use crate::object::Program;
use crate::Environment;

/// Where an instruction leads.
pub(crate) enum Step {
    Next,
    To(u32),
    Done(u64),
}

impl Machine<'_> {
    #[inline(always)]
    pub(crate) fn step<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        instruction: &Instruction,
    ) -> Result<Step, Trouble> {
        match *instruction {
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
            Instruction::Branch { condition, target } => {
                if self.comparison.holds(condition) {
                    return Ok(Step::To(target));
                }
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
            _ => self.reach_out(program, environment, instruction)?,
        }
        Ok(Step::Next)
    }
}
