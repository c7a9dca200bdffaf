// SPDX-License-Identifier: GPL-2.0
//! The Xen hypervisor that the stock kernels run on as dom0, a PV guest.

use crate::apt::{Apt, Mirrors, OLD_SUITE};
use crate::cache::{self, Cache};
use crate::child;
use anyhow::{bail, Result};
use std::path::{Path, PathBuf};

/// The series that the facts in docs/ were measured on.
pub const SERIES: &str = "4.17";

/// Goes into the key: a new number makes a new entry.
const RECIPE: &str = "1";

/// The hypervisor as an ELF file, which QEMU boots by multiboot.
pub fn ensure(cache: &Cache) -> Result<PathBuf> {
    let name = cache::key([RECIPE, SERIES, OLD_SUITE]);
    let folder = cache.entry(Path::new("xen").join(name), |folder| {
        let package = format!("xen-hypervisor-{SERIES}-amd64");
        let apt = Apt::update(cache, &Mirrors::find()?)?;
        let Some(newest) = apt.newest(&package, |_| true)? else {
            bail!("{package}: Debian {OLD_SUITE} has it no more; see xtask/src/xen.rs");
        };
        apt.unpack(&package, &newest.version, folder, &cache.log("xen"))?;
        let image = folder.join(format!("boot/xen-{SERIES}-amd64.gz"));
        let mut unpack = child::command("gzip");
        unpack.arg("--decompress").arg(image);
        crate::progress::run(&format!("Xen {SERIES}"), &mut unpack, &cache.log("xen"))?;
        Ok(())
    })?;
    Ok(folder.join(format!("boot/xen-{SERIES}-amd64")))
}
