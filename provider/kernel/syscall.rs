// SPDX-License-Identifier: GPL-2.0
//! The syscall provider: its probes, and the tracepoints, which are registered while one is enabled.

use crate::machine::Host;
use crate::{live, shim};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use dtrace_provider::{Control, Error, Provider};
use dtrace_syscall::{Abi, Call, Enabled, Outcome, Side, Tasks, CALLS, NO_PROBE};
use kernel::prelude::*;

static ENABLED: Enabled = Enabled::new();
static TASKS: Tasks = Tasks::new();

/// Whether entries leave in [`TASKS`] what their returns want to know.
static REMEMBERED: AtomicBool = AtomicBool::new(false);

/// Returns whose entry was not seen: a child's of fork, and what a tracer refused.
static UNPAIRED: AtomicU64 = AtomicU64::new(0);

/// Entries that found no place in [`TASKS`]: their returns are not seen.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Where the error number is among a return's arguments; `dtrace_program` looks for it there.
const ERRNO: usize = 9;

// ---- probes -----------------------------------------------------------------------------------

/// `raw_syscalls:sys_enter`: the probe that is to fire, or [`NO_PROBE`].
///
/// With preemption on or off: it reads numbers that no CPU owns, and what the task left.
#[no_mangle]
extern "C" fn dtrace_sys_enter(id: i64, ia32: bool, task: u64) -> u32 {
    // Relaxed: a call that began before returns were enabled has no entry, then or now.
    if ia32 || REMEMBERED.load(Relaxed) {
        return any_entry(id, ia32, task);
    }
    enabled(Call::traced(id, false))
}

/// The probe of an entry.
#[inline(always)]
fn enabled(call: Option<Call>) -> u32 {
    call.map_or(NO_PROBE, |call| ENABLED.get(call, Side::Entry))
}

/// What fewer calls are, or while returns are traced: the same, leaving what the return wants to know.
#[inline(never)]
fn any_entry(id: i64, ia32: bool, task: u64) -> u32 {
    let call = Call::traced(id, ia32);
    // Relaxed: as above.
    if REMEMBERED.load(Relaxed) && TASKS.begin(task, call).is_err() {
        LOST.fetch_add(1, Relaxed);
    }
    enabled(call)
}

/// An entry whose probe fires, with interrupts off, on `cpu` and in `process`.
#[no_mangle]
#[allow(
    clippy::too_many_arguments,
    reason = "a call has six of its own; by value, so that C makes no array of them"
)]
extern "C" fn dtrace_enter(
    probe: u32,
    cpu: c_uint,
    process: u32,
    arg0: u64,
    arg1: u64,
    arg2: u64,
    arg3: u64,
    arg4: u64,
    arg5: u64,
) {
    let args = [arg0, arg1, arg2, arg3, arg4, arg5, 0, 0, 0, 0];
    live::fire_known(cpu, process, probe, &args);
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
    args[ERRNO] = outcome.errno.into();
    live::fire(probe, &args);
}

// ---- the provider -----------------------------------------------------------------------------

/// The provider. Its numbers change with the control side's lock held only, so they are Relaxed.
struct Syscall {
    /// Probes that are enabled.
    entries: AtomicU32,
    returns: AtomicU32,
}

static SYSCALL: Syscall = Syscall {
    entries: AtomicU32::new(0),
    returns: AtomicU32::new(0),
};

/// What registering a tracepoint answered.
fn registered(answer: c_int) -> Result<(), Error> {
    match kernel::error::to_result(answer) {
        Ok(()) => Ok(()),
        Err(error) if error == ENOMEM => Err(Error::OutOfMemory),
        Err(_) => Err(Error::Unsupported(
            "a kernel without raw_syscalls tracepoints",
        )),
    }
}

