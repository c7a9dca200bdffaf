// SPDX-License-Identifier: GPL-2.0
//! Under Xen PV the processor reads the hypervisor's table. Xen has a list of handlers for each virtual CPU, which
//! that CPU changes by hypercall, at any time, one whole entry after the other.

use super::native::read;
use super::{pretends, shim, stub, Failed, Hooked, State, Why};
use crate::cpus;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use dtrace_gates::trampoline::STUBS;
use dtrace_gates::{Selection, TrapInfo, END, TABLE_SIZE};
use kernel::prelude::*;

// What the crate calls TrapInfo is what xen-sys does; the shim says the same of the kernel's.
static_assertions::assert_eq_size!(TrapInfo, xen_sys::trap_info);
static_assertions::assert_eq_align!(TrapInfo, xen_sys::trap_info);

/// As many entries as stubs, and the end.
const ENTRIES: usize = STUBS + 1;

/// What CPUs tell Xen.
///
/// # Invariants
///
/// Written only while [`TABLE`] is 0, by the task that holds the gates' lock; read only while it is not.
struct Traps(UnsafeCell<[TrapInfo; ENTRIES]>);

// SAFETY: by the invariant.
unsafe impl Sync for Traps {}

static TRAPS: Traps = Traps(UnsafeCell::new([END; ENTRIES]));

/// Linux's own table, while CPUs are to have our handlers; else 0.
static TABLE: AtomicU64 = AtomicU64::new(0);

/// CPUs that have them.
static HOOKED: AtomicU32 = AtomicU32::new(0);

/// How many CPUs have our handlers. Any context.
pub(super) fn hooked_cpus() -> u32 {
    // Relaxed: a number.
    HOOKED.load(Ordering::Relaxed)
}

/// Hooked gates.
pub(super) struct XenPv {
    table: u64,
    /// CPUs that come and go run `cpu_online` and `cpu_offline`.
    is_told: bool,
}

impl XenPv {
    /// Hooks those of `wanted` whose gates are Linux's own, on every CPU that is online. Task context.
    pub(super) fn hook(state: &mut State, wanted: Selection) -> Result<Self, Failed> {
        // SAFETY: a task, a string.
        let table = unsafe { shim::dtrace_gates_lookup(c"idt_table".as_ptr().cast()) };
        if table == 0 || table % TABLE_SIZE as u64 != 0 {
            return Err(Why::Table.into());
        }
        read(&mut state.before, table)?;
        let changes = state.changes(wanted)?;
        let entries = changes.iter().flatten().filter_map(|change| {
            let stub = stub(change.vector)?;
            Some(TrapInfo::new(change.vector, &change.gate, stub.xen.address))
        });
        // SAFETY: TABLE is 0 and the lock held.
        let traps = unsafe { &mut *TRAPS.0.get() };
        *traps = [END; ENTRIES];
        for (place, entry) in traps.iter_mut().zip(entries) {
            *place = entry;
        }
        // Release table:A, pairs with table:B.
        TABLE.store(table, Ordering::Release);
        // SAFETY: a task; each CPU that is online runs `cpu_online`.
        let errno = unsafe { shim::dtrace_gates_cpuhp_setup() };
        let xen = Self {
            table,
            is_told: errno == 0,
        };
        if xen.is_told {
            return Ok(xen);
        }
        // Those that had succeeded ran `cpu_offline`, and the one that failed has Linux's.
        let left = xen.unhook(state).err();
        Err(Failed {
            left: left.map(|(xen, _)| Hooked::XenPv(xen)),
            why: Why::Xen(errno),
        })
    }

    /// Every CPU has the handlers that Linux registers. Task context. If one has not, all that stubs need stays.
    pub(super) fn unhook(mut self, state: &mut State) -> Result<(), (Self, Why)> {
        if self.is_told {
            // SAFETY: a task; set up in `hook`. Each CPU that is online runs `cpu_offline`; one that comes later has
            // Linux's from the start.
            unsafe { shim::dtrace_gates_cpuhp_remove() };
            self.is_told = false;
        }
        // What CPUs did in those was waited for.
        if hooked_cpus() != 0 {
            return Err((self, Why::Left));
        }
        TABLE.store(0, Ordering::Release);
        // A stub runs with events off, until the kernel's handler is in charge.
        // SAFETY: a task.
        unsafe { shim::dtrace_gates_drain() };
        let seen = read(&mut state.scratch, self.table).and_then(|()| {
            let vector = state.scratch.first_difference(&state.before);
            vector.map_or(Ok(()), |vector| Err(Why::Changed(vector)))
        });
        if let Err(why) = seen {
            pr_warn!("{}\n", format_args!("gates: restored, but {why}"));
        }
        Ok(())
    }
}

/// Has Xen call our handlers on this CPU; nothing if it does, or is not meant to. A task, on that CPU.
pub(super) fn cpu_online() -> c_int {
    // Acquire table:B, pairs with table:A: the entries are there.
    let table = TABLE.load(Ordering::Acquire);
    if table == 0 {
        return 0;
    }
    // SAFETY: any context; restored below.
    let irqs = unsafe { crate::shim::dtrace_shim_local_irq_save() };
    // SAFETY: interrupts are off; entries with an end, each a stub whose trampoline leads to the kernel.
    let mut errno = unsafe { shim::dtrace_gates_set_trap_table(TRAPS.0.get().cast()) };
    if pretends("refused") && cpus::this() != 0 {
        errno = EIO.to_errno();
    }
    if errno != 0 {
        // Xen goes from entry to entry, and may have taken some.
        // SAFETY: interrupts are off; Linux's own table.
        unsafe { shim::dtrace_gates_load_idt(table) };
    }
    // SAFETY: saved above.
    unsafe { crate::shim::dtrace_shim_local_irq_restore(irqs) };
    if errno == 0 {
        HOOKED.fetch_add(1, Ordering::Relaxed);
    }
    errno
}

/// Has Linux register its handlers on this CPU. A task, on that CPU.
pub(super) fn cpu_offline() {
    // Acquire table:B, as above.
    let table = TABLE.load(Ordering::Acquire);
    if table == 0 {
        return;
    }
    // SAFETY: any context; restored below.
    let irqs = unsafe { crate::shim::dtrace_shim_local_irq_save() };
    // SAFETY: interrupts are off; Linux's own table.
    unsafe { shim::dtrace_gates_load_idt(table) };
    // SAFETY: saved above.
    unsafe { crate::shim::dtrace_shim_local_irq_restore(irqs) };
    HOOKED.fetch_sub(1, Ordering::Relaxed);
}
