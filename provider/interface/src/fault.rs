// SPDX-License-Identifier: GPL-2.0
//! What a firing of a clause can fail of.

numbered! {
    /// A fault of DIF: `DTRACEFLT_*`; the fourth argument of dtrace:::ERROR.
    pub enum Fault: u32 {
        Unknown = 0, "unknown fault";
        BadAddress = 1, "invalid address";
        BadAlignment = 2, "invalid alignment";
        IllegalOperation = 3, "illegal operation";
        DivideByZero = 4, "divide-by-zero";
        NoScratch = 5, "out of scratch space";
        KernelPrivilege = 6, "invalid kernel access";
        UserPrivilege = 7, "invalid user access";
        TupleOverflow = 8, "tuple stack overflow";
        BadStack = 9, "bad stack";
    }
}

/// Faults from here on are found by the consumer, after the firing.
pub const LIBRARY: u32 = 1000;
