// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask build`: the modules, by Kbuild in the sysroot, for each kernel series.

use crate::cache;
use crate::chroot::Chroot;
use crate::kernels::{self, Kernel};
use crate::repo;
use crate::setup::{self, Tools};
use crate::stage;
use anyhow::{bail, ensure, Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// In the sysroot: where rust-src puts the standard library.
const RUST_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";

/// Warnings that say nothing about our sources.
const NOT_OURS: &[&str] = &[
    // gcc's package may be a patch level ahead of the kernel's.
    "the compiler differs from the one used to build the kernel",
];

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub struct Args {
    /// Only for this kernel series
    #[arg(long, value_name = "SERIES", value_parser = kernels::parse)]
    kernel: Option<&'static Kernel>,
    /// Let warnings pass
    #[arg(long)]
    allow_warnings: bool,
    /// Check with clippy instead of building
    #[arg(long)]
    clippy: bool,
    /// Start afresh
    #[arg(long)]
    clean: bool,
}

/// `cargo xtask build`.
pub fn command(args: &Args) -> Result<()> {
    let tools = setup::ensure_sysroot()?;
    for kernel in kernels::selected(args.kernel) {
        if args.clean {
            cache::remove_tree(&repo::kbuild().join(kernel.series))?;
            cache::remove_tree(&repo::modules().join(kernel.series))?;
        }
        if args.clippy {
            clippy(&tools, kernel)?;
            continue;
        }
        let modules = modules(&tools, kernel, args.allow_warnings)?;
        for module in modules {
            println!("{}", module.display());
        }
    }
    Ok(())
}

/// The module files for `kernel` in the order they load, built if they are not up to date.
pub fn modules(tools: &Tools, kernel: &Kernel, allow_warnings: bool) -> Result<Vec<PathBuf>> {
    let series = kernel.series;
    let lock = repo::kbuild().join(format!("{series}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(series))?;
    let place = repo::modules().join(series);
    let stamp = place.join(".stamp");
    let digest = cache::key([tools.sysroot.key.as_str(), &staged.digest]);
    if fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        return load_order(&place);
    }
    let output = make(tools, kernel, "", &[], &format!("modules for {series}"))?;
    check_warnings(&output, allow_warnings, &log(series))?;
    install(tools, &staged.folder, &place, series)?;
    // With warnings let pass, the next build must show them again.
    if !allow_warnings {
        fs::write(stamp, digest)?;
    }
    load_order(&place)
}

/// The sample by itself, as somebody else's module would be built: against the kernel's headers,
/// `xcall.h` and the `Module.symvers` of [`modules`], without Rust.
pub fn sample_alone(tools: &Tools, kernel: &Kernel) -> Result<()> {
    modules(tools, kernel, false)?;
    let series = kernel.series;
    let folder = format!("{series}-alone");
    let lock = repo::kbuild().join(format!("{folder}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let place = repo::kbuild().join(&folder);
    cache::remove_tree(&place)?;
    fs::create_dir_all(&place)?;
    for name in ["Kbuild", "Makefile", "xcall_sample.c"] {
        fs::copy(repo::root().join("samples").join(name), place.join(name))?;
    }
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let mut make = chroot.command("make");
    make.args(["-C", &format!("/build/{folder}"), "RUSTC=/bin/false"]);
    make.arg(format!("KDIR={}", tools.sysroot.headers(kernel)?));
    make.arg(format!("XCALL=/build/{series}"));
    let output = crate::progress::run(&format!("sample for {series}"), &mut make, &log(&folder))?;
    check_warnings(&output, false, &log(&folder))?;
    let module = fs::read(place.join("xcall_sample.ko")).context("no xcall_sample.ko")?;
    ensure!(
        depends(&module) == ["xcall"],
        "the sample does not depend on xcall alone"
    );
    Ok(())
}

/// The module files for `kernel`, as if it did not have optional API `api`; warnings denied.
pub fn modules_without(tools: &Tools, kernel: &Kernel, api: &str) -> Result<Vec<PathBuf>> {
    // One folder for all of them: what differs is C, and make sees which of it.
    let series = format!("{}-without", kernel.series);
    let lock = repo::kbuild().join(format!("{series}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(&series))?;
    let place = repo::modules().join(&series).join(api);
    let stamp = place.join(".stamp");
    let digest = cache::key([tools.sysroot.key.as_str(), &staged.digest]);
    if !fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        let label = format!("modules for {} without {api}", kernel.series);
        let variables = [format!("XCALL_WITHOUT={api}")];
        let output = make(tools, kernel, "-without", &variables, &label)?;
        check_warnings(&output, false, &log(&series))?;
        install(tools, &staged.folder, &place, &series)?;
        fs::write(stamp, digest)?;
    }
    load_order(&place)
}

/// Clippy over the kernel side, warnings denied.
pub fn clippy(tools: &Tools, kernel: &Kernel) -> Result<()> {
    // A folder of its own: what clippy emits is not what a build emits.
    let series = format!("{}-clippy", kernel.series);
    let lock = repo::kbuild().join(format!("{series}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(&series))?;
    let stamp = staged.folder.join(".clippy-stamp");
    let digest = cache::key([tools.sysroot.key.as_str(), &staged.digest]);
    if fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        return Ok(());
    }
    let output = make(
        tools,
        kernel,
        "-clippy",
        &["CLIPPY=1".to_owned()],
        &format!("clippy for {}", kernel.series),
    )?;
    check_warnings(&output, false, &log(&series))?;
    fs::write(stamp, digest)?;
    Ok(())
}

fn log(series: &str) -> PathBuf {
    repo::logs().join(format!("build-{series}.log"))
}

/// Runs Kbuild in /build/SERIES (plus a suffix, for another kind of build, with its variables).
fn make(
    tools: &Tools,
    kernel: &Kernel,
    suffix: &str,
    variables: &[String],
    label: &str,
) -> Result<String> {
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let series = format!("{}{suffix}", kernel.series);
    fs::create_dir_all(chroot.cache().join(kernel.series))?;
    let mut make = chroot.command("make");
    make.args(["-C", &tools.sysroot.headers(kernel)?]);
    make.arg(format!("M=/build/{series}"));
    make.arg(format!("XCALL_VENDOR=/build/{series}/{}", stage::VENDOR));
    make.arg(format!("XCALL_RUST_LIB={RUST_LIBRARY}"));
    make.arg(format!("XCALL_CACHE_DIR=/cache/{}", kernel.series));
    make.args(variables);
    let jobs = std::thread::available_parallelism().map_or(1, |count| count.get());
    make.arg(format!("-j{jobs}")).arg("modules");
    crate::progress::run(label, &mut make, &log(&series))
}

/// Fails when the build's output has a warning of rustc, gcc, objtool or modpost.
fn check_warnings(output: &str, allow: bool, log: &Path) -> Result<()> {
    let warnings = warnings(output);
    for warning in &warnings {
        eprintln!("  ! {warning}");
    }
    ensure!(
        warnings.is_empty() || allow,
        "build: {} warnings; full log: {} (--allow-warnings lets them pass)",
        warnings.len(),
        log.display()
    );
    Ok(())
}

fn warnings(output: &str) -> Vec<&str> {
    let warns = |line: &&str| line.to_ascii_lowercase().contains("warning");
    let ours = |line: &&str| !NOT_OURS.iter().any(|text| line.contains(text));
    output.lines().filter(warns).filter(ours).collect()
}

/// Copies the modules from the build folder, without their debug information, as
/// `make INSTALL_MOD_STRIP=1 modules_install` would.
fn install(tools: &Tools, build: &Path, place: &Path, series: &str) -> Result<()> {
    let mut files = Vec::new();
    find_modules(build, &mut files)?;
    ensure!(
        !files.is_empty(),
        "build: Kbuild made no module in {}",
        build.display()
    );
    cache::remove_tree(place)?;
    fs::create_dir_all(place)?;
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let mut strip = chroot.command_with("strip", place);
    strip.arg("--strip-debug");
    for file in files {
        let name = file.file_name().context("no file name")?;
        fs::copy(&file, place.join(name))?;
        strip.arg(Path::new("/build").join(name));
    }
    crate::progress::run(&format!("strip for {series}"), &mut strip, &log("strip"))?;
    Ok(())
}

fn find_modules(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            found.push(path);
        }
    }
    Ok(())
}

/// The modules in `place`, each after those it depends on.
fn load_order(place: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    find_modules(place, &mut files)?;
    let mut waiting = BTreeMap::new();
    for file in files {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .replace('-', "_");
        let depends = depends(&fs::read(&file)?);
        waiting.insert(name, (file, depends));
    }
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let ready = |needs: &Vec<String>| !needs.iter().any(|need| waiting.contains_key(need));
        let next = waiting.iter().find(|(_, (_, needs))| ready(needs));
        let Some(name) = next.map(|(name, _)| name.clone()) else {
            bail!(
                "modules depend on each other in a circle: {:?}",
                waiting.keys()
            );
        };
        ordered.extend(waiting.remove(&name).map(|(file, _)| file));
    }
    Ok(ordered)
}

/// `depends=a,b` of a module's .modinfo.
fn depends(module: &[u8]) -> Vec<String> {
    let tag = b"\0depends=";
    let Some(start) = module.windows(tag.len()).position(|window| window == tag) else {
        return Vec::new();
    };
    let rest = &module[start + tag.len()..];
    let value = rest.split(|&byte| byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_every_tool_are_seen() {
        let output = "\
  CC [M]  a.o
a.c:1:2: warning: unused variable
warning: unused import: `x`
a.o: warning: objtool: f+0x1: indirect call
WARNING: modpost: missing MODULE_DESCRIPTION()
warning: the compiler differs from the one used to build the kernel
";
        assert_eq!(warnings(output).len(), 4);
    }

    #[test]
    fn a_module_loads_after_what_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, depends: &str| {
            let text = format!("x\0license=GPL\0depends={depends}\0name=x\0");
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("a.ko", "b-2,c");
        write("b-2.ko", "c");
        write("c.ko", "");
        let order = load_order(folder.path()).unwrap();
        let names: Vec<_> = order.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["c.ko", "b-2.ko", "a.ko"]);
    }
}
