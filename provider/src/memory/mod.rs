// SPDX-License-Identifier: GPL-2.0
//! Memory that is asked for fallibly, from two hooks, and counted.
//!
//! Task context only: a probe never allocates or frees. The hooks are symbols, so that no type here
//! carries an allocator; a kernel module defines them over kvmalloc, the feature `host` over std.
//! The counters go back to zero when everything is gone: [`usage`].

mod chain;
mod list;
mod owned;
mod published;
mod shared;

pub(crate) use chain::{Chain, Node, Writer};
pub use list::List;
pub use owned::Owned;
pub use published::Synced;
pub(crate) use published::{Clock, Once, Published, Retired};
pub use shared::Shared;

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// There was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// What is allocated at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes asked for.
    pub bytes: u64,
    /// Allocations.
    pub objects: u64,
}

impl Usage {
    /// What came since `before`; wraps where more went.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes.wrapping_sub(before.bytes),
            objects: self.objects.wrapping_sub(before.objects),
        }
    }

    /// Both; the reverse of [`since`](Self::since).
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.wrapping_add(other.bytes),
            objects: self.objects.wrapping_add(other.objects),
        }
    }
}

// Statistics: they decide nothing, so Relaxed everywhere.
static BYTES: AtomicU64 = AtomicU64::new(0);
static OBJECTS: AtomicU64 = AtomicU64::new(0);

/// What this crate holds of the hooks' memory. Any context.
pub fn usage() -> Usage {
    Usage {
        bytes: BYTES.load(Ordering::Relaxed),
        objects: OBJECTS.load(Ordering::Relaxed),
    }
}

extern "C" {
    /// Zeroed memory of `size` bytes, at `align`, a power of two of 4096 at most; or null.
    fn dtrace_provider_allocate(size: usize, align: usize) -> *mut u8;
    /// Takes back memory of `dtrace_provider_allocate` with the same size and alignment.
    fn dtrace_provider_free(memory: *mut u8, size: usize, align: usize);
}

/// Zeroed memory of `layout`; a dangling pointer for an empty one.
fn allocate(layout: Layout) -> Result<NonNull<u8>, OutOfMemory> {
    if layout.size() == 0 {
        let nowhere = core::ptr::without_provenance_mut(layout.align());
        return NonNull::new(nowhere).ok_or(OutOfMemory);
    }
    if layout.align() > 4096 {
        return Err(OutOfMemory);
    }
    // SAFETY: the size is not zero and the alignment a power of two, by Layout.
    let memory = unsafe { dtrace_provider_allocate(layout.size(), layout.align()) };
    let memory = NonNull::new(memory).ok_or(OutOfMemory)?;
    BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
    OBJECTS.fetch_add(1, Ordering::Relaxed);
    Ok(memory)
}

/// Gives memory of [`allocate`] back.
///
/// # Safety
///
/// `memory` came from `allocate` with this layout, and nobody uses it any more.
unsafe fn free(memory: NonNull<u8>, layout: Layout) {
    if layout.size() == 0 {
        return;
    }
    BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
    OBJECTS.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { dtrace_provider_free(memory.as_ptr(), layout.size(), layout.align()) };
}

/// The hooks of the host. Models keep freed memory, so that a use after free is for loom to report
/// and not for the machine; `fail_after` lets a test see what a lack of memory does.
#[cfg(any(test, feature = "host", loom))]
pub mod host {
    use std::alloc::Layout;
    use std::cell::Cell;

    std::thread_local! {
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
        static LARGEST: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Allocations of this thread of more than so many bytes fail.
    pub fn fail_above(bytes: usize) {
        LARGEST.set(bytes);
    }

    /// The next `n` allocations of this thread succeed, all later ones fail; None: all succeed.
    pub fn fail_after(n: Option<u64>) {
        LEFT.set(n);
    }

    /// Runs `f` with all the memory it wants, whatever `fail_after` said.
    pub fn fail_after_pause<R>(f: impl FnOnce() -> R) -> R {
        let left = LEFT.replace(None);
        let result = f();
        LEFT.set(left);
        result
    }

    #[no_mangle]
    extern "C" fn dtrace_provider_allocate(size: usize, align: usize) -> *mut u8 {
        if size > LARGEST.get() {
            return core::ptr::null_mut();
        }
        match LEFT.get() {
            Some(0) => return core::ptr::null_mut(),
            left => LEFT.set(left.map(|n| n - 1)),
        }
        let Ok(layout) = Layout::from_size_align(size, align) else {
            return core::ptr::null_mut();
        };
        // SAFETY: the size is not zero, by the hook's contract.
        unsafe { std::alloc::alloc_zeroed(layout) }
    }

    #[no_mangle]
    extern "C" fn dtrace_provider_free(memory: *mut u8, size: usize, align: usize) {
        if cfg!(loom) {
            return;
        }
        if let Ok(layout) = Layout::from_size_align(size, align) {
            // SAFETY: by the hook's contract, it came from `dtrace_provider_allocate` with this
            // layout.
            unsafe { std::alloc::dealloc(memory, layout) };
        }
    }
}
