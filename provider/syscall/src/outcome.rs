// SPDX-License-Identifier: GPL-2.0
//! What a call's result says.

/// The highest error number (`MAX_ERRNO`, include/linux/err.h).
const MAX_ERRNO: i64 = 4095;

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `arg0` and `arg1`: what the kernel leaves in the result register.
    pub value: i64,
    /// The variable `errno`: 0 where the call succeeded. From 512 on it is the kernel's own
    /// (include/linux/errno.h): the call is made again, or user space will see EINTR.
    pub errno: u32,
}

impl Outcome {
    /// Of the value that the tracepoint tells.
    pub fn new(value: i64) -> Self {
        let failed = (-MAX_ERRNO..0).contains(&value);
        let errno = match failed {
            true => u32::try_from(value.unsigned_abs()).unwrap_or(0),
            false => 0,
        };
        Self { value, errno }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_error_numbers_are_errors() {
        let errno = |value| Outcome::new(value).errno;
        assert_eq!(errno(0), 0);
        assert_eq!(errno(-2), 2);
        assert_eq!(errno(-4095), 4095);
        // An address that mmap may give.
        assert_eq!(errno(-4096), 0);
        assert_eq!(errno(i64::MIN), 0);
        assert_eq!(Outcome::new(-2).value, -2);
    }
}
