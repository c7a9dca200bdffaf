// SPDX-License-Identifier: GPL-2.0
//! The writer: a program becomes a file.

mod error;
mod object;
mod probe;
mod program;
mod sections;

pub use error::WriteError;
pub use object::Object;
pub use probe::ProbeSpec;
pub use program::{ActionSpec, Program};
