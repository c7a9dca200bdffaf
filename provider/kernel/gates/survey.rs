// SPDX-License-Identifier: GPL-2.0
//! What every CPU is asked: before gates are written, that they read the same table, and that stubs count in the
//! right place; at any time, what they read. Natively: under Xen the table they read is not ours to see.

use super::{shim, Why};
use crate::cpus;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dtrace_gates::{Digest, TABLE_SIZE};
use kernel::prelude::*;
use xcall_interface::{xcall_call_all, Work, ORDINARY};

/// The table of all CPUs, while [`check_here`] compares; 0: it does not.
static BASE: AtomicU64 = AtomicU64::new(0);

/// CPUs that did not pass.
static DIFFERENT: AtomicU64 = AtomicU64::new(0);

/// The digest that CPUs are asked for, and how many have that.
static WANTED: AtomicU64 = AtomicU64::new(0);
static ALIKE: AtomicU64 = AtomicU64::new(0);

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
    number == cpus::this() && table() == (base, (TABLE_SIZE - 1) as u16)
}

/// The digest of the table that this CPU reads, by its own page tables. Any context.
fn digest() -> Option<Digest> {
    let (base, limit) = table();
    let mut digest = Digest::EMPTY;
    let mut part = [0_u8; 64];
    for at in (0..=u64::from(limit)).step_by(part.len()) {
        let address = base.wrapping_add(at);
        // SAFETY: room for as much; a bad address is an error.
        let errno = unsafe {
            crate::shim::dtrace_shim_copy_from_kernel(
                part.as_mut_ptr().cast(),
                address,
                part.len() as c_ulong,
            )
        };
        if errno != 0 {
            return None;
        }
        digest = digest.with(&part);
    }
    Some(digest)
}

/// # Safety
///
/// None.
unsafe extern "C" fn ask(_: *mut c_void) {
    if !passes() {
        DIFFERENT.fetch_add(1, Relaxed);
    }
}

/// # Safety
///
/// None.
unsafe extern "C" fn compare(_: *mut c_void) {
    if digest() == Some(Digest(WANTED.load(Relaxed))) {
        ALIKE.fetch_add(1, Relaxed);
    }
}

/// Has every CPU that is online run `function`. Task context.
fn ask_all(function: unsafe extern "C" fn(*mut c_void)) -> c_int {
    let work = Work {
        function: Some(function),
        arg: ptr::null_mut(),
        lane: ORDINARY,
        reserved: 0,
        within_ns: 0,
    };
    // SAFETY: it has no argument, and may run anywhere.
    unsafe { xcall_call_all(&work, ptr::null_mut()) }
}

/// How many CPUs read a table of that digest. Natively; task context, with the gates' lock.
pub(super) fn count_alike(digest: u64) -> u64 {
    WANTED.store(digest, Relaxed);
    ALIKE.store(0, Relaxed);
    match ask_all(compare) {
        0 => ALIKE.load(Relaxed),
        _ => 0,
    }
}

/// Fails unless all CPUs pass. Answers where their table is. Natively; task context, with the gates' lock.
pub(super) fn same_everywhere() -> Result<u64, Why> {
    let base = table().0;
    BASE.store(base, Relaxed);
    DIFFERENT.store(0, Relaxed);
    let errno = ask_all(ask);
    match errno == 0 && DIFFERENT.load(Relaxed) == 0 {
        true => Ok(base),
        false => Err(Why::Cpus),
    }
}

/// Says on the log if this CPU, which came online, differs. Natively; task context, on that CPU.
pub(super) fn check_here(cpu: u32) {
    if !passes() {
        pr_err!("gates: CPU {cpu} differs in its table or in its number in the GDT\n");
    }
}
