// SPDX-License-Identifier: GPL-2.0
//! Kernel errors: a negative errno, never zero.

use crate::alloc::AllocError;
use crate::ffi::c_int;
use core::num::{NonZeroI32, TryFromIntError};

/// The largest errno that the kernel's pointers-or-errors can carry (`include/linux/err.h`).
const MAX_ERRNO: c_int = 4095;

/// Error numbers of `include/uapi/asm-generic/errno-base.h`, `errno.h` and `include/linux/errno.h`.
pub mod code {
    macro_rules! declare_err {
        ($($err:ident = $errno:literal, $doc:literal;)*) => {$(
            #[doc = $doc]
            pub const $err: super::Error = match super::Error::try_from_errno(-$errno) {
                Some(error) => error,
                None => panic!("errno out of range"),
            };
        )*};
    }

    declare_err! {
        EPERM = 1, "Operation not permitted.";
        ENOENT = 2, "No such file or directory.";
        ESRCH = 3, "No such process.";
        EINTR = 4, "Interrupted system call.";
        EIO = 5, "I/O error.";
        ENXIO = 6, "No such device or address.";
        E2BIG = 7, "Argument list too long.";
        ENOEXEC = 8, "Exec format error.";
        EBADF = 9, "Bad file number.";
        ECHILD = 10, "No child processes.";
        EAGAIN = 11, "Try again.";
        ENOMEM = 12, "Out of memory.";
        EACCES = 13, "Permission denied.";
        EFAULT = 14, "Bad address.";
        EBUSY = 16, "Device or resource busy.";
        EEXIST = 17, "File exists.";
        ENODEV = 19, "No such device.";
        EINVAL = 22, "Invalid argument.";
        ENFILE = 23, "File table overflow.";
        EMFILE = 24, "Too many open files.";
        ENOTTY = 25, "Not a typewriter.";
        EFBIG = 27, "File too large.";
        ENOSPC = 28, "No space left on device.";
        EDOM = 33, "Math argument out of domain of func.";
        ERANGE = 34, "Math result not representable.";
        EDEADLK = 35, "Resource deadlock would occur.";
        ENAMETOOLONG = 36, "File name too long.";
        ENOSYS = 38, "Invalid system call number.";
        ENOMSG = 42, "No message of desired type.";
        ENODATA = 61, "No data available.";
        ETIME = 62, "Timer expired.";
        EOVERFLOW = 75, "Value too large for defined data type.";
        EMSGSIZE = 90, "Message too long.";
        EOPNOTSUPP = 95, "Operation not supported on transport endpoint.";
        EADDRINUSE = 98, "Address already in use.";
        ENOBUFS = 105, "No buffer space available.";
        ESHUTDOWN = 108, "Cannot send after transport endpoint shutdown.";
        ETIMEDOUT = 110, "Connection timed out.";
        EHOSTDOWN = 112, "Host is down.";
        EALREADY = 114, "Operation already in progress.";
        EINPROGRESS = 115, "Operation now in progress.";
        ECANCELED = 125, "Operation Canceled.";
        ERESTARTSYS = 512, "Restart the system call.";
        ENOTSUPP = 524, "Operation is not supported.";
    }
}

/// A kernel error code.
///
/// # Invariants
///
/// The value lies in `-MAX_ERRNO..=-1`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(NonZeroI32);

impl Error {
    /// Makes an error of a negative errno; `EINVAL`, with a warning, when it is none.
    pub fn from_errno(errno: c_int) -> Error {
        Self::try_from_errno(errno).unwrap_or_else(|| {
            crate::pr_warn!(
                "attempted to create `Error` with out of range `errno`: {}\n",
                errno
            );
            code::EINVAL
        })
    }

    const fn try_from_errno(errno: c_int) -> Option<Error> {
        if errno < -MAX_ERRNO || errno >= 0 {
            return None;
        }
        match NonZeroI32::new(errno) {
            Some(value) => Some(Error(value)),
            None => None,
        }
    }

    /// The negative errno.
    pub fn to_errno(self) -> c_int {
        self.0.get()
    }
}

impl core::fmt::Debug for Error {
    // The newer crate prints the errno's name; `errname()` is not exported to modules.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Error").field(&-self.0.get()).finish()
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Error {
        code::ENOMEM
    }
}

impl From<TryFromIntError> for Error {
    fn from(_: TryFromIntError) -> Error {
        code::EINVAL
    }
}

impl From<core::str::Utf8Error> for Error {
    fn from(_: core::str::Utf8Error) -> Error {
        code::EINVAL
    }
}

impl From<core::fmt::Error> for Error {
    fn from(_: core::fmt::Error) -> Error {
        code::EINVAL
    }
}

impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Error {
        match never {}
    }
}

/// A [`Result`](core::result::Result) with the kernel's [`Error`].
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Turns what a C function returned (negative errno, else success) into a [`Result`].
pub fn to_result(err: c_int) -> Result {
    if err < 0 {
        Err(Error::from_errno(err))
    } else {
        Ok(())
    }
}
