// SPDX-License-Identifier: GPL-2.0
//! Exceptions of user code that show in nothing but a signal.

use crate::vector::Vector;

const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
/// Sent by the kernel, for no particular reason (`SI_KERNEL`).
const SI_KERNEL: i32 = 0x80;
/// The codes of SIGFPE that the kernel gives (`FPE_INTDIV` to `NSIGFPE`).
const FPE_CODES: core::ops::RangeInclusive<i32> = 1..=15;

/// The exception that made the kernel send the current task signal `number` with `code`, when
/// `trap` is the last one the kernel noted of it (`thread.trap_nr`). None: another source tells of it,
/// or nobody's fault it was. Not for signals that are sent in a system call: there a task gives itself
/// what number and code it likes (`rt_sigqueueinfo`).
///
/// `trap` stays after its signal was handled: one that the kernel forces on the task later, for
/// another reason but with the same number and code, is taken for one more such exception.
pub fn signalled(number: i32, code: i32, trap: u64) -> Option<Vector> {
    let fits = match trap {
        13 => number == SIGSEGV && code == SI_KERNEL,
        16 | 19 => number == SIGFPE && FPE_CODES.contains(&code),
        _ => false,
    };
    Vector::at(usize::try_from(trap).ok()?).filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: i32, code: i32, trap: u64) -> Option<&'static str> {
        signalled(number, code, trap).map(Vector::name)
    }

    #[test]
    fn what_the_die_notifier_does_not_see_of_user_code() {
        assert_eq!(name(11, 0x80, 13), Some("general_protection"));
        assert_eq!(name(8, 3, 16), Some("coprocessor_error"));
        assert_eq!(name(8, 7, 19), Some("simd_coprocessor_error"));
    }

    #[test]
    fn what_others_see_or_send() {
        // A page fault's, a divide error's, and a signal that a process sends after a #GP.
        assert_eq!(name(11, 1, 14), None);
        assert_eq!(name(8, 1, 0), None);
        assert_eq!(name(11, 0, 13), None);
        assert_eq!(name(11, -6, 13), None);
        assert_eq!(name(15, 0x80, 13), None);
        assert_eq!(name(8, 0, 19), None);
        assert_eq!(name(11, 0x80, u64::MAX), None);
    }
}
