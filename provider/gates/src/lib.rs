// SPDX-License-Identifier: GPL-2.0
//! Gates of the IDT: what of hooking them needs no kernel. docs/idt-gates.md tells how they are hooked.
//!
//! - [`Vector`]: the exceptions, by the kernel's names; which may be hooked, and why others may not.
//! - [`Gate`]: a 64-bit gate, to and from its 16 bytes; [`Gate::check`]: whether it is Linux's own.
//! - [`Table`]: the bytes of an IDT, compared byte for byte.
//! - [`TrapInfo`]: a gate as Xen is told of it.
//! - [`Facts`], [`Backend`], [`Refusal`]: in which way gates are written on a machine, or why not.
//! - [`Rendezvous`]: all other CPUs stand still while one writes; [`patience`]: for how long.
//! - [`trampoline`]: the page of code that stubs are in where user space has page tables of its own.
//!
//! Nothing here allocates, locks or prints; what an NMI may run says so.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod backend;
mod gate;
pub mod patience;
mod rendezvous;
mod selection;
mod table;
pub mod trampoline;
mod trap_info;
mod vector;

pub use backend::{Backend, Facts, Refusal};
pub use gate::{Foreign, Gate, INTERRUPT_GATE, KERNEL_TEXT};
pub use rendezvous::{Parked, Rendezvous, Waited};
pub use selection::{Selection, Unknown};
pub use table::{digest_of, is_whole, Digest, Table, GATES, GATE_SIZE, TABLE_SIZE};
pub use trap_info::{TrapInfo, END};
pub use vector::{Vector, VECTORS};
