// SPDX-License-Identifier: GPL-2.0
//! DTrace's IDT provider: what of it needs no kernel.
//!
//! - [`Vector`]: an exception or an interrupt, by the kernel's name for it; the [`Source`]s that tell of
//!   it, or why there are none on this machine.
//! - [`Enabled`]: which probe a vector fires, by one array access.
//! - [`Frame`]: what an exception leaves, and how it lies in a probe's arguments.
//! - [`Trap`]: what an event of the kernel's die notifier is, and whether it is ours to end.
//! - [`signalled`]: which exception of user code a signal stands for.
//!
//! Probes fire after the kernel's own entry, where its own hooks call: never from a gate, where neither
//! GS nor page tables nor RCU are the kernel's. That is the same code with and without page table
//! isolation, under Xen, and with FRED, so one table serves all of them.
//!
//! All of it may run in any context; it takes no lock, allocates nothing, and its loops are bounded.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod arguments;
mod enabled;
mod signal;
mod source;
mod trap;
mod vector;

pub use arguments::{argument_type, Frame};
pub use enabled::{Enabled, NO_PROBE};
pub use signal::signalled;
pub use source::{Machine, Source, Sources};
pub use trap::{Own, Trap, Verdict};
pub use vector::{Refusal, Vector, VECTORS};
