// SPDX-License-Identifier: GPL-2.0
//! Misc devices: a node in /dev and the operations behind it.

use crate::error::{code::ENOTTY, to_result, Error, Result};
use crate::ffi::{c_int, c_long, c_uint, c_ulong, c_void, CStr};
use crate::fs::File;
use crate::glue::{self, MiscOps};
use crate::init::{pin_init_from_closure, PinInit};
use crate::types::ForeignOwnable;
use core::marker::{PhantomData, PhantomPinned};
use macros::vtable;

/// Options for creating a misc device.
#[derive(Copy, Clone)]
pub struct MiscDeviceOptions {
    /// The name of the node in /dev; root alone may open it.
    pub name: &'static CStr,
}

/// A registered misc device; dropped, it goes.
///
/// # Invariants
///
/// `misc` came from `kernel_compat_misc_register` and was not given back yet.
pub struct MiscDeviceRegistration<T> {
    misc: *mut c_void,
    _pin: PhantomPinned,
    _device: PhantomData<T>,
}

// SAFETY: misc_deregister may be called from another thread than misc_register.
unsafe impl<T> Send for MiscDeviceRegistration<T> {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl<T> Sync for MiscDeviceRegistration<T> {}

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// Registers a misc device.
    pub fn register(opts: MiscDeviceOptions) -> impl PinInit<Self, Error> {
        let init = move |slot: *mut Self| {
            // Before the node is there: an open may come before registering has returned.
            // INVARIANT: `misc` is set below, before anybody may drop this.
            let this = Self {
                misc: core::ptr::null_mut(),
                _pin: PhantomPinned,
                _device: PhantomData,
            };
            // SAFETY: The initialiser's caller gave a valid slot.
            unsafe { slot.write(this) };
            let mut misc = core::ptr::null_mut();
            // SAFETY: The name and the operations are static; the device is given back in drop,
            // before `slot`, which is pinned, goes.
            to_result(unsafe {
                glue::kernel_compat_misc_register(
                    opts.name.as_ptr().cast(),
                    &Operations::<T>::OPS,
                    slot.cast(),
                    &mut misc,
                )
            })?;
            // SAFETY: As above. Whoever opens it meanwhile has no way to look at `misc`.
            unsafe { (&raw mut (*slot).misc).write(misc) };
            Ok(())
        };
        // SAFETY: After Ok the slot is filled; after Err what was written needs no drop.
        unsafe { pin_init_from_closure(init) }
    }
}

impl<T> Drop for MiscDeviceRegistration<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant; this is the only place that gives it back.
        unsafe { glue::kernel_compat_misc_deregister(self.misc) }
    }
}

/// The private data of an open misc device, and its operations.
#[vtable]
pub trait MiscDevice: Sized {
    /// The pointer that holds `Self` while the file is open.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Called when the device is opened.
    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr>;

    /// Called when the last reference to the open file goes.
    fn release(device: Self::Ptr, _file: &File) {
        drop(device);
    }

    /// Answers an ioctl.
    fn ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        Err(ENOTTY)
    }
}

/// `T`'s operations as C calls them.
struct Operations<T>(PhantomData<T>);

impl<T: MiscDevice> Operations<T> {
    const OPS: MiscOps = MiscOps {
        open: Self::open,
        ioctl: if T::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        release: Self::release,
    };

    /// # Safety
    ///
    /// `registration` is a [`MiscDeviceRegistration<T>`], `file` a file being opened.
    unsafe extern "C" fn open(
        registration: *mut c_void,
        file: *mut c_void,
        private: *mut *mut c_void,
    ) -> c_int {
        // SAFETY: misc_open keeps the device registered during this call.
        let registration = unsafe { &*registration.cast::<MiscDeviceRegistration<T>>() };
        // SAFETY: The file stays open during this call.
        let file = unsafe { File::from_raw_file(file) };
        match T::open(file, registration) {
            Ok(pointer) => {
                // SAFETY: glue.c passes its own field.
                unsafe { *private = pointer.into_foreign() };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `private` came from [`Self::open`], `file` is the same open file.
    unsafe extern "C" fn ioctl(
        private: *mut c_void,
        file: *mut c_void,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The kernel calls release after the last ioctl has returned.
        let device = unsafe { T::Ptr::borrow(private) };
        // SAFETY: The file stays open during this call.
        let file = unsafe { File::from_raw_file(file) };
        match T::ioctl(device, file, cmd, arg) {
            Ok(value) => value,
            Err(error) => error.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// `private` came from [`Self::open`] and is given back; `file` is the same file.
    unsafe extern "C" fn release(private: *mut c_void, file: *mut c_void) {
        // SAFETY: Nobody else holds it: this is the file's last call.
        let device = unsafe { T::Ptr::from_foreign(private) };
        // SAFETY: The file stays valid during this call.
        T::release(device, unsafe { File::from_raw_file(file) });
    }
}
