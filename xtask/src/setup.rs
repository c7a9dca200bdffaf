// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask setup`: what the other commands need, made once.

use crate::cache::Cache;
use crate::kernels::{self, Kernel};
use crate::sysroot::Sysroot;
use crate::{host, rust_metadata};
use anyhow::Result;

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only what this kernel series needs
    #[arg(long, value_name = "SERIES", value_parser = kernels::parse)]
    kernel: Option<&'static Kernel>,
    /// Ask the mirrors for newer point releases
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
    Ok(())
}

/// What module builds stand on.
pub struct Tools {
    pub cache: Cache,
    pub sysroot: Sysroot,
}

/// The sysroot with every kernel's metadata, made if it is not there.
pub fn ensure_sysroot() -> Result<Tools> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    host::ensure_packages(&cache)?;
    let sysroot = Sysroot::ensure(&cache, false)?;
    for kernel in kernels::KERNELS {
        rust_metadata::ensure(&cache, &sysroot, kernel)?;
    }
    drop(_lock);
    Ok(Tools { cache, sysroot })
}
