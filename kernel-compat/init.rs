// SPDX-License-Identifier: GPL-2.0
//! Initialisation in place, as far as functions that return `impl PinInit` need it.
//!
//! The macros of the newer crate's `pin-init` are not here: shared sources hand initialisers on
//! (`KBox::pin_init(...)`), they do not write them.

use crate::alloc::{AllocError, Flags};
use crate::error::{Error, Result};

/// Fills one place in memory that will never move.
///
/// # Safety
///
/// After `Ok`, the place holds a valid `T`; after `Err`, it may be reused as uninitialised.
pub unsafe trait PinInit<T: ?Sized, E = core::convert::Infallible>: Sized {
    /// Fills `slot`.
    ///
    /// # Safety
    ///
    /// 1. `slot` is valid for writes and aligned.
    /// 2. After `Ok`, the value is not moved before it is dropped.
    unsafe fn __pinned_init(self, slot: *mut T) -> Result<(), E>;
}

/// A closure as an initialiser.
pub(crate) struct InitClosure<F>(F);

// SAFETY: `pin_init_from_closure` has its caller promise it.
unsafe impl<T, E, F: FnOnce(*mut T) -> Result<(), E>> PinInit<T, E> for InitClosure<F> {
    unsafe fn __pinned_init(self, slot: *mut T) -> Result<(), E> {
        (self.0)(slot)
    }
}

/// Makes an initialiser of a closure.
///
/// # Safety
///
/// The closure keeps what [`PinInit`] asks, given what `__pinned_init` asks of its caller.
pub(crate) unsafe fn pin_init_from_closure<T, E, F>(f: F) -> InitClosure<F>
where
    F: FnOnce(*mut T) -> Result<(), E>,
{
    InitClosure(f)
}

/// Smart pointers that can be made around a value initialised in place.
pub trait InPlaceInit<T>: Sized {
    /// The pinned form of `Self`.
    type PinnedSelf;

    /// Allocates and initialises, with the initialiser's own error type.
    fn try_pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Self::PinnedSelf, E>
    where
        E: From<AllocError>;

    /// Allocates and initialises.
    fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Self::PinnedSelf>
    where
        Error: From<E>,
    {
        // SAFETY: `slot` is passed on as it came.
        let with_kernel_error = |slot| unsafe { init.__pinned_init(slot) }.map_err(Error::from);
        // SAFETY: `init` keeps the contract, and only the error type changes.
        Self::try_pin_init(unsafe { pin_init_from_closure(with_kernel_error) }, flags)
    }
}
