// SPDX-License-Identifier: GPL-2.0
//! The ring filter: where fault injection from another module takes hold.

use crate::shim;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::prelude::*;
use xcall::CpuId;
use xcall_interface::RingFilter;

/// A [`RingFilter`] as a pointer, or null.
static FILTER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// A filter in force; valid while preemption stays off.
pub(super) struct Filter(RingFilter);

impl Filter {
    /// How often to ring `cpu`: 2 times at most.
    pub(super) fn times(&self, cpu: CpuId) -> u32 {
        // SAFETY: Whoever set it promised that it may be called from any context.
        unsafe { (self.0)(cpu.0) }.min(2)
    }
}

/// The filter in force, if there is one. Preemption off.
#[inline]
pub(super) fn get() -> Option<Filter> {
    // Acquire filter:get, pairs with filter:set: the filter's data is ready.
    let filter = FILTER.load(Ordering::Acquire);
    if filter.is_null() {
        return None;
    }
    // SAFETY: Not null, so it came from a `RingFilter` in `set`. `Option<fn>` and the pointer have
    // the same layout.
    Some(Filter(unsafe {
        core::mem::transmute::<*mut (), RingFilter>(filter)
    }))
}

/// Sets the filter, or takes it away; then nobody runs it any more. Task context.
pub(crate) fn set(filter: Option<RingFilter>) -> Result {
    match filter {
        Some(filter) => {
            // Release filter:set, pairs with filter:get: the filter's data is ready.
            FILTER
                .compare_exchange(
                    ptr::null_mut(),
                    filter as *mut (),
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .map_err(|_| EBUSY)?;
        }
        None => {
            // Relaxed: the grace period orders the end of its use.
            FILTER.store(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: Task context, says our contract. Rings are rung with preemption off.
            unsafe { shim::xcall_shim_synchronize_rcu() };
        }
    }
    Ok(())
}
