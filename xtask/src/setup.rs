// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask setup`: what the other commands need, made once.

use crate::cache::Cache;
use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::qemu::Qemu;
use crate::sysroot::Sysroot;
use crate::{domain, host, rust_metadata, xen};
use anyhow::Result;
use std::path::PathBuf;

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only what this kernel series needs
    #[arg(long, value_name = "SERIES", value_parser = kernels::parse)]
    kernel: Option<&'static Kernel>,
    /// Only what this platform needs
    #[arg(long, value_enum)]
    platform: Option<Platform>,
    /// Ask the mirrors for newer point releases, and drop what was made for older ones
    #[arg(long)]
    update: bool,
}

/// `cargo xtask setup`.
pub fn command(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    host::ensure_packages(&cache)?;
    let sysroot = Sysroot::ensure(&cache, args.update)?;
    for kernel in kernels::selected(args.kernel) {
        rust_metadata::ensure(&cache, &sysroot, kernel)?;
    }
    Qemu::ensure(&cache)?;
    if args.platform != Some(Platform::Native) {
        xen::ensure(&cache)?;
    }
    for platform in Platform::ALL
        .into_iter()
        .filter(|platform| platform.has_dom0())
    {
        if args.platform.is_none_or(|only| only == platform) {
            let series = args.kernel.unwrap_or(&kernels::KERNELS[0]);
            domain::Parts::ensure(&cache, &sysroot, platform.kernel(series)?)?;
        }
    }
    if args.update {
        cache.keep_only("sysroot", &sysroot.key)?;
        cache.keep_only("build", &sysroot.key)?;
    }
    eprintln!("ready: {}", cache.path("").display());
    Ok(())
}

/// What module builds stand on.
pub struct Tools {
    pub cache: Cache,
    pub sysroot: Sysroot,
}

/// What guests stand on.
pub struct Machine {
    pub tools: Tools,
    pub qemu: Qemu,
    /// The hypervisor, an ELF file.
    pub xen: PathBuf,
}

/// The sysroot with every kernel's metadata, made if it is not there.
pub fn ensure_sysroot() -> Result<Tools> {
    let cache = Cache::open()?;
    let lock = cache.lock()?;
    host::ensure_packages(&cache)?;
    let sysroot = Sysroot::ensure(&cache, false)?;
    for kernel in kernels::KERNELS {
        rust_metadata::ensure(&cache, &sysroot, kernel)?;
    }
    drop(lock);
    Ok(Tools { cache, sysroot })
}

/// All that guests need, made if it is not there.
pub fn ensure_machine() -> Result<Machine> {
    let tools = ensure_sysroot()?;
    let lock = tools.cache.lock()?;
    let qemu = Qemu::ensure(&tools.cache)?;
    let xen = xen::ensure(&tools.cache)?;
    drop(lock);
    Ok(Machine { tools, qemu, xen })
}
