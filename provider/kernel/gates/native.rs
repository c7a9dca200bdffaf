// SPDX-License-Identifier: GPL-2.0
//! The table that the processor reads. The kernel maps it read-only; it is written through an alias of its page.

use super::alone::alone;
use super::{pretends, shim, stub, survey, Change, Failed, Hooked, State, Why};
use core::ptr::NonNull;
use dtrace_gates::trampoline::{self, AREA, PAGE, STUBS};
use dtrace_gates::{digest_of, Digest, Selection, Table, GATE_SIZE, TABLE_SIZE};
use kernel::prelude::*;

/// Hooked gates.
pub(super) struct Native {
    /// Where the processor reads the table.
    base: u64,
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

/// A writable mapping of the table's page. It lasts no longer than gates are written.
struct Alias(*mut c_void);

impl Alias {
    /// Task context. It reads like the table at `base`, to the last byte.
    fn new(base: u64) -> Result<Self, Why> {
        // SAFETY: a task; unmapped in `drop`.
        let alias = unsafe { shim::dtrace_gates_alias(base) };
        if alias.is_null() {
            return Err(Why::Alias);
        }
        let alias = Self(alias);
        let (mut one, mut other) = ([0; 64], [0; 64]);
        for at in (0..TABLE_SIZE as u64).step_by(one.len()) {
            read_bytes(&mut one, base.wrapping_add(at))?;
            read_bytes(&mut other, (alias.0 as u64).wrapping_add(at))?;
            if one != other {
                return Err(Why::Alias);
            }
        }
        Ok(alias)
    }

    /// One gate, at once, if it is `old`. Any context.
    fn exchange(&self, vector: u8, old: &[u8; GATE_SIZE], new: &[u8; GATE_SIZE]) -> bool {
        // SAFETY: within the page.
        let gate = unsafe { self.0.byte_add(usize::from(vector) * GATE_SIZE) };
        // SAFETY: a gate in a page that is mapped and was compared with the table, on 16 bytes' boundary.
        unsafe { shim::dtrace_gates_exchange(gate, old.as_ptr().cast(), new.as_ptr().cast()) }
    }

