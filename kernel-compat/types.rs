// SPDX-License-Identifier: GPL-2.0
//! Ownership handed to C code and back.

use crate::ffi::c_void;

/// Owned values that C code can hold as a `void *`.
///
/// # Safety
///
/// `into_foreign` gives a pointer aligned to `FOREIGN_ALIGN`.
pub unsafe trait ForeignOwnable: Sized {
    /// The alignment of the pointers given out.
    const FOREIGN_ALIGN: usize;

    /// What `borrow` gives.
    type Borrowed<'a>
    where
        Self: 'a;

    /// Hands the value to C.
    fn into_foreign(self) -> *mut c_void;

    /// Takes the value back from C.
    ///
    /// # Safety
    ///
    /// `ptr` came from `into_foreign`, is taken back once, and no borrow of it is left.
    unsafe fn from_foreign(ptr: *mut c_void) -> Self;

    /// Looks at the value that C holds.
    ///
    /// # Safety
    ///
    /// `ptr` came from `into_foreign` and is not taken back during `'a`.
    unsafe fn borrow<'a>(ptr: *mut c_void) -> Self::Borrowed<'a>;
}

// SAFETY: `NonNull::dangling` is aligned for `()`.
unsafe impl ForeignOwnable for () {
    const FOREIGN_ALIGN: usize = align_of::<()>();
    type Borrowed<'a> = ();

    fn into_foreign(self) -> *mut c_void {
        core::ptr::NonNull::<()>::dangling().as_ptr().cast()
    }

    unsafe fn from_foreign(_: *mut c_void) -> Self {}

    unsafe fn borrow<'a>(_: *mut c_void) -> Self::Borrowed<'a> {}
}
