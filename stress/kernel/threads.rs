// SPDX-License-Identifier: GPL-2.0
//! A storm's workers: a thread on each online CPU, by the kernel's own means for threads that belong
//! to a CPU (`kernel/smpboot.c`). Such a thread is parked before its CPU goes offline, never moved
//! elsewhere, and goes on when the CPU is back; one is made for a CPU that comes for the first time.
//!
//! A worker is parked between two turns, when `Storm::work` has returned.
//!
//! Order: the kernel parks these threads at CPUHP_AP_SMPBOOT_THREADS, which lies below
//! CPUHP_AP_ONLINE_DYN, xcall.ko's state, whichever module was loaded first. So a CPU that goes
//! offline closes its mailbox before its worker stops calling, and one that comes online has its
//! worker call before its mailbox opens: that a closed CPU still calls is part of the storm.

use crate::guest::Guest;
use crate::shim;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use xcall_storm::Storm;

/// The storm whose workers the threads are; null while there are no threads.
static STORM: AtomicPtr<Storm<Guest>> = AtomicPtr::new(ptr::null_mut());

/// The storm, in one of its threads.
fn storm<'a>() -> Option<&'a Storm<Guest>> {
    // Acquire, pairs with the Release in `Threads::start`: the storm is complete.
    let storm = STORM.load(Ordering::Acquire);
    // SAFETY: null, or a storm that stays where it is until the threads have gone (`start`).
    unsafe { storm.as_ref() }
}

/// The threads of a storm. Dropped, they have gone; a storm that is not over is stopped first.
pub(crate) struct Threads(());

impl Threads {
    /// Has `storm` blow. A task; not two at a time.
    ///
    /// # Safety
    ///
    /// `storm` stays where it is until what this returns has been dropped.
    pub(crate) unsafe fn start(storm: &Storm<Guest>) -> Result<Self> {
        // Release, pairs with the Acquire in `storm`.
        STORM.store(ptr::from_ref(storm).cast_mut(), Ordering::Release);
        // SAFETY: a task; no threads are registered: that is undone in `drop`.
        let errno = unsafe { shim::xcall_stress_shim_register_threads() };
        let result = kernel::error::to_result(errno);
        if result.is_err() {
            STORM.store(ptr::null_mut(), Ordering::Relaxed);
        }
        result.map(|()| Self(()))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(storm) = storm() {
            storm.stop();
        }
        // Waits for a CPU that is on its way offline or online, then for the threads, parked ones too.
        // SAFETY: a task; registered in `start`.
        unsafe { shim::xcall_stress_shim_unregister_threads() };
        // Relaxed: no thread is left to read it.
        STORM.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Whether the worker of `cpu`, which is this one, has anything to do. Preemption is off.
#[no_mangle]
extern "C" fn xcall_stress_should_run(cpu: c_uint) -> c_int {
    let wanted = storm().is_some_and(|storm| storm.wants_worker(cpu));
    c_int::from(wanted)
}

/// The worker of `cpu`, which is this one: a task that stays here until it returns.
#[no_mangle]
extern "C" fn xcall_stress_run(cpu: c_uint) {
    if let Some(storm) = storm() {
        storm.work_on(cpu);
    }
}
