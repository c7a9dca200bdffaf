// SPDX-License-Identifier: GPL-2.0
//! NMIs of our own: a worker sends one to its own CPU, to call from inside it.
//!
//! NMIs fold together, so ours may find its work done by the handler's run for another. And while the
//! work runs, longer than xcall expects an NMI to be on its way, another's NMI may wait for it to
//! end. So for each of ours one NMI that finds nothing to do is taken for ours.

use crate::guest::{now_ns, this_cpu};
use crate::shim;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::*};
use kernel::prelude::*;
use xcall_stress_protocol::MAX_CPUS;

/// How long an NMI may take to come. Emulated ones wait for their host.
const PATIENCE_NS: u64 = 2_000_000_000;

/// What to run in the NMI.
pub(crate) type Work<'a> = &'a (dyn Fn() + Sync);

/// A CPU's work. Only this CPU touches it: its worker, and its NMIs on top of that.
struct Place {
    work: AtomicPtr<c_void>,
    /// An NMI may still come that is ours or had to wait for ours.
    expected: AtomicBool,
}

static PLACES: [Place; MAX_CPUS] = [const {
    Place {
        work: AtomicPtr::new(core::ptr::null_mut()),
        expected: AtomicBool::new(false),
    }
}; MAX_CPUS];

/// Our NMI handler, while there is one of these.
pub(crate) struct Handler(());

impl Handler {
    /// None: this kernel does not let modules send and hear NMIs.
    pub(crate) fn register() -> Result<Option<Self>> {
        // SAFETY: reads a constant.
        if !unsafe { shim::xcall_stress_shim_has_nmis() } {
            return Ok(None);
        }
        // SAFETY: a task; the handler is below.
        kernel::error::to_result(unsafe { shim::xcall_stress_shim_register_nmi_handler() })?;
        Ok(Some(Self(())))
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // Those expected have come by then.
        // SAFETY: a task.
        unsafe { shim::xcall_stress_shim_msleep(50) };
        for place in &PLACES {
            place.expected.store(false, Relaxed);
        }
        // SAFETY: registered by `register`.
        unsafe { shim::xcall_stress_shim_unregister_nmi_handler() };
    }
}

/// Runs `work` in an NMI on this CPU, on which the caller stays. False: none came.
pub(crate) fn carry(work: Work<'_>) -> bool {
    let cpu = this_cpu();
    let Some(place) = PLACES.get(cpu as usize) else {
        return false;
    };
    place.expected.store(true, Relaxed);
    // Release, for the compiler: the NMI on this CPU sees `work`.
    place
        .work
        .store((&raw const work).cast_mut().cast(), Release);
    // SAFETY: a task.
    unsafe { shim::xcall_stress_shim_send_nmi(cpu) };
    let give_up_ns = now_ns() + PATIENCE_NS;
    while !place.work.load(Acquire).is_null() {
        if now_ns() >= give_up_ns {
            // On this CPU: it comes before this store, or finds nothing after it.
            let left = place.work.swap(core::ptr::null_mut(), AcqRel);
            return left.is_null();
        }
        // SAFETY: any context.
        unsafe { shim::xcall_stress_shim_cpu_relax() };
    }
    true
}

/// An NMI: runs what there is to run. One with nothing to run is ours if one is expected. That it
/// may have been xcall's does no harm: then xcall has credit left for ours.
#[no_mangle]
extern "C" fn xcall_stress_nmi_local() -> c_int {
    let Some(place) = PLACES.get(this_cpu() as usize) else {
        return 0;
    };
    let work = place.work.load(Acquire).cast::<Work<'_>>();
    // SAFETY: null, or set by `carry` on this very CPU, which waits until it is null again.
    let Some(work) = (unsafe { work.as_ref() }) else {
        return c_int::from(place.expected.swap(false, Relaxed));
    };
    work();
    place.expected.store(true, Relaxed);
    place.work.store(core::ptr::null_mut(), Release);
    1
}
