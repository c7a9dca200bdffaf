// SPDX-License-Identifier: GPL-2.0
//! The C side (`glue.c`), and the one kernel function that needs no glue.

use crate::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

/// Callbacks of one misc device, `struct kernel_compat_misc_ops` in `glue.h`.
#[repr(C)]
pub(crate) struct MiscOps {
    /// Answers 0 and sets the private pointer, or a negative errno.
    pub(crate) open: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut *mut c_void) -> c_int,
    /// `unlocked_ioctl`; null where the device has none.
    pub(crate) ioctl:
        Option<unsafe extern "C" fn(*mut c_void, *mut c_void, c_uint, c_ulong) -> c_long>,
    /// The private pointer comes back for the last time.
    pub(crate) release: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

const _: () = assert!(size_of::<MiscOps>() == 3 * size_of::<usize>());

extern "C" {
    /// `include/linux/printk.h`. Callable from any context.
    pub(crate) fn _printk(format: *const c_char, ...) -> c_int;

    pub(crate) fn kernel_compat_alloc(size: usize, flags: c_uint, large: bool) -> *mut c_void;
    pub(crate) fn kernel_compat_free(object: *const c_void);
    pub(crate) fn kernel_compat_copy_from_user(
        to: *mut c_void,
        from: *const c_void,
        len: c_ulong,
    ) -> c_ulong;
    pub(crate) fn kernel_compat_copy_to_user(
        to: *mut c_void,
        from: *const c_void,
        len: c_ulong,
    ) -> c_ulong;
    pub(crate) fn kernel_compat_file_flags(file: *const c_void) -> c_uint;
    pub(crate) fn kernel_compat_misc_register(
        name: *const c_char,
        ops: *const MiscOps,
        registration: *mut c_void,
        misc: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn kernel_compat_misc_deregister(misc: *mut c_void);
}
