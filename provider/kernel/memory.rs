// SPDX-License-Identifier: GPL-2.0
//! The framework's memory: kvmalloc's. Task context.

use crate::shim;
use kernel::prelude::*;

/// The alignment that any size has.
const ALIGNED: usize = 8;

/// What to ask for so that the memory is aligned: a power of two is aligned to itself, up to a page
/// (Documentation/core-api/memory-allocation.rst).
fn rounded(size: usize, align: usize) -> Option<usize> {
    match align > ALIGNED {
        true => size.max(align).checked_next_power_of_two(),
        false => Some(size),
    }
}

/// The crate's hook: zeroed memory, or null.
#[no_mangle]
extern "C" fn dtrace_provider_allocate(size: usize, align: usize) -> *mut u8 {
    let Some(size) = rounded(size, align) else {
        return core::ptr::null_mut();
    };
    // SAFETY: a task, says the crate.
    unsafe { shim::dtrace_shim_kvzalloc(size) }.cast()
}

/// The crate's hook: memory back.
#[no_mangle]
extern "C" fn dtrace_provider_free(memory: *mut u8, _size: usize, _align: usize) {
    // SAFETY: a task; it came from above and nobody uses it, says the crate.
    unsafe { shim::dtrace_shim_kvfree(memory.cast::<c_void>()) };
}
