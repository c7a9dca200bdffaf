// SPDX-License-Identifier: GPL-2.0
//! QEMU 10 or newer: older ones crash guests whose CPUs run in several threads.
//!
//! The machine's own is used if it is new enough. Otherwise one is unpacked from the build suite
//! into the cache and run through that tree's own dynamic linker, so that the machine stays as
//! it is.
//!
//! Xen's PVH guests need QEMU 7.2, from the old suite: since then its emulation of AMD's
//! virtualisation reports a write of CR2 as one of CR0, and such guests die early.

use crate::apt::{self, Mirrors};
use crate::cache::{self, Cache};
use crate::child;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

const OLDEST: u32 = 10;
const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGES: &[&str] = &["ipxe-qemu", "qemu-system-x86", "seabios"];
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Where those lie, with the dynamic linker among them, that came with the system in old suites.
const SYSTEM_LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// Goes into the key: a new number makes a new tree.
const RECIPE: &str = "1";

/// A QEMU to run.
#[derive(Clone)]
pub enum Qemu {
    /// The machine's own.
    Installed,
    /// Unpacked in the cache.
    Tree(PathBuf),
}

impl Qemu {
    /// One that is new enough, unpacked if it must be.
    pub fn ensure(cache: &Cache) -> Result<Qemu> {
        if installed_major().is_some_and(|major| major >= OLDEST) {
            return Ok(Qemu::Installed);
        }
        unpack(cache, apt::BUILD_SUITE, &Mirrors::find()?.build_sources())
    }

    /// The one for PVH guests, unpacked if it must be.
    pub fn ensure_for_pvh(cache: &Cache) -> Result<Qemu> {
        // From main alone: it was measured, and the packages in security have other dependencies.
        let sources = &Mirrors::find()?.old_sources()[..1];
        unpack(cache, apt::OLD_SUITE, sources)
    }

    /// The emulator, ready for arguments.
    pub fn command(&self) -> Command {
        match self {
            Qemu::Installed => child::command(PROGRAM),
            Qemu::Tree(tree) => {
                let libraries = tree.join(LIBRARIES);
                let system = Some(tree.join(SYSTEM_LIBRARIES)).filter(|folder| folder.exists());
                let system = system.unwrap_or_else(|| libraries.clone());
                let mut command = child::command(system.join("ld-linux-x86-64.so.2"));
                let path = format!("{}:{}", libraries.display(), system.display());
                command.args(["--library-path", &path]);
                command.arg(tree.join("usr/bin").join(PROGRAM));
                for folder in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
                    command.arg("-L").arg(tree.join(folder));
                }
                command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
                command
            }
        }
    }
}

fn unpack(cache: &Cache, suite: &str, sources: &[String]) -> Result<Qemu> {
    let parts = [RECIPE, suite].into_iter();
    let key = cache::key(parts.chain(PACKAGES.iter().copied()));
    let tree = cache.entry(Path::new("qemu").join(key), |folder| {
        crate::host::require_root("setup: QEMU")?;
        let mut command = child::isolated("mmdebstrap");
        command
            .args(["--mode=root", "--variant=extract", "--architectures=amd64"])
            .arg(format!("--keyring={}", apt::KEYRING))
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg(format!("--include={}", PACKAGES.join(",")))
            .args([suite.as_ref(), folder.join("tree").as_os_str()])
            .args(sources);
        let label = format!("QEMU (from Debian {suite})");
        crate::progress::run(&label, &mut command, &cache.log("qemu"))?;
        Ok(())
    })?;
    Ok(Qemu::Tree(tree.join("tree")))
}

fn installed_major() -> Option<u32> {
    let output = Command::new(PROGRAM).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// `QEMU emulator version 10.0.2 (Debian ...)`
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split("version ").nth(1)?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let text = "QEMU emulator version 7.2.18 (Debian 1:7.2+dfsg-7+deb12u15)\nCopyright";
        assert_eq!(parse_major(text), Some(7));
        assert_eq!(parse_major("QEMU emulator version 11.1.3"), Some(11));
        assert_eq!(parse_major("command not found"), None);
    }
}
