// SPDX-License-Identifier: GPL-2.0
//! The package xcall-dkms, and `make && make install`, as on a user's machine: a copy of the sysroot
//! with one kernel's headers. The module that comes of it then goes to a guest.

use crate::apt::{self, Apt, Mirrors};
use crate::cache;
use crate::chroot::Chroot;
use crate::kernels::Kernel;
use crate::package::{self, VERSION};
use crate::platform::Platform;
use crate::setup::{Machine, Tools};
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs, repo};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a guest does with the modules, xcall_stress.ko on top of them, and the sample if there is one.
const USE: &str = include_str!("../package/use.sh");

/// Installs the package with the dkms of the Debian release that `kernel` is from, on a machine
/// without Rust; uses the module in a guest; removes the package, and nothing is left.
pub fn check_package(machine: &Machine, kernel: &'static Kernel) -> Result<()> {
    let tools = &machine.tools;
    let deb = package::make(tools)?;
    let name = kernel.name();
    let place = repo::target().join("package").join(&name);
    cache::remove_tree(&place)?;
    let packages = packages(tools, kernel)?;
    fs::create_dir_all(place.join("packages"))?;
    for entry in fs::read_dir(packages)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            copy_into(&path, &place.join("packages"))?;
        }
    }
    copy_into(&deb, &place)?;

    let mut command = Chroot::new(&tools.cache, &tools.sysroot)?.command_in_copy("sh", &place);
    command.arg("/repo/xtask/package/dkms.sh");
    command.arg(tools.sysroot.uname(kernel)?).arg(VERSION);
    let log = repo::logs().join(format!("package-{name}.log"));
    crate::progress::run(&format!("package for {name}"), &mut command, &log)?;
    if !kernel.rust {
        for module in ["xcall.ko", "dtrace.ko"] {
            same_objtool(&place.join(module), &built(tools, kernel, module)?)?;
        }
    }
    use_in_guest(machine, kernel, &place)
}

/// Fails unless objtool has done to `module` what it did to `ours`, which was built from source: as
/// many places to patch and stack frames to walk.
fn same_objtool(module: &Path, ours: &Path) -> Result<()> {
    let (found, expected) = (objtool_sections(module)?, objtool_sections(ours)?);
    ensure!(!expected.is_empty(), "objtool left nothing in {ours:?}");
    ensure!(
        found == expected,
        "objtool: dkms' module has\n{found}\nand one built from source\n{expected}"
    );
    Ok(())
}

/// The sections that objtool writes, with their sizes, a line each.
fn objtool_sections(module: &Path) -> Result<String> {
    let output = Command::new("size").arg("-A").arg(module).output();
    let output = output.context("cannot start size")?;
    ensure!(output.status.success(), "size: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<&str> = text.lines().filter(|line| is_objtools(line)).collect();
    lines.sort();
    Ok(lines.join("\n"))
}

fn is_objtools(line: &str) -> bool {
    let name = line.split_whitespace().next().unwrap_or_default();
    name.starts_with(".orc_") || name.ends_with("_sites") || name == ".ibt_endbr_seal"
}

/// `make && make install` with the sources that the package carries; uses the module in a guest.
pub fn check_make_install(machine: &Machine, kernel: &'static Kernel) -> Result<()> {
    let tools = &machine.tools;
    package::make(tools)?;
    let name = kernel.name();
    let place = repo::target().join("package").join(format!("{name}-make"));
    cache::remove_tree(&place)?;
    fs::create_dir_all(&place)?;
    copy_into(&package::sources(), &place)?;
    copy_into(&guest_programs::dtrace()?, &place)?;

    let mut command = Chroot::new(&tools.cache, &tools.sysroot)?.command_in_copy("sh", &place);
    command.arg("/repo/xtask/package/make-install.sh");
    command.arg(tools.sysroot.uname(kernel)?);
    let log = repo::logs().join(format!("make-install-{name}.log"));
    crate::progress::run(&format!("make install for {name}"), &mut command, &log)?;
    use_in_guest(machine, kernel, &place)
}

/// Loads, uses and unloads what was left in `place`; no tool may have warned when it was built.
fn use_in_guest(machine: &Machine, kernel: &'static Kernel, place: &Path) -> Result<()> {
    let log = place.join("make.log");
    let said = fs::read_to_string(&log).with_context(|| format!("no {}", log.display()))?;
    build::check_warnings(&said, false, &log)?;

    let mut boot = Boot::new(kernel, Platform::Native, Program::Command(USE.to_owned()))?;
    boot.modules = vec![place.join("xcall.ko"), place.join("dtrace.ko")];
    boot.modules
        .push(built(&machine.tools, kernel, "xcall_stress.ko")?);
    let sample = place.join("xcall_sample.ko");
    boot.modules.extend(sample.exists().then_some(sample));
    // The command as it was installed, in the place of ours.
    let others = guest_programs::all()?.into_iter();
    boot.copies
        .extend(others.filter(|program| !program.ends_with("dtrace")));
    boot.copies.push(place.join("dtrace"));
    vm::boot(machine, &boot)?.ended_with(0)
}

/// The module of that name, built from source.
fn built(tools: &Tools, kernel: &Kernel, name: &str) -> Result<PathBuf> {
    let modules = build::modules(tools, kernel, false)?;
    let found = modules.into_iter().find(|path| path.ends_with(name));
    found.with_context(|| format!("no {name}"))
}

/// The folder with dkms and all it needs that the sysroot lacks, fetched if it is not there.
fn packages(tools: &Tools, kernel: &Kernel) -> Result<PathBuf> {
    let _lock = tools.cache.lock()?;
    let suite = suite(kernel);
    let key = cache::key([tools.sysroot.key.as_str(), suite]);
    tools.cache.entry(Path::new("dkms").join(key), |folder| {
        let apt = Apt::update(&tools.cache, &Mirrors::find()?)?;
        let status = tools.sysroot.root.join("var/lib/dpkg/status");
        let log = tools.cache.log("dkms");
        apt.fetch(&format!("dkms/{suite}"), &status, folder, &log)
    })
}

/// The Debian release whose users have `kernel`.
fn suite(kernel: &Kernel) -> &'static str {
    match kernel.series {
        "6.1" => apt::OLD_SUITE,
        _ => apt::BUILD_SUITE,
    }
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("no file name")?;
    fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_objtool() {
        assert!(is_objtools(".return_sites   700   0"));
        assert!(is_objtools(".orc_unwind_ip  6684  0"));
        assert!(!is_objtools(".noinstr.text  79552 0"));
        assert!(!is_objtools(""));
    }
}
