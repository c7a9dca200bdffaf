// SPDX-License-Identifier: GPL-2.0
//! The syscall provider's tracepoints: registered while a probe of theirs is enabled.

use crate::shim;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use dtrace_syscall::{Call, Enabled, Outcome, Side, Tasks, NO_PROBE};
use kernel::prelude::*;

static ENABLED: Enabled = Enabled::new();
static TASKS: Tasks = Tasks::new();

/// Whether entries leave in [`TASKS`] what their returns want to know.
static REMEMBERED: AtomicBool = AtomicBool::new(false);

/// Returns whose entry was not seen: a child's of fork, and what a tracer refused.
static UNPAIRED: AtomicU64 = AtomicU64::new(0);

/// Entries that found no place in [`TASKS`]: their returns are not seen.
static LOST: AtomicU64 = AtomicU64::new(0);

/// `raw_syscalls:sys_enter`, with preemption off.
#[no_mangle]
extern "C" fn dtrace_sys_enter(regs: *const c_void, id: i64, ia32: bool, task: u64) {
    let Some(call) = Call::traced(id, ia32) else {
        return;
    };
    // Relaxed: a call that began before returns were enabled has no entry, then or now.
    if REMEMBERED.load(Relaxed) && call.returns() && TASKS.enter(task, call).is_err() {
        LOST.fetch_add(1, Relaxed);
    }
    let probe = ENABLED.get(call, Side::Entry);
    if probe == NO_PROBE {
        return;
    }
    let mut args = [0; 10];
    // SAFETY: the tracepoint's registers, and room for more than the six it writes.
    unsafe { shim::dtrace_shim_syscall_arguments(regs, args.as_mut_ptr()) };
    fire(probe, &args, 0);
}

/// `raw_syscalls:sys_exit`, with preemption off.
#[no_mangle]
extern "C" fn dtrace_sys_exit(value: i64, task: u64) {
    let Some(call) = TASKS.leave(task) else {
        UNPAIRED.fetch_add(1, Relaxed);
        return;
    };
    let probe = ENABLED.get(call, Side::Return);
    if probe == NO_PROBE {
        return;
    }
    let outcome = Outcome::new(value);
    let mut args = [0; 10];
    args[0] = outcome.value as u64;
    args[1] = outcome.value as u64;
    fire(probe, &args, outcome.errno);
}

fn fire(_probe: u32, _args: &[u64; 10], _errno: u32) {}
