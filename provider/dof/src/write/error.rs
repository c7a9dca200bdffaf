// SPDX-License-Identifier: GPL-2.0
//! Why a program cannot be written.

use core::fmt;

use crate::Error;

/// A program cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A text has a NUL within.
    Nul {
        /// Which text.
        field: &'static str,
    },
    /// An action that takes no format has one, or a format and an argument.
    Format,
    /// A description of probes has more than four parts.
    Probe,
    /// The loader would refuse it.
    Refused(Error),
}

impl std::error::Error for WriteError {}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul { field } => write!(f, "{field}: has a NUL within"),
            Self::Format => f.write_str("the action takes no format, or an argument instead"),
            Self::Probe => f.write_str("not provider:module:function:name"),
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}
