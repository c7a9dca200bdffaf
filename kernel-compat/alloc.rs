// SPDX-License-Identifier: GPL-2.0
//! Memory that is asked for fallibly, with the caller's allocation flags.
//!
//! Task context unless the flags say otherwise; never from NMI.

mod boxed;
mod vec;

pub use boxed::Box;
pub use vec::Vec;

use core::alloc::Layout;
use core::ptr::NonNull;

/// There was no memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocError;

/// Allocation flags; combine them with `|`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl core::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

/// Allocation flags. Their bits are glue.h's, not a kernel's own: those differ by version.
pub mod flags {
    use super::Flags;

    /// May sleep: task context.
    pub const GFP_KERNEL: Flags = Flags(0);
    /// Never sleeps, may use the reserves.
    pub const GFP_ATOMIC: Flags = Flags(1);
    /// Never sleeps.
    pub const GFP_NOWAIT: Flags = Flags(2);
    /// Filled with zeroes.
    pub const __GFP_ZERO: Flags = Flags(4);
}

/// A kernel allocator.
///
/// # Safety
///
/// `alloc` answers memory of the layout that stays until `free`.
pub unsafe trait Allocator {
    /// Whether kvmalloc's vmalloc fallback may be used.
    #[doc(hidden)]
    const KVMALLOC: bool;

    /// Allocates; a dangling pointer for an empty layout.
    #[doc(hidden)]
    fn alloc(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            let nowhere = core::ptr::without_provenance_mut(layout.align());
            return NonNull::new(nowhere).ok_or(AllocError);
        }
        // vmalloc, its fallback, aligns to a page.
        if layout.align() > 4096 {
            return Err(AllocError);
        }
        // kmalloc aligns to 8 bytes, and a size that is a power of two to itself
        // (Documentation/core-api/memory-allocation.rst).
        let size = if layout.align() > 8 {
            layout
                .size()
                .max(layout.align())
                .checked_next_power_of_two()
                .ok_or(AllocError)?
        } else {
            layout.size()
        };
        // SAFETY: No preconditions but the context, which the flags name.
        let object = unsafe { crate::glue::kernel_compat_alloc(size, flags.0, Self::KVMALLOC) };
        NonNull::new(object.cast()).ok_or(AllocError)
    }

    /// Gives memory back.
    ///
    /// # Safety
    ///
    /// `object` came from `alloc` with this layout and is not used any more.
    #[doc(hidden)]
    unsafe fn free(object: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: Not empty, so it came from kernel_compat_alloc; the caller gives it up.
            unsafe { crate::glue::kernel_compat_free(object.as_ptr().cast()) }
        }
    }
}

/// Physically contiguous memory: `kmalloc`.
pub struct Kmalloc;
/// Contiguous where that can be had, else mapped page by page: `kvmalloc`.
pub struct KVmalloc;

// SAFETY: kmalloc's contract.
unsafe impl Allocator for Kmalloc {
    const KVMALLOC: bool = false;
}

// SAFETY: kvmalloc's contract.
unsafe impl Allocator for KVmalloc {
    const KVMALLOC: bool = true;
}

/// A [`Box`] in kmalloc memory.
pub type KBox<T> = Box<T, Kmalloc>;
/// A [`Box`] in kvmalloc memory.
pub type KVBox<T> = Box<T, KVmalloc>;
/// A [`Vec`] in kmalloc memory.
pub type KVec<T> = Vec<T, Kmalloc>;
/// A [`Vec`] in kvmalloc memory.
pub type KVVec<T> = Vec<T, KVmalloc>;
