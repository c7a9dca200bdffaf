// SPDX-License-Identifier: GPL-2.0
//! DTrace's framework, without a kernel type: probes, enablings, buffers, firing.
//!
//! # The two sides
//!
//! | | who | where | may |
//! |---|---|---|---|
//! | [`Framework`] | probes, by [`Framework::fire`] | any context, NMI included | write into its own CPU's buffers; no lock, no allocation, no wait |
//! | [`Control`] | ioctls, providers | a task, behind one lock of the module's | allocate, sleep, wait for probes |
//!
//! # Principles
//!
//! 1. **One firing a CPU.** A firing inside a firing is refused and counted.
//! 2. **A cross-call's answer is not a grace period.** It may come from inside a firing. `sync` waits for
//!    the firing it landed in; a switch of buffers that lands in a firing is done at its end.
//! 3. **Every firing has one outcome.** Each is counted, by CPU and ECB: [`EcbCounts`].
//! 4. **Closing cannot fail, and leaves nothing.** It needs no memory; [`memory::usage`] shows it.
//!
//! # A module's work
//!
//! Implement [`Machine`] and [`Surroundings`], define the memory hooks (`dtrace_provider_allocate`,
//! `dtrace_provider_free`, see [`memory`]), make a [`Control`], keep its [`Framework`] where probes find
//! it, [`Control::register`] providers. An open file is a consumer: [`Control::open`] to
//! [`Control::close`].
//!
//! docs/framework.md follows a firing and holds the memory-ordering rows.
#![cfg_attr(not(any(test, loom, feature = "host")), no_std)]

mod actions;
mod activity;
mod aggregating_function;
mod aggregation;
mod clause;
mod consumer;
mod control;
mod counts;
mod cpu;
mod description;
mod ecb;
mod error;
mod expression;
mod fire;
mod framework;
pub mod glob;
mod half;
mod halves;
mod machine;
pub mod memory;
mod options;
mod point;
mod primitive;
mod registry;
mod slots;
mod value;

pub use activity::Activity;
pub use clause::Clause;
pub use control::{ConsumerId, Control, EnabledProbe, Snapshot};
pub use counts::EcbCounts;
pub use description::{ActionDescription, ClauseDescription};
pub use error::Error;
pub use expression::{DynamicDrops, Expression, Fault, Site, Variables};
pub use framework::{Framework, BEGIN, END, ERROR};
pub use machine::{Called, Machine, Surroundings};
pub use options::{Options, MAX_FRAMES, MAX_STRING};
pub use registry::{Pattern, Probe, ProbeName, Provider, ProviderId, MAX_PROBES};
pub use value::AtHand;

/// What models of the framework use; not there in other builds.
#[cfg(loom)]
pub mod model {
    pub use crate::point::{set_hook, Hook, Point};
}
