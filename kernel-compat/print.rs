// SPDX-License-Identifier: GPL-2.0
//! Printing: `pr_info!` and its siblings.
//!
//! Kernels without `CONFIG_RUST` do not know `%pA`, so a line is formatted into a buffer on the
//! stack first. A longer line is cut, and says so.

use crate::ffi::c_int;
use core::fmt::{self, Write};

/// Bytes of one line, without level and prefix. printk itself cuts at 1,024.
const LINE_MAX: usize = 480;

/// Format strings of `_printk`, one a level.
///
/// Public but hidden since it should only be used from public macros.
#[doc(hidden)]
pub mod format_strings {
    /// The length of each: level, prefix and text.
    pub const LENGTH: usize = 11;

    const fn generate(level: u8) -> [u8; LENGTH] {
        [1, level, b'%', b's', b':', b' ', b'%', b'.', b'*', b's', 0]
    }

    pub static EMERG: [u8; LENGTH] = generate(b'0');
    pub static ALERT: [u8; LENGTH] = generate(b'1');
    pub static CRIT: [u8; LENGTH] = generate(b'2');
    pub static ERR: [u8; LENGTH] = generate(b'3');
    pub static WARNING: [u8; LENGTH] = generate(b'4');
    pub static NOTICE: [u8; LENGTH] = generate(b'5');
    pub static INFO: [u8; LENGTH] = generate(b'6');
    pub static DEBUG: [u8; LENGTH] = generate(b'7');
}

/// A line being formatted.
///
/// # Invariants
///
/// `len <= LINE_MAX`.
struct Line {
    text: [u8; LINE_MAX],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = &mut self.text[self.len..];
        let taken = s.len().min(room.len());
        room[..taken].copy_from_slice(&s.as_bytes()[..taken]);
        self.len += taken;
        if taken == s.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// Prints a message through the kernel's `_printk`.
///
/// Public but hidden since it should only be used from public macros.
///
/// # Safety
///
/// 1. `format_string` is one of [`format_strings`].
/// 2. `module_name` ends in a NUL.
#[doc(hidden)]
pub unsafe fn call_printk(
    format_string: &[u8; format_strings::LENGTH],
    module_name: &[u8],
    args: fmt::Arguments<'_>,
) {
    const CUT: &[u8] = b"...\n";
    let mut line = Line {
        text: [0; LINE_MAX],
        len: 0,
    };
    if line.write_fmt(args).is_err() {
        line.text[LINE_MAX - CUT.len()..].copy_from_slice(CUT);
        line.len = LINE_MAX;
    }
    // SAFETY: By 1 the format asks for `%s`, `%.*s`: a NUL-terminated string (2), an int, and at
    // most that many bytes of `text`.
    unsafe {
        crate::glue::_printk(
            format_string.as_ptr(),
            module_name.as_ptr(),
            line.len as c_int,
            line.text.as_ptr(),
        );
    }
}

/// Performs formatting and forwards the string to [`call_printk`].
///
/// Public but hidden since it should only be used from public macros.
#[doc(hidden)]
#[macro_export]
#[allow(clippy::crate_in_macro_def)]
macro_rules! print_macro (
    ($format_string:path, $($arg:tt)+) => (
        // `match` keeps the temporaries that the arguments borrow.
        match ::core::format_args!($($arg)+) {
            // SAFETY: The macros below pass one of the format strings, and `module!` ends
            // `__LOG_PREFIX` in a NUL.
            args => unsafe {
                $crate::print::call_printk(&$format_string, crate::__LOG_PREFIX, args);
            }
        }
    );
);

/// Prints an emergency-level message (level 0): the system is unusable.
#[macro_export]
macro_rules! pr_emerg (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::EMERG, $($arg)*))
);

/// Prints an alert-level message (level 1): action must be taken immediately.
#[macro_export]
macro_rules! pr_alert (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::ALERT, $($arg)*))
);

/// Prints a critical-level message (level 2).
#[macro_export]
macro_rules! pr_crit (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::CRIT, $($arg)*))
);

/// Prints an error-level message (level 3).
#[macro_export]
macro_rules! pr_err (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::ERR, $($arg)*))
);

/// Prints a warning-level message (level 4).
#[macro_export]
macro_rules! pr_warn (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::WARNING, $($arg)*))
);

/// Prints a notice-level message (level 5).
#[macro_export]
macro_rules! pr_notice (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::NOTICE, $($arg)*))
);

/// Prints an info-level message (level 6).
#[macro_export]
macro_rules! pr_info (
    ($($arg:tt)*) => ($crate::print_macro!($crate::print::format_strings::INFO, $($arg)*))
);

/// Prints a debug-level message (level 7) in builds with debug assertions.
#[macro_export]
macro_rules! pr_debug (
    ($($arg:tt)*) => (
        if cfg!(debug_assertions) {
            $crate::print_macro!($crate::print::format_strings::DEBUG, $($arg)*)
        }
    )
);
