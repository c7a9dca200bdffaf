// SPDX-License-Identifier: GPL-2.0
//! Why the module cannot be reached, and the way out.

use anyhow::anyhow;
use dtrace_interface::DEVICE;
use std::io;

/// Where the kernel tells of its lockdown.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// What is wrong if the device node cannot be opened.
pub fn opening(error: &io::Error) -> anyhow::Error {
    let lockdown = std::fs::read_to_string(LOCKDOWN).ok();
    explain(error, lockdown.as_deref())
}

fn explain(error: &io::Error, lockdown: Option<&str>) -> anyhow::Error {
    let locked = lockdown.and_then(mode).filter(|mode| *mode != "none");
    let hint = match (error.raw_os_error(), locked) {
        (Some(libc::ENOENT | libc::ENODEV | libc::ENXIO), _) => {
            "the module is not loaded: modprobe dtrace".to_owned()
        }
        (Some(libc::EPERM), Some(mode)) => format!(
            "this kernel is locked down ({mode}), which forbids to trace it: boot without \
             lockdown= and Secure Boot"
        ),
        (Some(libc::EPERM | libc::EACCES), _) => {
            "it takes CAP_SYS_ADMIN outside of containers: run it as root".to_owned()
        }
        (Some(libc::EBUSY), _) => {
            "another client keeps others out: end it first (fuser -v shows it)".to_owned()
        }
        _ => "dmesg may say more".to_owned(),
    };
    anyhow!("failed to open {DEVICE}: {error}\nhint: {hint}")
}

/// The mode in force, which stands in brackets.
fn mode(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_way_out() {
        for (errno, lockdown, expected) in [
            (libc::ENOENT, None, "modprobe dtrace"),
            (libc::ENXIO, None, "modprobe dtrace"),
            (libc::EACCES, None, "run it as root"),
            (
                libc::EPERM,
                Some("[none] integrity confidentiality\n"),
                "run it as root",
            ),
            (
                libc::EPERM,
                Some("none integrity [confidentiality]\n"),
                "locked down (confidentiality)",
            ),
            (libc::EBUSY, None, "another client"),
            (libc::EIO, None, "dmesg"),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            let told = explain(&error, lockdown).to_string();
            assert!(told.starts_with("failed to open /dev/dtrace/dtrace: "));
            assert!(told.contains(expected), "{told}");
        }
    }
}
