// SPDX-License-Identifier: GPL-2.0
//! Variables that come and go: thread-local ones and elements of arrays, in the [`crate::Store`].

use crate::address::Window;
use crate::fault::Trouble;
use crate::key::Key;
use crate::machine::Machine;
use crate::memory::Access;
use crate::object::Program;
use crate::variables::Slot;
use crate::Environment;

impl Machine<'_> {
    /// 0 if there is no such variable: that is what one never stored holds.
    pub(crate) fn load_dynamic<E: Environment>(
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
    pub(crate) fn store_dynamic<E: Environment>(
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

    fn build_key<E: Environment>(
        &mut self,
        program: &Program<'_>,
        environment: &mut E,
        key: Key,
    ) -> Result<usize, Trouble> {
        let mut access = Access {
            memory: &mut self.memory,
            used: &mut self.used,
            left: &mut self.left,
            strings: program.object.strings,
            environment,
        };
        key.build(&mut access, self.tuple)
    }
}