/// Entries leave nothing from now on, and nothing that they left stays. `sys_exit` is registered.
fn forget() {
    REMEMBERED.store(false, Relaxed);
    // SAFETY: a task; the caller's promise.
    unsafe { shim::dtrace_shim_sys_exit_unregister() };
    // That waited for all hooks, of either end, that had begun: none is left that found it remembered.
    TASKS.clear();
}

impl Syscall {
    fn number_of(&self, side: Side) -> &AtomicU32 {
        match side {
            Side::Entry => &self.entries,
            Side::Return => &self.returns,
        }
    }

    fn is_idle(&self) -> bool {
        self.entries.load(Relaxed) == 0 && self.returns.load(Relaxed) == 0
    }

    /// Before the first probe of an end is enabled.
    fn begin(&self, side: Side) -> Result<(), Error> {
        let was_idle = self.is_idle();
        if side == Side::Return {
            // Before entries leave anything: what one leaves, its return takes away.
            // SAFETY: a task.
            registered(unsafe { shim::dtrace_shim_sys_exit_register() })?;
            REMEMBERED.store(true, Relaxed);
        }
        if !was_idle {
            return Ok(());
        }
        // SAFETY: a task.
        let result = registered(unsafe { shim::dtrace_shim_sys_enter_register() });
        if result.is_err() && side == Side::Return {
            forget();
        }
        result
    }

    /// After the last probe of an end was disabled. No hook of that end runs any more at return.
    fn end(&self, side: Side) {
        if side == Side::Return {
            forget();
        }
        if self.is_idle() {
            // SAFETY: a task; registered in `begin`.
            unsafe { shim::dtrace_shim_sys_enter_unregister() };
        }
    }
}

impl Provider for Syscall {
    fn enable(&self, probe: u32, argument: u64) -> Result<(), Error> {
        let (call, side) = Call::at(argument).ok_or(Error::Invalid)?;
        let number = self.number_of(side);
        if number.load(Relaxed) == 0 {
            self.begin(side)?;
        }
        number.fetch_add(1, Relaxed);
        ENABLED.set(call, side, probe);
        Ok(())
    }

    fn disable(&self, _probe: u32, argument: u64) {
        let Some((call, side)) = Call::at(argument) else {
            return;
        };
        ENABLED.set(call, side, NO_PROBE);
        if self.number_of(side).fetch_sub(1, Relaxed) == 1 {
            self.end(side);
        }
    }

    fn argument_type(&self, _probe: u32, argument: u64, index: u32) -> Option<&'static str> {
        match Call::at(argument)?.1 {
            Side::Entry => (index < 6).then_some("long"),
            Side::Return => (index < 2).then_some("long"),
        }
    }
}

/// A call's name in this kernel's headers; None: there is no such call.
fn name_of(abi: Abi, number: u32) -> Option<&'static [u8]> {
    // SAFETY: any numbers.
    let name = unsafe { shim::dtrace_shim_syscall_name(abi.index(), number) };
    // SAFETY: null, or a string of the module's own.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name.cast()) }.to_bytes())
}

/// Makes the probes. Task context.
pub(crate) fn register(control: &mut Control<Host>) -> Result<(), Error> {
    let provider = control.register(b"syscall", &SYSCALL)?;
    for abi in Abi::ALL {
        for number in 0..CALLS {
            let (Some(name), Some(call)) = (name_of(abi, number), Call::new(abi, number)) else {
                continue;
            };
            for side in Side::ALL {
                let module = abi.module().as_bytes();
                let place = call.place(side) as u64;
                control.create_probe(provider, module, name, side.name().as_bytes(), place)?;
            }
        }
    }
    Ok(())
}

/// Calls that have no record, see docs/dtrace.md: returns without an entry (0), or entries without a
/// place.
#[no_mangle]
extern "C" fn dtrace_syscall_loss(which: c_ulong) -> u64 {
    match which {
        0 => UNPAIRED.load(Relaxed),
        _ => LOST.load(Relaxed),
    }
}
