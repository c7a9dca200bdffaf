// SPDX-License-Identifier: GPL-2.0
//! dtrace.ko goes and comes back between two rounds, and does not go while it is used.

use super::window;
use anyhow::{bail, ensure, Context, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

const NAME: &std::ffi::CStr = c"dtrace";

/// Counts that must be 0, in `/sys/module/dtrace/parameters`.
const ZERO: [&str; 1] = ["entries_without_place"];

/// As rmmod does it.
fn unload() -> io::Result<()> {
    // SAFETY: a string that ends with a zero, and flags.
    match unsafe { libc::syscall(libc::SYS_delete_module, NAME.as_ptr(), libc::O_NONBLOCK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As insmod does it.
fn load(file: &Path) -> Result<()> {
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    let parameters = c"".as_ptr();
    // SAFETY: an open file, a string that ends with a zero, no flags.
    let answer =
        unsafe { libc::syscall(libc::SYS_finit_module, opened.as_raw_fd(), parameters, 0) };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).with_context(|| format!("loading {}", file.display())),
    }
}

/// Once: refused while a consumer is there, then done.
pub fn reload(file: &Path) -> Result<()> {
    let consumer = window::open()?;
    match unload() {
        Ok(()) => bail!("dtrace.ko went while a consumer used it"),
        Err(error) => ensure!(
            matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY)),
            "unloading dtrace.ko while a consumer uses it: {error}"
        ),
    }
    drop(consumer);
    unload().context("unloading dtrace.ko")?;
    load(file)
}

/// What the module counts that must not be, as mismatches.
pub fn lost_in_the_module(mismatches: &mut Vec<String>) {
    for name in ZERO {
        let path = format!("/sys/module/dtrace/parameters/{name}");
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim() == "0" => {}
            Ok(text) => mismatches.push(format!("{name}: {}, none", text.trim())),
            Err(error) => mismatches.push(format!("{path}: {error}")),
        }
    }
}
