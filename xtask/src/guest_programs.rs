// SPDX-License-Identifier: GPL-2.0
//! Our programs for guests: linked statically, since a guest has no libraries.

use crate::child;
use crate::repo;
use anyhow::Result;
use std::path::PathBuf;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The stress tool, built if it must be.
pub fn stress() -> Result<PathBuf> {
    build("stress")
}

fn build(package: &str) -> Result<PathBuf> {
    let folder = repo::target().join("guest");
    let mut cargo = child::command(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--release",
        "--target",
        TARGET,
        "--package",
        package,
    ]);
    cargo.arg("--target-dir").arg(&folder);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.current_dir(repo::root());
    let log = repo::logs().join(format!("{package}.log"));
    crate::progress::run(&format!("{package} for guests"), &mut cargo, &log)?;
    Ok(folder.join(TARGET).join("release").join(package))
}
