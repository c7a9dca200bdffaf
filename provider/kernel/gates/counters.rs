// SPDX-License-Identifier: GPL-2.0
//! Where stubs count: a quad for each CPU and vector, which that CPU alone adds to, in one instruction.

use super::shim;
use crate::cpus;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use dtrace_gates::trampoline::{COUNTERS, PAGE, STUBS};
use dtrace_gates::Backend;

const _: () = assert!(COUNTERS == size_of::<[AtomicU64; STUBS]>());

/// Where that is.
pub(super) enum Counters {
    /// A page for code, and counters behind it: the stub finds its CPU's by the CPU's number.
    Pages(NonNull<u8>),
    /// The kernel's per-CPU memory, which a stub under Xen reaches by GS.
    PerCpu,
}

/// A copy of where pages are, for whom they outlive.
#[derive(Clone, Copy)]
pub(super) struct Memory(NonNull<u8>);

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
        let pages = unsafe { shim::dtrace_gates_vzalloc(PAGE * pages() as usize) };
        let pages = NonNull::new(pages.cast())?;
        // SAFETY: within the allocation.
        let counters = unsafe { pages.add(PAGE) };
        // SAFETY: a variable of stub.S that no stub reads now. Relaxed: the calls that hook a gate order it.
        unsafe { &shim::dtrace_gates_counters }.store(counters.as_ptr() as u64, Ordering::Relaxed);
        Some(Self::Pages(pages))
    }

    /// The pages, if they are some.
    pub(super) fn memory(&self) -> Option<Memory> {
        match self {
            Self::Pages(pages) => Some(Memory(*pages)),
            Self::PerCpu => None,
        }
    }

    /// Any context.
    pub(super) fn get(&self, cpu: u32, vector: u8) -> u64 {
        let vector = usize::from(vector);
        let counters = match self {
            Self::PerCpu => per_cpu(cpu),
            Self::Pages(_) if cpu >= cpus::count() => None,
            Self::Pages(pages) => {
                // SAFETY: within the allocation, aligned; stubs add to it, in whole quads.
                Some(unsafe { pages.add(PAGE + cpu as usize * COUNTERS).cast().as_ref() })
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
        if let Self::Pages(pages) = self {
            // SAFETY: allocated in `new`; no gate leads to a stub that counts here, and none runs.
            unsafe { shim::dtrace_gates_vfree(pages.as_ptr().cast()) };
        }
    }
}

/// Pages of code and counters.
fn pages() -> u32 {
    1 + (cpus::count() * COUNTERS as u32).div_ceil(PAGE as u32)
}

impl Memory {
    /// Has `write` make the page of code. No CPU runs it.
    pub(super) fn write_code<R>(self, write: impl FnOnce(&mut [u8; PAGE]) -> R) -> R {
        // SAFETY: the first page of the allocation, which nobody else touches before it is mapped.
        write(unsafe { self.0.cast().as_mut() })
    }

    /// Maps all pages into the cpu_entry_area; where. None: there is no memory or no slot. Task context.
    pub(super) fn map(self) -> Option<u64> {
        // SAFETY: a task; pages of `vzalloc`, which stay until `dtrace_gates_slot_unmap`.
        let address = unsafe { shim::dtrace_gates_slot_map(self.0.as_ptr().cast(), pages()) };
        (address != 0).then_some(address)
    }
}
