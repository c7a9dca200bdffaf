// SPDX-License-Identifier: GPL-2.0
//! Dynamic variables that probes gave up are cleaned at the rate of the option `cleanrate`, while a consumer
//! traces that has some.

use crate::{live, shim};
use kernel::prelude::*;

/// Cleans variables, when [`arm`] was called.
pub(crate) struct Cleaner(());

impl Cleaner {
    /// Task context; once.
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        // SAFETY: a task, and the control side's lock is not held.
        unsafe { shim::dtrace_shim_cleaner_stop() };
    }
}

/// A consumer begins to trace. A task.
pub(crate) fn arm() {
    // SAFETY: a task.
    unsafe { shim::dtrace_shim_cleaner_arm(1) };
}

/// It is time to clean. A task.
#[no_mangle]
extern "C" fn dtrace_cleaner_due() {
    let next_ns = live::control(|control| Ok(control.clean())).unwrap_or(None);
    if let Some(ns) = next_ns {
        let ms = c_uint::try_from(ns / 1_000_000).unwrap_or(c_uint::MAX);
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_cleaner_arm(ms) };
    }
}
