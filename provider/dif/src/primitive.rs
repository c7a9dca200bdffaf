// SPDX-License-Identifier: GPL-2.0
//! The one place that names core's or loom's atomics.

pub(crate) use core::sync::atomic::Ordering;

/// A word of memory that CPUs share.
#[cfg(loom)]
pub use loom::sync::atomic::AtomicU64 as Word;

/// A word of memory that CPUs share.
#[cfg(not(loom))]
pub use core::sync::atomic::AtomicU64 as Word;
