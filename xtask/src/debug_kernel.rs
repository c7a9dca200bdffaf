// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask debug`: storms on a kernel that looks for mistakes.
//!
//! Built from the stock kernel's source with lock, RCU and sleep checking, KASAN and object debugging
//! (`xtask/debug-kernel/config`), in the place where its headers would be, so that modules are built
//! and guests boot as for the others. It takes most of an hour on two cores, once.
//!
//! Natively only: as a PV guest Linux runs C code before it has a page table for KASAN's shadow, and
//! dies of it.

use crate::apt::{Apt, Mirrors};
use crate::cache;
use crate::chroot::Chroot;
use crate::kernels::DEBUG_KERNEL;
use crate::platform::Platform;
use crate::scenario;
use crate::setup::{self, Tools};
use crate::storms::{self, Weather};
use crate::test::{guest, Steps};
use anyhow::{Context, Result};
use std::fs;

const BUILD: &str = include_str!("../debug-kernel/build.sh");
const CONFIG: &str = include_str!("../debug-kernel/config");

/// Says what the tree in the sysroot was made from.
const STAMP: &str = ".from-xtask";

/// Scenarios worth the time on a kernel this slow.
const SCENARIOS: &[&str] = &["debugfs", "hotplug", "sample-module", "unload"];

/// Options of `cargo xtask debug`.
#[derive(clap::Args)]
pub struct Args {
    /// Length of each storm
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Only the steps that have this in their name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// `cargo xtask debug`.
pub fn command(args: &Args) -> Result<u8> {
    let machine = setup::ensure_machine()?;
    ensure(&machine.tools)?;
    let mut steps = Steps::new(args.only.clone());
    let platform = Platform::Native;
    let name = |what: &str| format!("{what} {} {}", DEBUG_KERNEL.name(), platform.name());
    let weather = Weather::new(&DEBUG_KERNEL, platform, storms::ALL, args.seconds);
    steps.run(&name("guest"), || guest(&machine, &weather).map(drop))?;
    for scenario in scenario::all()? {
        if SCENARIOS.contains(&scenario.name.as_str()) && scenario.is_for(platform, true) {
            steps.run(&name(&scenario.name), || {
                scenario.run(&machine, &DEBUG_KERNEL, platform, "", false)
            })?;
        }
    }
    Ok(steps.close())
}

/// Builds the kernel, if it is not there.
fn ensure(tools: &Tools) -> Result<()> {
    let Tools { cache, sysroot } = tools;
    let _lock = cache.lock()?;
    let version = &sysroot.release(&DEBUG_KERNEL)?.version;
    let headers = sysroot.headers(&DEBUG_KERNEL)?;
    let place = sysroot.root.join(headers.trim_start_matches('/'));
    let key = cache::key([version, BUILD, CONFIG]);
    if fs::read_to_string(place.join(STAMP)).is_ok_and(|text| text == key) {
        return Ok(());
    }
    // Not in its place at once: inside the sysroot nothing can be written.
    let built = cache.entry(format!("debug-kernel/{key}"), |folder| {
        let log = cache.log("debug-kernel");
        let package = folder.join("package");
        fs::create_dir_all(&package)?;
        let apt = Apt::update(cache, &Mirrors::find()?)?;
        apt.unpack(DEBUG_KERNEL.image_package, version, &package, &log)?;
        let recipe = folder.join("recipe");
        fs::create_dir_all(&recipe)?;
        fs::write(recipe.join("build.sh"), BUILD)?;
        fs::write(recipe.join("config"), CONFIG)?;
        let mut build = Chroot::new(cache, sysroot)?.command_with("sh", folder);
        build.args(["/build/recipe/build.sh", DEBUG_KERNEL.series, "/build"]);
        let label = format!("debug kernel {version} (most of an hour)");
        crate::progress::run(&label, &mut build, &log)?;
        fs::write(folder.join(STAMP), &key)?;
        Ok(())
    })?;
    cache::remove_tree(&place)?;
    fs::rename(&built, &place)
        .with_context(|| format!("cannot move {} into the sysroot", built.display()))
}
