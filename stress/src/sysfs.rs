// SPDX-License-Identifier: GPL-2.0
//! The kernel's switches for CPUs: `/sys/devices/system/cpu`.

use crate::args::CpuList;
use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

const FOLDER: &str = "/sys/devices/system/cpu";

/// How often to try, and how long to wait in between, when the kernel says that it is busy: it has
/// switched CPU hotplug off for a while.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

fn switch_of(cpu: u32) -> PathBuf {
    [FOLDER, &format!("cpu{cpu}"), "online"].iter().collect()
}

/// The CPUs that are online.
pub fn online() -> Result<CpuList> {
    let path = format!("{FOLDER}/online");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    text.trim().parse().context(path)
}

/// Whether the kernel lets `cpu` go offline.
pub fn has_switch(cpu: u32) -> bool {
    switch_of(cpu).exists()
}

/// Takes `cpu` offline or brings it online; returns when that is done.
pub fn switch(cpu: u32, online: bool) -> Result<()> {
    let path = switch_of(cpu);
    let value = if online { "1" } else { "0" };
    let mut tries = 0;
    loop {
        tries += 1;
        match fs::write(&path, value) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < TRIES => {
                std::thread::sleep(PAUSE);
            }
            other => {
                return other.with_context(|| format!("writing {value} to {}", path.display()))
            }
        }
    }
}
