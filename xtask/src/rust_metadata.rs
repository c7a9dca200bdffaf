// SPDX-License-Identifier: GPL-2.0
//! Rust metadata of stock kernels with CONFIG_RUST, which Debian's headers do not ship.
//!
//! Rebuilt in the sysroot by the kernel's own rust/Makefile (`xtask/rust-metadata/`), then put
//! into the sysroot's headers, so that an ordinary `make -C <headers> M=...` builds Rust modules.

use crate::cache::{self, Cache};
use crate::chroot::Chroot;
use crate::kernels::Kernel;
use crate::sysroot::Sysroot;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

const BUILD: &str = include_str!("../rust-metadata/build.sh");
const KBUILD: &str = include_str!("../rust-metadata/Kbuild");

/// Makes the metadata of `kernel` and installs it, if it is not there.
pub fn ensure(cache: &Cache, sysroot: &Sysroot, kernel: &Kernel) -> Result<()> {
    if !kernel.rust {
        return Ok(());
    }
    let release = &sysroot.uname(kernel)?;
    let headers = sysroot
        .root
        .join(sysroot.headers(kernel)?.trim_start_matches('/'));
    let installed = headers.join("rust/.from-xtask");
    let key = cache::key([sysroot.key.as_str(), BUILD, KBUILD]);
    if fs::read_to_string(&installed).is_ok_and(|text| text == key) {
        return Ok(());
    }
    let name = format!("rust-metadata/{release}-{key}");
    let metadata = cache.entry(&name, |folder| {
        let recipe = folder.join("recipe");
        fs::create_dir_all(&recipe)?;
        fs::write(recipe.join("build.sh"), BUILD)?;
        fs::write(recipe.join("Kbuild"), KBUILD)?;
        let mut build = Chroot::new(cache, sysroot)?.command_with("sh", folder);
        build.args(["/build/recipe/build.sh", release, kernel.series, "/build"]);
        let label = format!("Rust metadata of kernel {release}");
        crate::progress::run(&label, &mut build, &cache.log("rust-metadata"))?;
        Ok(())
    })?;

    let kbuild = release.trim_end_matches("-amd64");
    let scripts = sysroot
        .root
        .join(format!("usr/lib/linux-kbuild-{kbuild}/scripts"));
    copy_file(&metadata.join("target.json"), &scripts.join("target.json"))?;
    fs::create_dir_all(headers.join("rust"))?;
    for entry in fs::read_dir(metadata.join("rust"))? {
        let entry = entry?;
        copy_file(&entry.path(), &headers.join("rust").join(entry.file_name()))?;
    }
    // Last: says that the rest is complete.
    fs::write(installed, key)?;
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