    /// Writes a gate as it is, if it is `gate`. Any context: nothing changes.
    fn holds(&self, vector: u8, gate: &[u8; GATE_SIZE]) -> bool {
        self.exchange(vector, gate, gate)
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

impl Slot {
    /// Maps a copy of `code` at `address`, and the counters behind it. Task context.
    fn new(address: u64, code: &[u8; PAGE], counters: NonNull<u8>) -> Result<Self, Why> {
        let pages = (AREA / PAGE) as c_uint;
        // SAFETY: a task; a page that is copied, and pages of `vzalloc` which stay until `drop`.
        let mapped = unsafe {
            shim::dtrace_gates_slot_map(code.as_ptr().cast(), counters.as_ptr().cast(), pages)
        };
        if mapped == 0 {
            return Err(Why::Memory);
        }
        let slot = Self(());
        match mapped == address {
            true => Ok(slot),
            false => Err(Why::Table),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: a task; mapped in `new`.
        unsafe { shim::dtrace_gates_slot_unmap() };
    }
}

/// Reads memory of the kernel's. Any context.
fn read_bytes(bytes: &mut [u8], address: u64) -> Result<(), Why> {
    // SAFETY: room for as much; a bad address is an error.
    let errno = unsafe {
        crate::shim::dtrace_shim_copy_from_kernel(
            bytes.as_mut_ptr().cast(),
            address,
            bytes.len() as c_ulong,
        )
    };
    match errno {
        0 => Ok(()),
        _ => Err(Why::Table),
    }
}

/// Reads a table. Task context.
pub(super) fn read(table: &mut Table, address: u64) -> Result<(), Why> {
    read_bytes(table.bytes_mut(), address)
}

/// Where stubs are: in the module, or with `counters` in a page of the cpu_entry_area, which is made in `scratch`.
fn targets(
    changes: &[Option<Change>; STUBS],
    counters: Option<NonNull<u8>>,
    scratch: &mut [u8; PAGE],
) -> Result<(Option<Slot>, [u64; STUBS]), Why> {
    let mut targets = [0; STUBS];
    let Some(counters) = counters else {
        for (target, change) in targets.iter_mut().zip(changes) {
            let stub = change.as_ref().and_then(|change| stub(change.vector));
            *target = stub.map_or(0, |stub| stub.native.address);
        }
        return Ok((None, targets));
    };
    // SAFETY: a task.
    let address = unsafe { shim::dtrace_gates_slot_address() };
    // SAFETY: a constant.
    let selector = unsafe { shim::dtrace_gates_cpu_selector() };
    trampoline::clear(scratch, address);
    for (target, change) in targets.iter_mut().zip(changes) {
        let Some(change) = change else { continue };
        let put = trampoline::put(scratch, change.vector, selector, change.gate.target);
        put.ok_or(Why::Table)?;
        let place = trampoline::place(change.vector).ok_or(Why::Table)?;
        *target = address.wrapping_add(place as u64);
    }
    Ok((Some(Slot::new(address, scratch, counters)?), targets))
}

impl Native {
    /// Hooks those of `wanted` whose gates are Linux's own. `base` is the table of all CPUs; with `counters`, stubs
    /// go into the cpu_entry_area and count there. Task context.
    pub(super) fn hook(
        state: &mut State,
        wanted: Selection,
        base: u64,
        counters: Option<NonNull<u8>>,
    ) -> Result<Self, Failed> {
        read(&mut state.before, base)?;
        let changes = state.changes(wanted)?;
        let (slot, targets) = targets(&changes, counters, state.scratch.bytes_mut())?;
        let mut writes = KBox::new([None; STUBS], GFP_KERNEL).map_err(|_| Why::Memory)?;
        for ((write, change), target) in writes.iter_mut().zip(&changes).zip(targets) {
            *write = change.as_ref().map(|change| Write {
                vector: change.vector,
                old: change.old,
                new: change.gate.leading_to(target).encode(),
            });
        }
        let native = Self { base, slot, writes };
        // SAFETY: a task.
        let errno = unsafe { shim::dtrace_gates_cpuhp_setup() };
        if errno != 0 {
            return Err(Why::Hotplug(errno).into());
        }
        let written = native.write_all();
        // What the processor reads is what was there, but for these gates.
        let result = written.and_then(|()| native.verify(state, |write| write.new));
        let Err(why) = result else {
            return Ok(native);
        };
        let restored = match written {
            Ok(()) => native.unhook(state),
            // All were put back at once, or none were written.
            Err(_) => native.let_go(),
        };
        // If not, they are hooked, and stay so until they can be restored.
        let left = restored.err().map(|(native, _)| Hooked::Native(native));
        Err(Failed { left, why })
    }

    fn writes(&self) -> impl DoubleEndedIterator<Item = &Write> {
        self.writes.iter().flatten()
    }

    /// All gates or none.
    fn write_all(&self) -> Result<(), Why> {
        let alias = Alias::new(self.base)?;
        // If that fails, or faults, it does while everybody runs.
        if let Some(write) = self
            .writes()
            .find(|write| !alias.holds(write.vector, &write.old))
        {
            return Err(Why::Changed(write.vector));
        }
        let write_all = || {
            for write in self.writes() {
                if !alias.exchange(write.vector, &write.old, &write.new) {
                    for done in self.writes().take_while(|done| done.vector != write.vector) {
                        alias.exchange(done.vector, &done.new, &done.old);
                    }
                    return Err(Why::Changed(write.vector));
                }
            }
            Ok(())
        };
        alone(write_all).map_err(Why::Crowd)?
    }

    /// Gates are what they were, also those that are already; fails if somebody else wrote one of them.
    fn restore_all(&self) -> Result<(), Why> {
        let alias = Alias::new(self.base)?;
        let is_known = |write: &Write| {
            alias.holds(write.vector, &write.new) || alias.holds(write.vector, &write.old)
        };
        // As above.
        if let Some(write) = self.writes().find(|write| !is_known(write)) {
            return Err(Why::Changed(write.vector));
        }
        let restore_all = || {
            let mut result = Ok(());
            for write in self.writes() {
                let is_restored = alias.exchange(write.vector, &write.new, &write.old)
                    || alias.holds(write.vector, &write.old);
                if !is_restored {
                    result = Err(Why::Changed(write.vector));
                }
            }
            result
        };
        alone(restore_all).map_err(Why::Crowd)?
    }

    /// Fails unless every CPU reads all our gates as they were.
    fn is_restored(&self) -> Result<(), Why> {
        let bit = |write: &Write| 1_u32.checked_shl(write.vector.into()).unwrap_or(0);
        let vectors = self.writes().fold(0, |vectors, write| vectors | bit(write));
        let old = |vector| {
            let write = self.writes().find(|write| write.vector == vector);
            write.map(|write| write.old)
        };
        let digest: Digest = digest_of(vectors, old).ok_or(Why::Table)?;
        survey::gates_everywhere(self.base, vectors, digest)
    }

    /// Whether the table reads as before but for our gates, which are as `now` says.
    fn verify(&self, state: &mut State, now: fn(&Write) -> [u8; GATE_SIZE]) -> Result<(), Why> {
        read(&mut state.scratch, self.base)?;
        for write in self.writes() {
            let is_unseen = now(write) == write.new && pretends("unseen");
            if is_unseen || state.scratch.gate(write.vector) != now(write) {
                return Err(Why::Unseen(write.vector));
            }
            state.scratch.set_gate(write.vector, &write.old);
        }
        match state.scratch.first_difference(&state.before) {
            None => Ok(()),
            Some(vector) => Err(Why::Changed(vector)),
        }
    }

    /// What stubs need goes: invariant 3. Task context. If a CPU reads a gate of ours, it stays.
    fn let_go(self) -> Result<(), (Self, Why)> {
        if let Err(why) = self.is_restored() {
            return Err((self, why));
        }
        // SAFETY: a task; set up in `hook`.
        unsafe { shim::dtrace_gates_cpuhp_remove() };
        // A stub runs with interrupts off, until the kernel's handler is in charge.
        // SAFETY: a task.
        unsafe { shim::dtrace_gates_drain() };
        drop(self.slot);
        Ok(())
    }

    /// Restores the gates. Task context. If that cannot be, or a CPU does not see it, what stubs need stays.
    pub(super) fn unhook(self, state: &mut State) -> Result<(), (Self, Why)> {
        let restored = self.restore_all().and_then(|()| {
            match self.verify(state, |write| write.old) {
                // Ours are restored; another gate is not what it was before.
                Err(Why::Changed(vector)) => {
                    let why = Why::Changed(vector);
                    pr_warn!("{}\n", format_args!("gates: restored, but {why}"));
                    Ok(())
                }
                result => result,
            }
        });
        match restored {
            Ok(()) => self.let_go(),
            Err(why) => Err((self, why)),
        }
    }
}
