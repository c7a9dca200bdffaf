// SPDX-License-Identifier: GPL-2.0
//! What xcall's engine and DTrace's framework are built of: core's atomics and cells, or loom's, so that
//! the model checker runs the very code the kernel runs; and words that one CPU owns.
//!
//! All of it may be used in any context, NMI included: no lock, no allocation.
#![cfg_attr(not(any(test, loom)), no_std)]

#[cfg(not(loom))]
mod cell;
mod one_instruction;
mod own_cpu;

pub use one_instruction::add;
pub use own_cpu::OwnCpu;

pub use core::sync::atomic::Ordering;

#[cfg(not(loom))]
pub use self::cell::{MutPtr, UnsafeCell};
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

#[cfg(loom)]
pub use loom::{
    cell::{MutPtr, UnsafeCell},
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64},
};
