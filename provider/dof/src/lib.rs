// SPDX-License-Identifier: GPL-2.0
//! DOF, the file format of D programs.
//!
//! [`load`] turns bytes that nobody vouches for into a [`Description`] that holds: sections lie
//! within the file, references lead to sections of the right kind, strings end, counts are within
//! [`limits`]. It borrows from the bytes and allocates nothing; it never panics; its time is bounded
//! by the bytes and the limits. The bytes must not change while they are borrowed: copy them from
//! user space first. What DIF does is not looked at: the crate `dif` validates it.
//!
//! With the feature `std` there is a writer, `Program`.
//!
//! Context: [`load`] and what it gives may be used anywhere.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

mod action;
mod check;
mod description;
mod difo;
mod ecb;
mod error;
mod file;
pub mod limits;
mod options;
mod probe;
mod table;
#[cfg(feature = "std")]
mod write;

pub use action::{Action, Actions};
pub use description::{load, Description};
pub use difo::Difo;
pub use ecb::Ecb;
pub use error::{Error, Place, Problem};
pub use file::load_size;
pub use options::{options_image, OptionSetting, OPTIONS_IMAGE_SIZE};
pub use probe::ProbePattern;
pub use table::Table;
#[cfg(feature = "std")]
pub use write::{ActionSpec, Object, ProbeSpec, Program, WriteError};
