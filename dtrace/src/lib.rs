// SPDX-License-Identifier: GPL-2.0
//! Consuming what dtrace.ko records: the parts of `dtrace(8)` that other programs use as well.
//!
//! ```text
//!  names, fields, options  ->  program (DOF)  ->  device  ->  session  ->  events  ->  output
//!                                                   |            |
//!                                             the kernel's    walk, record, aggregation:
//!                                             ABI             what buffers say is not believed
//! ```
//! [`session::Session`] is the way in: it enables clauses, takes the buffers and hands out events.
//! [`run`] is a whole run of the command around one. All that is `unsafe` lies in [`device::Node`], and in
//! the one call that knows the local time.
#![deny(unsafe_code)]

pub mod aggregation;
pub mod device;
pub mod event;
pub mod failure;
pub mod fields;
pub mod format;
pub mod name;
pub mod options;
pub mod output;
pub mod program;
mod progress;
pub mod record;
pub mod run;
pub mod session;
pub mod suggest;
pub mod symbols;
pub mod target;
pub mod walk;
