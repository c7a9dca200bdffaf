// SPDX-License-Identifier: GPL-2.0
//! Where stubs count: a quad for each CPU and vector, which that CPU alone adds to, in one instruction.

use super::shim;
use crate::cpus;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use dtrace_gates::trampoline::{AREA, COUNTERS, CPUS, STUBS};
use dtrace_gates::Backend;

const _: () = assert!(COUNTERS == size_of::<[AtomicU64; STUBS]>());

/// Where that is.
pub(super) enum Counters {
    /// Memory of our own, for every number that a stub may take for its CPU's: it finds its counters by that.
    Own(NonNull<u8>),
    /// The kernel's per-CPU memory, which a stub under Xen reaches by GS.
    PerCpu,
}

impl Counters {
    /// All 0, and what stubs count in from now on. No gate leads to one. Task context.
    pub(super) fn new(backend: Backend) -> Option<Self> {
        if backend == Backend::XenPv {
            let counters = (0..cpus::count()).filter_map(per_cpu).flatten();
            // Relaxed: the hypercalls that hook gates order it.
            counters.for_each(|counter| counter.store(0, Ordering::Relaxed));
            return Some(Self::PerCpu);
        }
        // SAFETY: a task; freed in `drop`.
        let own = unsafe { shim::dtrace_gates_vzalloc(AREA) };
        let own = NonNull::new(own.cast())?;
        // SAFETY: a variable of stub.S that no stub reads now. Relaxed: the calls that hook a gate order it.
        unsafe { &shim::dtrace_gates_counters }.store(own.as_ptr() as u64, Ordering::Relaxed);
        Some(Self::Own(own))
    }

    /// Where the memory of our own is, [`AREA`] bytes, in pages.
    pub(super) fn memory(&self) -> Option<NonNull<u8>> {
        match self {
            Self::Own(own) => Some(*own),
            Self::PerCpu => None,
        }
    }

    /// Any context.
    pub(super) fn get(&self, cpu: u32, vector: u8) -> u64 {
        let vector = usize::from(vector);
        let counters = match self {
            Self::PerCpu => per_cpu(cpu),
            Self::Own(_) if cpu as usize >= CPUS => None,
            Self::Own(own) => {
                // SAFETY: within the allocation, aligned; stubs add to it, in whole quads.
                Some(unsafe { own.add(cpu as usize * COUNTERS).cast().as_ref() })
            }
        };
        let counter = counters.and_then(|counters: &[AtomicU64; STUBS]| counters.get(vector));
        // Relaxed: a number.
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// What stubs under Xen count in on a CPU. Any context.
fn per_cpu(cpu: u32) -> Option<&'static [AtomicU64; STUBS]> {
    if cpu >= cpus::count() {
        return None;
    }
    // SAFETY: a number below that of CPUs.
    let counters = unsafe { shim::dtrace_gates_xen_counters_of(cpu) };
    // SAFETY: NULL or as many quads as STUBS, which stay as long as the module; stubs add to them, in whole.
    unsafe { counters.cast::<[AtomicU64; STUBS]>().as_ref() }
}

impl Drop for Counters {
    fn drop(&mut self) {
        if let Self::Own(own) = self {
            // SAFETY: allocated in `new`; no gate leads to a stub that counts here, and none runs.
            unsafe { shim::dtrace_gates_vfree(own.as_ptr().cast()) };
        }
    }
}
