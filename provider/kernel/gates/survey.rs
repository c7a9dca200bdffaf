// SPDX-License-Identifier: GPL-2.0
//! What every CPU is asked: before gates are written, that they read the same table, and that stubs count in the
//! right place; when they are restored, that no CPU reads ours any more; at any time, what they read. Natively: under
//! Xen the table they read is not ours to see.

use super::{pretends, shim, Why};
use crate::cpus;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use dtrace_gates::{digest_of, is_whole, Digest, GATE_SIZE, TABLE_SIZE};
use kernel::prelude::*;
use xcall_interface::{xcall_call_all, Work, ORDINARY};

/// The table of all CPUs, while [`check_here`] compares; 0: it does not.
static BASE: AtomicU64 = AtomicU64::new(0);

/// CPUs that did not pass.
static DIFFERENT: AtomicU64 = AtomicU64::new(0);

/// The digest that CPUs are asked for, and how many have that.
static WANTED: AtomicU64 = AtomicU64::new(0);
static ALIKE: AtomicU64 = AtomicU64::new(0);

/// The vectors whose gates CPUs are asked for, a bit for each.
static VECTORS: AtomicU32 = AtomicU32::new(0);

/// A CPU that has our gates was pretended, once.
static PRETENDED: AtomicBool = AtomicBool::new(false);

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
    let (here, limit) = table();
    number == cpus::this() && here == base && is_whole(limit)
}

/// Bytes at an address; None: they cannot be read. Any context.
fn read<const N: usize>(address: u64) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    // SAFETY: room for as much; a bad address is an error.
    let errno = unsafe {
        crate::shim::dtrace_shim_copy_from_kernel(bytes.as_mut_ptr().cast(), address, N as c_ulong)
    };
    (errno == 0).then_some(bytes)
}

/// The digest of the table that this CPU reads, by its own page tables. Any context.
fn digest() -> Option<Digest> {
    let (base, limit) = table();
    if !is_whole(limit) {
        return None;
    }
    (0..TABLE_SIZE as u64)
        .step_by(64)
        .try_fold(Digest::EMPTY, |digest, at| {
            Some(digest.with(&read::<64>(base.wrapping_add(at))?))
        })
}

/// The same of some gates. Any context.
fn digest_of_gates(base: u64) -> Option<Digest> {
    digest_of(VECTORS.load(Relaxed), |vector| {
        read::<GATE_SIZE>(base.wrapping_add(u64::from(vector) * GATE_SIZE as u64))
    })
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

/// # Safety
///
/// None.
unsafe extern "C" fn ask_gates(_: *mut c_void) {
    let base = table().0;
    let is_right =
        base == BASE.load(Relaxed) && digest_of_gates(base) == Some(Digest(WANTED.load(Relaxed)));
    if !is_right {
        DIFFERENT.fetch_add(1, Relaxed);
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

/// Fails unless every CPU has its table at `base` and reads gates of that digest there, at the vectors of `vectors`.
/// Natively; task context, with the gates' lock.
pub(super) fn gates_everywhere(base: u64, vectors: u32, digest: Digest) -> Result<(), Why> {
    BASE.store(base, Relaxed);
    VECTORS.store(vectors, Relaxed);
    WANTED.store(digest.0, Relaxed);
    DIFFERENT.store(0, Relaxed);
    let errno = ask_all(ask_gates);
    if pretends("left") && !PRETENDED.swap(true, Relaxed) {
        return Err(Why::Left);
    }
    match errno == 0 && DIFFERENT.load(Relaxed) == 0 {
        true => Ok(()),
        false => Err(Why::Left),
    }
}

/// Whether this CPU, which came online, has the table of the others and its number; said on the log if not.
/// Natively; task context, on that CPU.
pub(super) fn check_here(cpu: u32) -> bool {
    let passes = passes();
    if !passes {
        pr_err!("gates: CPU {cpu} differs in its table or in its number in the GDT\n");
    }
    passes
}
