// SPDX-License-Identifier: GPL-2.0
//! What dtrace.ko and its clients say to each other, over ioctls of [`DEVICE`].
//!
//! Numbers and layouts are those of DTrace on Linux, so that a `libdtrace` of others can drive the
//! module. Source of fact: include/uapi/linux/dtrace in oracle/dtrace-linux-kernel (UPL-1.0), on
//! x86-64. [`accounting`] and [`refusal`] are our own.
//!
//! Every structure is [`Plain`]: it has no padding (holes of the C structures are named fields, so
//! no kernel memory leaks through them), its size and offsets are asserted, and it is read from and
//! written to bytes without `unsafe`. Integers are in the CPU's byte order.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod macros;

pub mod accounting;
pub mod action;
pub mod aggregation;
pub mod argument;
pub mod buffer;
pub mod conf;
pub mod dif;
pub mod dof;
pub mod fault;
pub mod ioctl;
pub mod opcode;
pub mod options;
pub mod plain;
pub mod probe;
pub mod provider;
pub mod record;
pub mod refusal;
pub mod status;
pub mod subroutine;
pub mod variable;

#[cfg(test)]
mod tests;

pub use plain::Plain;

/// The module's device node.
pub const DEVICE: &str = "/dev/dtrace/dtrace";

/// All CPUs, where a CPU is named.
pub const CPU_ALL: u32 = u32::MAX;
