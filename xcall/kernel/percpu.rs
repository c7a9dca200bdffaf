// SPDX-License-Identifier: GPL-2.0
//! A value for every possible CPU, each on cache lines of its own, that any CPU may look at.

use crate::shim;
use core::alloc::Layout;
use core::ptr::NonNull;
use crossbeam_utils::CachePadded;
use kernel::prelude::*;
use xcall::CpuId;

/// The kernel's `nr_cpu_ids`. Any context.
pub(crate) fn cpus() -> u32 {
    // SAFETY: Reads a variable that no longer changes.
    unsafe { shim::xcall_shim_nr_cpu_ids() }
}

/// Zeroed memory that an NMI may touch, or None. Task context.
///
/// Aligned to a page, which is more than any layout of ours asks for.
pub(crate) fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    const PAGE: usize = 4096;
    if layout.align() > PAGE {
        return None;
    }
    // SAFETY: Task context, says our contract. x86-64 shares the page tables of vmalloc memory
    // between all address spaces from the start, so no CPU ever faults on it.
    let memory = unsafe { shim::xcall_shim_vzalloc(layout.size().max(1)) };
    NonNull::new(memory.cast())
}

/// Gives memory back. Task context.
///
/// # Safety
///
/// `memory` came from [`allocate`] and nobody uses it any more.
pub(crate) unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: It came from vzalloc and is not used any more, says our caller.
    unsafe { shim::xcall_shim_vfree(memory.as_ptr().cast()) }
}

/// A `T` for each CPU from 0 to [`cpus`]` - 1`.
///
/// # Invariants
///
/// `first` points to `cpus` valid values in memory from [`allocate`].
pub(crate) struct PerCpu<T> {
    first: NonNull<CachePadded<T>>,
    cpus: usize,
}

// SAFETY: It owns its values and gives out shared references only.
unsafe impl<T: Send + Sync> Send for PerCpu<T> {}
// SAFETY: As for Send.
unsafe impl<T: Send + Sync> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// A table filled by `value`. Task context.
    pub(crate) fn new(value: impl Fn() -> T) -> Result<Self> {
        let cpus = cpus() as usize;
        let layout = Layout::array::<CachePadded<T>>(cpus).map_err(|_| ENOMEM)?;
        let first = allocate(layout).ok_or(ENOMEM)?.cast::<CachePadded<T>>();
        for i in 0..cpus {
            // SAFETY: Within the memory just allocated.
            unsafe { first.add(i).write(CachePadded::new(value())) };
        }
        // INVARIANT: Allocated and filled above.
        Ok(Self { first, cpus })
    }

    fn as_slice(&self) -> &[CachePadded<T>] {
        // SAFETY: By the invariant.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.cpus) }
    }

    /// The value of `cpu`; None if there is no such CPU. Any context.
    pub(crate) fn get(&self, cpu: CpuId) -> Option<&T> {
        self.as_slice().get(cpu.index()).map(|value| &**value)
    }

    /// The values of all CPUs, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.as_slice().iter().map(|value| &**value)
    }
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        let values = core::ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.cpus);
        // SAFETY: By the invariant; they are not used again.
        unsafe { values.drop_in_place() };
        // SAFETY: By the invariant; the memory is not used again.
        unsafe { free(self.first.cast()) };
    }
}
