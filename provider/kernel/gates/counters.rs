// SPDX-License-Identifier: GPL-2.0
//! Where stubs count: a quad for each CPU and vector, which that CPU alone adds to, in one instruction.

use super::shim;
use crate::cpus;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use dtrace_gates::trampoline::{COUNTERS, PAGE, STUBS};

/// A page for code, and counters behind it.
pub(super) struct Counters(NonNull<u8>);

/// A copy of where they are, for whom they outlive.
#[derive(Clone, Copy)]
pub(super) struct Memory(NonNull<u8>);

impl Counters {
    /// All 0. Task context.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: a task; freed in `drop`.
        NonNull::new(unsafe { shim::dtrace_gates_vzalloc(PAGE * pages() as usize) }.cast())
            .map(Self)
    }

    /// Stubs of the module count here from now on. No gate leads to one.
    pub(super) fn publish(&self) {
        // SAFETY: within the allocation.
        let counters = unsafe { self.0.add(PAGE) };
        // SAFETY: a variable of stub.S that no stub reads now. Relaxed: the calls that hook a gate order it.
        unsafe { &shim::dtrace_gates_counters }.store(counters.as_ptr() as u64, Ordering::Relaxed);
    }

    pub(super) fn memory(&self) -> Memory {
        Memory(self.0)
    }

    /// Any context.
    pub(super) fn get(&self, cpu: u32, vector: u8) -> u64 {
        let (cpu, vector) = (cpu as usize, usize::from(vector));
        if cpu >= cpus::count() as usize || vector >= STUBS {
            return 0;
        }
        // SAFETY: within the allocation, aligned; stubs add to it, in whole.
        let counter = unsafe {
            self.0
                .add(PAGE + cpu * COUNTERS + vector * 8)
                .cast::<AtomicU64>()
                .as_ref()
        };
        // Relaxed: a number.
        counter.load(Ordering::Relaxed)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`; no gate leads to a stub that counts here, and none runs.
        unsafe { shim::dtrace_gates_vfree(self.0.as_ptr().cast()) };
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
