// SPDX-License-Identifier: GPL-2.0
//! Variables that are read and written in place: globals, and clause-local ones.

use crate::address::Window;
use crate::fault::{FaultKind, Trouble};
use crate::instruction::{Scope, Space};
use crate::machine::Machine;
use crate::memory::Access;
use crate::object::Program;
use crate::variables::{Kind, Slot};
use crate::Environment;
use xcall_primitive::Ordering;

impl Machine<'_> {
    pub(crate) fn declared(
        &self,
        scope: Scope,
        variable: u16,
        kind: Kind,
    ) -> Result<Slot, FaultKind> {
        let slot = self.memory.declared.of_kind(scope, variable, kind);
        slot.copied().ok_or(FaultKind::IllegalOperation)
    }

    pub(crate) fn load_static(&self, scope: Scope, slot: &Slot) -> Result<u64, FaultKind> {
        let (window, first) = match scope {
            Scope::Local => {
                let word = self.memory.locals.get(slot.word as usize);
                (Window::Locals, word.copied())
            }
            _ => {
                let word = self.memory.globals.get(slot.word as usize);
                // Relaxed: variables order nothing.
                let value = word.map(|word| word.load(Ordering::Relaxed));
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

    pub(crate) fn store_static<E: Environment>(
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
                    .store(first, Ordering::Relaxed);
                Window::Globals
            }
        };
        if !slot.by_ref || value == 0 {
            return Ok(());
        }
        let to = window.address(slot.word.saturating_add(1).saturating_mul(8));
        self.access(program, environment).assign(slot, value, to)
    }
}

impl<E: Environment> Access<'_, '_, E> {
    /// Copies what `from` leads to into the variable at `to`.
    pub(crate) fn assign(&mut self, slot: &Slot, from: u64, to: u64) -> Result<(), Trouble> {
        match slot.string {
            true => self.copy_string(from, to, slot.size),
            false => self.copy(Space::Kernel, from, to, u64::from(slot.size)),
        }
    }
}
