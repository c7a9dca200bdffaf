// SPDX-License-Identifier: GPL-2.0
//! The one framework of this machine: its control side behind a lock, its probe side where probes find it.

use crate::machine::Host;
use crate::{held, shim};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use dtrace_provider::{Control, Framework};
use kernel::prelude::*;

/// The control side, while the module is loaded.
///
/// # Invariants
///
/// The value is touched only with the shim's mutex held.
struct Locked(UnsafeCell<Option<Control<Host>>>);

// SAFETY: by the invariant one thread at a time is at the value, which may be another's each time.
unsafe impl Sync for Locked {}

static CONTROL: Locked = Locked(UnsafeCell::new(None));

/// The mutex, held.
struct Guard(());

impl Guard {
    fn new() -> Self {
        // SAFETY: a task, says whoever calls us; given back in `drop`.
        unsafe { shim::dtrace_shim_lock() };
        Self(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, by this thread.
        unsafe { shim::dtrace_shim_unlock() };
    }
}

/// Runs `f` on the control side, alone. Task context; not nested. ENODEV: there is none.
pub(crate) fn control<R>(f: impl FnOnce(&mut Control<Host>) -> Result<R>) -> Result<R> {
    let _guard = Guard::new();
    // SAFETY: the mutex is held; `f` cannot get here again, that would lock up.
    let control = unsafe { &mut *CONTROL.0.get() };
    f(control.as_mut().ok_or(ENODEV)?)
}

/// The probe side, from [`Live::start`] to its drop.
static FRAMEWORK: AtomicPtr<Framework<Host>> = AtomicPtr::new(ptr::null_mut());

/// The probe side, for a probe that fires; None: none is to.
#[inline]
fn probe_side<'a>() -> Option<&'a Framework<Host>> {
    // Acquire live:A, pairs with live:B: the framework is complete.
    let framework = FRAMEWORK.load(Ordering::Acquire);
    // SAFETY: null, or the framework of `Live`, whose drop is not reached before every probe was
    // disabled, with its hook's own synchronisation.
    unsafe { framework.as_ref() }
}

/// A probe fires. Preemption is off; any context.
#[inline]
pub(crate) fn fire(probe: u32, args: &[u64; 10]) {
    if let Some(framework) = probe_side() {
        framework.fire(probe, args);
    }
}

/// A probe fires on `cpu`, this one, and in `process`. Interrupts are off; any context.
#[inline(always)]
pub(crate) fn fire_known(cpu: u32, process: u32, probe: u32, args: &[u64; 10]) {
    if let Some(framework) = probe_side() {
        framework.fire_known(cpu as usize, process, probe, args);
    }
}

/// The probe side, without the control side's lock. A task that ends before [`Live`] does; None: not begun.
pub(crate) fn framework<R>(f: impl FnOnce(&Framework<Host>) -> R) -> Option<R> {
    // Acquire live:A, pairs with live:B: the framework is complete.
    let framework = FRAMEWORK.load(Ordering::Acquire);
    // SAFETY: null, or the framework of `Live`, which lives longer than the caller.
    unsafe { framework.as_ref() }.map(f)
}

/// The framework's life. Dropped when no file is open, so no consumer is left and no probe enabled.
pub(crate) struct Live(());

impl Live {
    /// Task context; once.
    pub(crate) fn start(control: Control<Host>) -> Self {
        let framework: *const Framework<Host> = &**control.framework();
        let _guard = Guard::new();
        // Release live:B, pairs with live:A. The control side holds the framework, which does not move.
        FRAMEWORK.store(framework.cast_mut(), Ordering::Release);
        // SAFETY: the mutex is held.
        unsafe { *CONTROL.0.get() = Some(control) };
        Self(())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _guard = Guard::new();
        // Relaxed: no probe is enabled, so nobody reads it.
        FRAMEWORK.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the mutex is held.
        unsafe { *CONTROL.0.get() = None };
        held::check_all();
    }
}
