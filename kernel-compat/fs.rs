// SPDX-License-Identifier: GPL-2.0
//! Files, as far as a device's operations see them.

pub use file::File;

/// Open files.
pub mod file {
    use crate::ffi::c_void;
    use core::cell::UnsafeCell;

    /// Flags of an open file, `include/uapi/asm-generic/fcntl.h`.
    pub mod flags {
        /// The bits that hold the access mode.
        pub const O_ACCMODE: u32 = 0o3;
        /// Open for reading only.
        pub const O_RDONLY: u32 = 0o0;
        /// Open for writing only.
        pub const O_WRONLY: u32 = 0o1;
        /// Open for reading and writing.
        pub const O_RDWR: u32 = 0o2;
        /// Answer at once instead of waiting.
        pub const O_NONBLOCK: u32 = 0o4000;
    }

    /// A `struct file`, only ever seen by reference.
    #[repr(transparent)]
    pub struct File(UnsafeCell<[u8; 0]>);

    impl File {
        /// # Safety
        ///
        /// `file` points to a `struct file` that stays open during `'a`.
        pub(crate) unsafe fn from_raw_file<'a>(file: *const c_void) -> &'a File {
            // SAFETY: `File` is empty and any pointer to a live object is valid for it.
            unsafe { &*file.cast() }
        }

        /// The flags it was opened with, [`flags`].
        pub fn flags(&self) -> u32 {
            // SAFETY: The constructor's caller promised a live `struct file`.
            unsafe { crate::glue::kernel_compat_file_flags(core::ptr::from_ref(self).cast()) }
        }
    }
}
