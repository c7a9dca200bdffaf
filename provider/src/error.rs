// SPDX-License-Identifier: GPL-2.0
//! Why the control side refused.

use crate::memory::OutOfMemory;
use core::fmt;

/// An error of the control side. Each stands for one errno: [`Error::errno`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No memory. Nothing was changed.
    OutOfMemory,
    /// No such consumer, probe, EPID, aggregation, format, or CPU.
    NotFound,
    /// Not in this activity state, or a provider whose probes are enabled.
    Busy,
    /// A value out of its range, or a program that makes no sense.
    Invalid,
    /// A variable that cannot be, or that was declared otherwise before.
    Variable {
        /// Global, thread-local or clause-local.
        scope: &'static str,
        /// Its number.
        number: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not supported: names what.
    Unsupported(&'static str),
    /// Too many consumers, probes or records, or a record too large.
    TooMany(&'static str),
    /// The destination of a copy was not writable.
    BadAddress,
}

impl Error {
    /// The positive number of its errno.
    pub const fn errno(self) -> i32 {
        match self {
            Self::OutOfMemory => 12,
            Self::NotFound => 3,
            Self::Busy => 16,
            Self::Invalid | Self::Variable { .. } => 22,
            Self::Unsupported(_) => 95,
            Self::TooMany(_) => 7,
            Self::BadAddress => 14,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("no memory"),
            Self::NotFound => f.write_str("not found"),
            Self::Busy => f.write_str("busy"),
            Self::Invalid => f.write_str("invalid"),
            Self::Variable { scope, number, why } => {
                write!(f, "{scope} variable {number:#x}: {why}")
            }
            Self::Unsupported(what) => write!(f, "{what}: not supported"),
            Self::TooMany(what) => write!(f, "too many or too large: {what}"),
            Self::BadAddress => f.write_str("bad address"),
        }
    }
}
