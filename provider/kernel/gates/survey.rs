// SPDX-License-Identifier: GPL-2.0
//! What every CPU is asked before gates are written: that they read the same table, and that stubs count in the
//! right place.

use super::{shim, Why};
use crate::cpus;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dtrace_gates::TABLE_SIZE;
use kernel::prelude::*;
use xcall_interface::{xcall_call_all, Work, ORDINARY};

/// The table of all CPUs, while [`check_here`] compares; 0: it does not.
static BASE: AtomicU64 = AtomicU64::new(0);

/// CPUs that did not pass.
static DIFFERENT: AtomicU64 = AtomicU64::new(0);

/// This CPU's table and its limit. Natively; any context.
fn table() -> (u64, u16) {
    let (mut base, mut limit) = (0, 0);
    // SAFETY: two places to write.
    unsafe { shim::dtrace_gates_sidt(&mut base, &mut limit) };
    (base, limit)
}

fn passes() -> bool {
    // Relaxed: written before the calls are made, and where CPUs come, before they are waited for.
    let base = BASE.load(Relaxed);
    // SAFETY: any context; this CPU, with interrupts off or in a thread bound to it.
    let number = unsafe { shim::dtrace_gates_cpu_number() };
    number == cpus::this() && (base == 0 || table() == (base, (TABLE_SIZE - 1) as u16))
}

/// # Safety
///
/// None.
unsafe extern "C" fn ask(_: *mut c_void) {
    if !passes() {
        DIFFERENT.fetch_add(1, Relaxed);
    }
}

/// Fails unless all CPUs pass. Answers where their table is; 0 under Xen, where they have none of ours. Task
/// context.
pub(super) fn same_everywhere(has_table: bool) -> Result<u64, Why> {
    let base = match has_table {
        true => table().0,
        false => 0,
    };
    BASE.store(base, Relaxed);
    DIFFERENT.store(0, Relaxed);
    let work = Work {
        function: Some(ask),
        arg: ptr::null_mut(),
        lane: ORDINARY,
        reserved: 0,
        within_ns: 0,
    };
    // SAFETY: it has no argument, and may run anywhere.
    let errno = unsafe { xcall_call_all(&work, ptr::null_mut()) };
    match errno == 0 && DIFFERENT.load(Relaxed) == 0 {
        true => Ok(base),
        false => Err(Why::Cpus),
    }
}

/// Says on the log if this CPU, which came online, differs. Task context, on that CPU.
pub(super) fn check_here(cpu: u32) {
    if !passes() {
        pr_err!("gates: CPU {cpu} differs in its table or in its number in the GDT\n");
    }
}
