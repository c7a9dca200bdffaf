// SPDX-License-Identifier: GPL-2.0
//! Events of the kernel's die notifier.
//!
//! By the time it is called the kernel's own users of int3 have taken theirs: text poking (jump labels,
//! static calls, ftrace), then kgdb, then kprobes. Of debug exceptions, perf's breakpoints. What
//! arrives is user code's, nobody's, or ours: a trap in our own text, at an address we know.

use crate::arguments::Frame;
use crate::vector::Vector;

/// Single step, in DR6 (`DR_STEP`).
const DR_STEP: u64 = 1 << 14;

const DEBUG: u64 = 1;
const DOUBLE_FAULT: u64 = 8;
/// A number that the kernel made up (`X86_TRAP_IRET`).
const IRET: u64 = 32;

/// What the notifier was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// `DIE_INT3`
    Int3,
    /// `DIE_DEBUG`, with DR6 (in the kernel's polarity: a set bit is a reason).
    Debug(u64),
    /// `DIE_TRAP` or `DIE_GPF`, with the vector.
    Other(u64),
}

/// Where our own traps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Behind our int3.
    pub int3: u64,
    /// Behind our instruction that is stepped.
    pub step: u64,
}

/// What becomes of a trap after its probe has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is somebody else's: all goes on as without us.
    Pass,
    /// It is ours, and its code goes on behind the int3.
    Resume,
    /// It is ours, and its code goes on without single steps.
    EndSteps,
}

impl Trap {
    /// The vector; None: no probe is for that.
    pub fn vector(self) -> Option<Vector> {
        let number = match self {
            Self::Int3 => 3,
            Self::Debug(_) => DEBUG,
            // Those that come by other ways, or from contexts that are refused, are not told of here.
            Self::Other(2 | 3 | DEBUG | DOUBLE_FAULT | 14 | 18 | IRET..) => return None,
            Self::Other(number) => number,
        };
        Vector::at(usize::try_from(number).ok()?)
    }

    /// DR6 of a debug exception, else 0.
    pub fn detail(self) -> u64 {
        match self {
            Self::Debug(dr6) => dr6,
            _ => 0,
        }
    }

    /// Whether it is ours. Of a debug exception the single step is; another reason beside it is somebody
    /// else's: see [`is_over`](Self::is_over).
    pub fn verdict(self, frame: &Frame, own: &Own) -> Verdict {
        match self {
            _ if frame.user != 0 => Verdict::Pass,
            Self::Int3 if frame.ip == own.int3 => Verdict::Resume,
            Self::Debug(dr6) if dr6 & DR_STEP != 0 && frame.ip == own.step => Verdict::EndSteps,
            _ => Verdict::Pass,
        }
    }

    /// Whether nobody else is to see it once what is ours of it is taken.
    pub fn is_over(self, verdict: Verdict) -> bool {
        match self {
            Self::Debug(dr6) => verdict == Verdict::EndSteps && dr6 == DR_STEP,
            _ => verdict != Verdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own {
        int3: 0xffff_ffff_c000_1001,
        step: 0xffff_ffff_c000_2005,
    };

    fn at(ip: u64, user: u64) -> Frame {
        Frame {
            ip,
            user,
            ..Frame::default()
        }
    }

    #[test]
    fn ours_is_what_lies_in_our_text_and_nothing_else() {
        let verdict = |trap: Trap, ip, user| trap.verdict(&at(ip, user), &OWN);
        assert_eq!(verdict(Trap::Int3, OWN.int3, 0), Verdict::Resume);
        assert_eq!(verdict(Trap::Int3, OWN.int3 + 1, 0), Verdict::Pass);
        assert_eq!(verdict(Trap::Int3, OWN.step, 0), Verdict::Pass);
        let step = Trap::Debug(DR_STEP);
        assert_eq!(verdict(step, OWN.step, 0), Verdict::EndSteps);
        assert_eq!(verdict(step, OWN.int3, 0), Verdict::Pass);
        assert_eq!(verdict(step, OWN.step - 1, 0), Verdict::Pass);
    }

    #[test]
    fn user_code_s_are_never_ours() {
        for trap in [Trap::Int3, Trap::Debug(DR_STEP), Trap::Other(6)] {
            for ip in [OWN.int3, OWN.step] {
                assert_eq!(trap.verdict(&at(ip, 1), &OWN), Verdict::Pass);
            }
        }
    }

    #[test]
    fn a_watchpoint_with_our_step_is_others_too() {
        let both = Trap::Debug(DR_STEP | 1);
        let verdict = both.verdict(&at(OWN.step, 0), &OWN);
        assert_eq!(verdict, Verdict::EndSteps);
        assert!(!both.is_over(verdict));
        assert!(Trap::Debug(DR_STEP).is_over(verdict));
        assert!(Trap::Int3.is_over(Verdict::Resume));
        assert!(!Trap::Int3.is_over(Verdict::Pass));
        assert_eq!(
            Trap::Debug(0).verdict(&at(OWN.step, 0), &OWN),
            Verdict::Pass
        );
    }

    #[test]
    fn traps_by_their_numbers() {
        let name = |trap: Trap| trap.vector().map(Vector::name);
        assert_eq!(name(Trap::Int3), Some("int3"));
        assert_eq!(name(Trap::Debug(0)), Some("debug"));
        assert_eq!(name(Trap::Other(0)), Some("divide_error"));
        assert_eq!(name(Trap::Other(6)), Some("invalid_op"));
        assert_eq!(name(Trap::Other(13)), Some("general_protection"));
        // A double fault, a made-up number, an interrupt's place: nothing.
        for number in [8, 14, 18, 32, 33, u64::MAX] {
            assert_eq!(name(Trap::Other(number)), None, "{number}");
        }
    }
}
