// SPDX-License-Identifier: GPL-2.0
//! What is held, for /sys/module/dtrace/parameters, and what must not be held any more.
//!
//! When no file is open nothing is: so whoever closes the last one looks, and says what is left.

use crate::live;
use crate::machine::Host;
use dtrace_provider::memory::{usage, Usage};
use dtrace_provider::Control;
use kernel::prelude::*;

/// The parameters, by their numbers in shim_held.c. A task.
#[no_mangle]
extern "C" fn dtrace_held(which: c_ulong) -> u64 {
    let read = |control: &mut Control<Host>| {
        Ok(match which {
            0 => control.consumers() as u64,
            1 => control.held().bytes,
            2 => control.held().objects,
            _ => usage().bytes,
        })
    };
    live::control(read).unwrap_or(0)
}

/// After a consumer was closed. A task.
pub(crate) fn check(control: &Control<Host>) {
    if control.consumers() == 0 {
        report(control.held(), "when the last file was closed");
    }
}

/// After everything was freed. A task.
pub(crate) fn check_all() {
    report(usage(), "when it was unloaded");
}

fn report(left: Usage, when: &str) {
    if left != Usage::default() {
        pr_err!(
            "leaked {} bytes in {} objects {when}\n",
            left.bytes,
            left.objects
        );
    }
}
