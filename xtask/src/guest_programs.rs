// SPDX-License-Identifier: GPL-2.0
//! Our programs for guests: linked statically, since a guest has no libraries.

use crate::child;
use crate::repo;
use anyhow::Result;
use std::path::{Path, PathBuf};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Carries a guest's streams over its console.
pub fn relay() -> Result<PathBuf> {
    single_file("relay")
}

/// All that commands may want: the stress tool, the loads it is run beside, and `dtrace`; and scripts.
pub fn all() -> Result<Vec<PathBuf>> {
    let fuzz = package("dtrace-ioctl-fuzz")?;
    Ok(vec![
        package("stress")?,
        single_file("shootdown")?,
        single_file("calls")?,
        single_file("exceptions")?,
        single_file("records")?,
        single_file("traps")?,
        single_file("raw_tracepoint")?,
        single_file("exception_cost")?,
        dtrace()?,
        package("dtrace-dif-cost")?,
        package("drive-syscalls")?,
        fuzz.with_file_name("dtrace-kill"),
        fuzz.with_file_name("dtrace-access"),
        fuzz,
        script("fair-servers-off"),
    ])
}

/// The command, as users get it.
pub fn dtrace() -> Result<PathBuf> {
    package("dtrace")
}

/// A script in `xtask/guest/bin/`.
fn script(name: &str) -> PathBuf {
    repo::root().join("xtask/guest/bin").join(name)
}

/// A program of one file in `xtask/guest/`, with what it names of the files beside it.
fn single_file(name: &str) -> Result<PathBuf> {
    let source = repo::root().join("xtask/guest").join(format!("{name}.rs"));
    let folder = repo::target().join("guest");
    let program = folder.join(name);
    let modified = |path: &Path| path.metadata().ok()?.modified().ok();
    let shared = source.with_file_name("syscall.rs");
    let newest = modified(&source).max(modified(&shared));
    if modified(&program) >= newest && program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let mut rustc = child::command("rustc");
    rustc.args(["--edition", "2021", "-O", "--target", TARGET]);
    rustc.args(["-C", "target-feature=+crt-static", "-D", "warnings", "-o"]);
    rustc.arg(&program).arg(source);
    let log = repo::logs().join(format!("{name}.log"));
    crate::progress::run(&format!("{name} for guests"), &mut rustc, &log)?;
    Ok(program)
}

/// Static, and without the places that sources lie at on this machine.
fn flags() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let places = home.into_iter().map(|home| (home, "cargo"));
    let places = places.chain([(repo::root(), "xcall")]);
    let static_ = "-C target-feature=+crt-static".to_owned();
    places.fold(static_, |flags, (place, name)| {
        format!("{flags} --remap-path-prefix={}=/{name}", place.display())
    })
}

fn package(package: &str) -> Result<PathBuf> {
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
    cargo.env("RUSTFLAGS", flags());
    cargo.current_dir(repo::root());
    let log = repo::logs().join(format!("{package}.log"));
    crate::progress::run(&format!("{package} for guests"), &mut cargo, &log)?;
    Ok(folder.join(TARGET).join("release").join(package))
}
