// SPDX-License-Identifier: GPL-2.0
//! Keeping a CPU with interrupts off, through xcall_stress.ko.

use anyhow::{ensure, Context, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use xcall_stress_protocol::{ioctl, Hold, DEVICE};

/// The open device.
pub struct Device(File);

impl Device {
    /// Opens it.
    pub fn open() -> Result<Self> {
        let file = File::options().read(true).write(true).open(DEVICE);
        let hint = "hint: insmod xcall.ko, then xcall_stress.ko";
        Ok(Self(file.with_context(|| format!("{DEVICE}\n{hint}"))?))
    }

    /// Keeps this task's CPU until another one releases it, for at most so long.
    pub fn hold(&self, limit_ms: u32) -> Result<()> {
        let asked = Hold {
            limit_ms,
            ..Hold::default()
        };
        self.ask(ioctl::HOLD, asked).map(drop)
    }

    /// The CPU that is kept, if one is.
    pub fn kept(&self) -> Result<Option<u32>> {
        let said = self.ask(ioctl::HELD, Hold::default())?;
        Ok((said.held != 0).then_some(said.cpu))
    }

    /// Lets the CPU go that is kept; None: none is any more.
    pub fn release(&self) -> Result<Option<u32>> {
        let said = self.ask(ioctl::RELEASE, Hold::default())?;
        Ok((said.held != 0).then_some(said.cpu))
    }

    fn ask(&self, number: u32, mut hold: Hold) -> Result<Hold> {
        hold.size = size_of::<Hold>() as u32;
        // SAFETY: these numbers go with this structure, to which the kernel writes integers.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), number as _, &raw mut hold) };
        ensure!(answer == 0, "keeping a CPU: {}", io::Error::last_os_error());
        Ok(hold)
    }
}
