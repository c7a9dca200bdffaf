// SPDX-License-Identifier: GPL-2.0
//! The table that the processor reads. The kernel maps it read-only; it is written through an alias of its page.

use super::alone::alone;
use super::counters::Memory;
use super::{shim, stub, Change, State, Why};
use dtrace_gates::trampoline::{self, STUBS};
use dtrace_gates::{Selection, Table, GATE_SIZE, TABLE_SIZE};
use kernel::prelude::*;

/// Hooked gates.
pub(super) struct Native {
    /// Where the processor reads the table.
    base: u64,
    alias: Alias,
    slot: Option<Slot>,
    writes: KBox<[Option<Write>; STUBS]>,
}

/// A gate, before and after.
#[derive(Clone, Copy)]
struct Write {
    vector: u8,
    old: [u8; GATE_SIZE],
    new: [u8; GATE_SIZE],
}

/// A writable mapping of the table's page.
struct Alias(*mut c_void);

impl Alias {
    fn new(base: u64) -> Result<Self, Why> {
        // SAFETY: a task; unmapped in `drop`.
        let alias = unsafe { shim::dtrace_gates_alias(base) };
        match alias.is_null() {
            true => Err(Why::Alias),
            false => Ok(Self(alias)),
        }
    }

    /// One gate, at once, if it is `old`. Any context.
    fn exchange(&self, vector: u8, old: &[u8; GATE_SIZE], new: &[u8; GATE_SIZE]) -> bool {
        // SAFETY: within the page.
        let gate = unsafe { self.0.byte_add(usize::from(vector) * GATE_SIZE) };
        // SAFETY: a gate in a page that is mapped and was compared with the table, on 16 bytes' boundary.
        unsafe { shim::dtrace_gates_exchange(gate, old.as_ptr().cast(), new.as_ptr().cast()) }
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`.
        unsafe { shim::dtrace_gates_unalias(self.0) };
    }
}

/// The stubs' mapping in the cpu_entry_area. Dropped when no gate leads there and no CPU runs in it.
struct Slot(());

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: a task; mapped by `Memory::map`.
        unsafe { shim::dtrace_gates_slot_unmap() };
    }
}

/// Reads a table. Task context.
pub(super) fn read(table: &mut Table, address: u64) -> Result<(), Why> {
    let bytes = table.bytes_mut();
    // SAFETY: room for as much; a bad address is an error.
    let errno = unsafe {
        crate::shim::dtrace_shim_copy_from_kernel(
            bytes.as_mut_ptr().cast(),
            address,
            TABLE_SIZE as c_ulong,
        )
    };
    match errno {
        0 => Ok(()),
        _ => Err(Why::Table),
    }
}

/// Where stubs are: in the module, or in a page of the cpu_entry_area.
fn targets(
    changes: &[Option<Change>; STUBS],
    code: Option<Memory>,
) -> Result<(Option<Slot>, [u64; STUBS]), Why> {
    let mut targets = [0; STUBS];
    let slot = match code {
        None => {
            for (target, change) in targets.iter_mut().zip(changes) {
                let stub = change.as_ref().and_then(|change| stub(change.vector));
                *target = stub.map_or(0, |stub| stub.native.address);
            }
            None
        }
        Some(memory) => {
            // SAFETY: a task.
            let address = unsafe { shim::dtrace_gates_slot_address() };
            // SAFETY: a constant.
            let selector = unsafe { shim::dtrace_gates_cpu_selector() };
            memory.write_code(|page| {
                trampoline::clear(page, address);
                for (target, change) in targets.iter_mut().zip(changes) {
                    let Some(change) = change else { continue };
                    let put = trampoline::put(page, change.vector, selector, change.gate.target);
                    put.ok_or(Why::Table)?;
                    let place = trampoline::place(change.vector).ok_or(Why::Table)?;
                    *target = address.wrapping_add(place as u64);
                }
                Ok(())
            })?;
            let mapped = memory.map().ok_or(Why::Memory)?;
            let slot = Slot(());
            if mapped != address {
                return Err(Why::Table);
            }
            Some(slot)
        }
    };
    Ok((slot, targets))
}

impl Native {
    /// Hooks those of `wanted` whose gates are Linux's own. `base` is the table of all CPUs; with `code`, stubs
    /// go there. Task context.
    pub(super) fn hook(
        state: &mut State,
        wanted: Selection,
        base: u64,
        code: Option<Memory>,
    ) -> Result<Self, Why> {
        read(&mut state.before, base)?;
        let alias = Alias::new(base)?;
        read(&mut state.scratch, alias.0 as u64)?;
        if state.scratch != state.before {
            return Err(Why::Alias);
        }
        let changes = state.changes(wanted)?;
        let (slot, targets) = targets(&changes, code)?;
        let mut writes = KBox::new([None; STUBS], GFP_KERNEL).map_err(|_| Why::Memory)?;
        for ((write, change), target) in writes.iter_mut().zip(&changes).zip(targets) {
            *write = change.as_ref().map(|change| Write {
                vector: change.vector,
                old: change.old,
                new: change.gate.leading_to(target).encode(),
            });
        }
        let native = Self {
            base,
            alias,
            slot,
            writes,
        };
        // SAFETY: a task.
        let errno = unsafe { shim::dtrace_gates_cpuhp_setup() };
        if errno != 0 {
            return Err(Why::Xen(errno));
        }
        if let Err(why) = native.write_all() {
            native.let_go();
            return Err(why);
        }
        state.hooked = wanted;
        // What the processor reads is what was there, but for these gates.
        let Err(why) = native.verify(state, |write| write.new) else {
            return Ok(native);
        };
        match native.unhook(state) {
            Ok(()) => {
                state.hooked = Selection::NONE;
                Err(why)
            }
            // They are hooked, and stay so until they can be restored.
            Err((native, _)) => Ok(native),
        }
    }

    fn writes(&self) -> impl DoubleEndedIterator<Item = &Write> {
        self.writes.iter().flatten()
    }

    /// All gates or none.
    fn write_all(&self) -> Result<(), Why> {
        let write_all = || {
            for write in self.writes() {
                if !self.alias.exchange(write.vector, &write.old, &write.new) {
                    for done in self.writes().take_while(|done| done.vector != write.vector) {
                        self.alias.exchange(done.vector, &done.new, &done.old);
                    }
                    return Err(Why::Changed(write.vector));
                }
            }
            Ok(())
        };
        alone(write_all).map_err(Why::Crowd)?
    }

    /// All gates or none are what they were.
    fn restore_all(&self) -> Result<(), Why> {
        let restore_all = || {
            for write in self.writes() {
                if !self.alias.exchange(write.vector, &write.new, &write.old) {
                    for done in self.writes().take_while(|done| done.vector != write.vector) {
                        self.alias.exchange(done.vector, &done.old, &done.new);
                    }
                    return Err(Why::Changed(write.vector));
                }
            }
            Ok(())
        };
        alone(restore_all).map_err(Why::Crowd)?
    }

    /// Whether the table reads as before but for our gates, which are as `now` says.
    fn verify(&self, state: &mut State, now: fn(&Write) -> [u8; GATE_SIZE]) -> Result<(), Why> {
        read(&mut state.scratch, self.base)?;
        for write in self.writes() {
            if state.scratch.gate(write.vector) != now(write) {
                return Err(Why::Unseen(write.vector));
            }
            state.scratch.set_gate(write.vector, &write.old);
        }
        match state.scratch.first_difference(&state.before) {
            None => Ok(()),
            Some(vector) => Err(Why::Changed(vector)),
        }
    }

    /// No gate leads to a stub: what stubs need goes when none runs any more.
    fn let_go(self) {
        // SAFETY: a task; set up in `hook`.
        unsafe { shim::dtrace_gates_cpuhp_remove() };
        // A stub runs with interrupts off, until the kernel's handler is in charge.
        // SAFETY: a task.
        unsafe { shim::dtrace_gates_drain() };
        drop(self.slot);
    }

    /// Restores the gates. Task context. If that cannot be, they stay hooked.
    pub(super) fn unhook(self, state: &mut State) -> Result<(), (Self, Why)> {
        if let Err(why) = self.restore_all() {
            return Err((self, why));
        }
        if let Err(why) = self.verify(state, |write| write.old) {
            // Ours are restored; another gate is not what it was before.
            pr_warn!("{}\n", format_args!("gates: restored, but {why}"));
        }
        self.let_go();
        Ok(())
    }
}
