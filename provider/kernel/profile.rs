// SPDX-License-Identifier: GPL-2.0
//! The profile provider: timers, while a probe of theirs is enabled.

use crate::machine::Host;
use crate::{cpus, live, shim};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use dtrace_profile::{Timer, USUAL};
use dtrace_provider::{Control, Error, Machine, Pattern, Provider};
use kernel::prelude::*;

/// Probes that are made because somebody asks for them, at most: they stay.
const MADE: u32 = 1000;

/// A timer, in hard interrupt context.
#[no_mangle]
extern "C" fn dtrace_timer_fired(probe: u32, pc: u64, user_pc: u64) {
    let mut args = [0; 10];
    args[0] = pc;
    args[1] = user_pc;
    live::fire(probe, &args);
}

struct Profile;

static PROFILE: Profile = Profile;

/// The argument of a probe: its period, and whether it fires everywhere in the lowest bit.
fn pack(timer: Timer) -> u64 {
    (timer.period_ns << 1) | u64::from(timer.everywhere)
}

/// CPUs that come and go take their timers with them, while this lives.
pub(crate) struct Timers(c_int);

impl Timers {
    /// Task context; once.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: a task.
        let state = unsafe { shim::dtrace_shim_timers_follow_cpus() };
        kernel::error::to_result(state.min(0))?;
        Ok(Self(state))
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        // SAFETY: a task; it is what `follow` answered.
        unsafe { shim::dtrace_shim_timers_leave_cpus(self.0) };
    }
}

fn start(cpu: c_uint, probe: u32, period_ns: u64) -> Result<(), Error> {
    // SAFETY: a task, CPUs held; the number of a CPU, or any.
    match unsafe { shim::dtrace_shim_timer_start(cpu, probe, period_ns) } {
        0 => Ok(()),
        _ => Err(Error::OutOfMemory),
    }
}

impl Provider for Profile {
    fn enable(&self, probe: u32, argument: u64) -> Result<(), Error> {
        let period_ns = argument >> 1;
        Host.hold_cpus();
        let result = match argument & 1 {
            0 => start(shim::ANY_CPU, probe, period_ns),
            // One for a CPU that is off line begins when it comes.
            _ => (0..cpus::count()).try_for_each(|cpu| start(cpu, probe, period_ns)),
        };
        Host.release_cpus();
        if result.is_err() {
            self.disable(probe, argument);
        }
        result
    }

    fn disable(&self, probe: u32, _argument: u64) {
        // SAFETY: a task, with the control side's lock.
        unsafe { shim::dtrace_shim_timers_stop(probe) };
    }
}

/// Makes the usual probes. Task context.
pub(crate) fn register(control: &mut Control<Host>) -> Result<(), Error> {
    let provider = control.register(b"profile", &PROFILE)?;
    for name in USUAL {
        if let Some(timer) = Timer::parse(name) {
            control.create_probe(provider, b"", b"", name.as_bytes(), pack(timer))?;
        }
    }
    Ok(())
}

/// Makes the probe that `pattern` names, if it is one of ours that is not there yet.
pub(crate) fn provide(control: &mut Control<Host>, pattern: &Pattern<'_>) {
    static DONE: AtomicU32 = AtomicU32::new(0);
    let parts = [
        pattern.provider,
        pattern.module,
        pattern.function,
        pattern.name,
    ];
    let Some(timer) = Timer::named(parts) else {
        return;
    };
    let same = Pattern {
        provider: b"profile",
        name: pattern.name,
        ..Pattern::default()
    };
    // Relaxed: with the control side's lock.
    if control.first_match(1, &same).is_some() || DONE.load(Relaxed) >= MADE {
        return;
    }
    if let Some(provider) = control.provider_named(b"profile") {
        // Without memory nothing matches, and that is what the client is told.
        if control
            .create_probe(provider, b"", b"", pattern.name, pack(timer))
            .is_ok()
        {
            DONE.fetch_add(1, Relaxed);
        }
    }
}
