// SPDX-License-Identifier: GPL-2.0
//! What must be installed on the machine itself: little, the rest lives in the sysroot.

use crate::cache::Cache;
use crate::child;
use anyhow::{ensure, Result};
use std::path::{Path, PathBuf};

/// A file that shows whether a package is there, and the package.
const NEEDED: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    (crate::apt::KEYRING, "debian-archive-keyring"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("gcc", "gcc"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("xz", "xz-utils"),
];

/// Installs the packages that are missing.
pub fn ensure_packages(cache: &Cache) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!(
        "apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    );
    ensure!(
        is_root(),
        "packages are missing: {}; as root, run: {install}",
        missing.join(", ")
    );
    ensure!(
        find_program("apt-get").is_some(),
        "packages are missing and this is no Debian: install {}",
        missing.join(", ")
    );
    let script = format!("apt-get update && {install}");
    let mut command = child::command("sh");
    command.args(["-c", &script]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let label = format!("install {}", missing.join(" "));
    crate::progress::run(&label, &mut command, &cache.log("host-packages"))?;
    Ok(())
}

/// Fails, naming the way out, when we are not root: what needs it is `what`.
pub fn require_root(what: &str) -> Result<()> {
    ensure!(
        is_root(),
        "{what}: must be root (mounts and chroot); run it as root, or with sudo -E"
    );
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn missing() -> Vec<&'static str> {
    let absent = NEEDED
        .iter()
        .filter(|(file, _)| match file.starts_with('/') {
            true => !Path::new(file).exists(),
            false => find_program(file).is_none(),
        });
    let mut packages: Vec<_> = absent.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Where a program lies on the PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(name)).filter(|program| program.is_file()))
}
