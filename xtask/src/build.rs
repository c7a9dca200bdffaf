// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask build`: the modules, by Kbuild in the sysroot, for each kernel series.

use crate::cache;
use crate::chroot::Chroot;
use crate::kernels::{self, Kernel, KERNELS};
use crate::repo;
use crate::setup::{self, Tools};
use crate::stage;
use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// In the sysroot: where rust-src puts the standard library.
const RUST_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";

/// In a build folder: where `scripts/Makefile.rust` puts Rust's output.
const RUST_OUT: &str = "target/kbuild";

/// Warnings that say nothing about our sources.
const NOT_OURS: &[&str] = &[
    // gcc's package may be a patch level ahead of the kernel's.
    "the compiler differs from the one used to build the kernel",
];

/// Measures, in guests of its own: no other guest loads it.
const BENCH: &str = "xcall_bench.ko";

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
            cache::remove_tree(&repo::kbuild().join(kernel.name()))?;
            cache::remove_tree(&repo::modules().join(kernel.name()))?;
        }
        if args.clippy {
            clippy(&tools, kernel)?;
            continue;
        }
        let modules = modules(&tools, kernel, args.allow_warnings)?;
        for module in modules {
            println!("{}", module.display());
        }
        println!("{}", bench_module(kernel).display());
    }
    Ok(())
}

/// The module that measures, once [`modules`] has returned.
pub fn bench_module(kernel: &Kernel) -> PathBuf {
    repo::modules().join(kernel.series).join(BENCH)
}

/// The module files for `kernel` in the order they load, built if they are not up to date.
pub fn modules(tools: &Tools, kernel: &Kernel, allow_warnings: bool) -> Result<Vec<PathBuf>> {
    let name = &kernel.name();
    let lock = repo::kbuild().join(format!("{name}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(name))?;
    let place = repo::modules().join(name);
    let stamp = place.join(".stamp");
    let digest = cache::key([tools.sysroot.key.as_str(), &staged.digest]);
    if fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        return load_order(&place);
    }
    let output = make(tools, kernel, "", &[], &format!("modules for {name}"))?;
    check_warnings(&output, allow_warnings, &log(name))?;
    install(tools, &staged.folder, &place, name)?;
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
    let name = kernel.name();
    let folder = format!("{name}-alone");
    let lock = repo::kbuild().join(format!("{folder}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let place = repo::kbuild().join(&folder);
    cache::remove_tree(&place)?;
    fs::create_dir_all(&place)?;
    for file in ["Kbuild", "Makefile", "xcall_sample.c"] {
        fs::copy(repo::root().join("samples").join(file), place.join(file))?;
    }
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let mut make = chroot.command("make");
    make.args(["-C", &format!("/build/{folder}"), "RUSTC=/bin/false"]);
    make.arg(format!("KDIR={}", tools.sysroot.headers(kernel)?));
    make.arg(format!("XCALL=/build/{name}"));
    let output = crate::progress::run(&format!("sample for {name}"), &mut make, &log(&folder))?;
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
    let series = format!("{}-without", kernel.name());
    let lock = repo::kbuild().join(format!("{series}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(&series))?;
    let place = repo::modules().join(&series).join(api);
    let stamp = place.join(".stamp");
    let digest = cache::key([tools.sysroot.key.as_str(), &staged.digest]);
    if !fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        let label = format!("modules for {} without {api}", kernel.name());
        let variables = [format!("XCALL_WITHOUT={api}")];
        let output = make(tools, kernel, "-without", &variables, &label)?;
        check_warnings(&output, false, &log(&series))?;
        install(tools, &staged.folder, &place, &series)?;
        fs::write(stamp, digest)?;
    }
    load_order(&place)
}

/// What `modules` want of the kernel and of each other.
pub fn undefined_symbols(tools: &Tools, modules: &[PathBuf]) -> Result<BTreeSet<String>> {
    let folder = modules.first().and_then(|module| module.parent());
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let mut nm = chroot.command_with("nm", folder.context("no modules")?);
    nm.args(["--undefined-only", "--just-symbols"]);
    for module in modules {
        let name = module.file_name().context("no file name")?;
        nm.arg(Path::new("/build").join(name));
    }
    let output = nm.output().context("cannot run nm")?;
    ensure!(output.status.success(), "nm: {}", output.status);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().map(str::to_owned).collect())
}

/// Fails unless the Rust object of each module, as it is before the kernel's own objtool, is the same
/// to the last byte for all of `kernels`: a package may carry it ready-made.
pub fn one_object(tools: &Tools, kernels: impl Iterator<Item = &'static Kernel>) -> Result<()> {
    let mut first: Option<(String, BTreeMap<OsString, Vec<u8>>)> = None;
    for kernel in kernels {
        modules(tools, kernel, false)?;
        let name = kernel.name();
        let found = rust_objects(&repo::kbuild().join(&name).join(RUST_OUT))?;
        let (expected_name, expected) = first.get_or_insert_with(|| (name.clone(), found.clone()));
        let different = expected
            .iter()
            .find(|(file, bytes)| found.get(*file) != Some(bytes));
        if let Some((file, _)) = different {
            bail!(
                "{}: not the same for {expected_name} and {name}",
                file.to_string_lossy()
            );
        }
    }
    Ok(())
}

/// The Rust object of `module` (the name of its crate root) that serves every kernel without
/// CONFIG_RUST, as it is before objtool.
pub fn ready_made_object(tools: &Tools, module: &str) -> Result<PathBuf> {
    one_object(tools, kernels::all().filter(|kernel| !kernel.rust))?;
    let folder = repo::kbuild().join(KERNELS[0].name()).join(RUST_OUT);
    let object = folder.join(module).with_extension("o");
    ensure!(object.exists(), "no {}", object.display());
    Ok(object)
}

/// The objects in `folder` by name; at least one.
fn rust_objects(folder: &Path) -> Result<BTreeMap<OsString, Vec<u8>>> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {folder:?}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "o") {
            let name = path.file_name().unwrap_or_default().to_owned();
            objects.insert(name, fs::read(&path)?);
        }
    }
    ensure!(!objects.is_empty(), "no object in {}", folder.display());
    Ok(objects)
}

/// Clippy over the kernel side, warnings denied.
pub fn clippy(tools: &Tools, kernel: &Kernel) -> Result<()> {
    // A folder of its own: what clippy emits is not what a build emits.
    let name = format!("{}-clippy", kernel.name());
    let lock = repo::kbuild().join(format!("{name}.lock"));
    let _lock = cache::lock_file(&lock, "another build")?;
    let staged = stage::update(&repo::kbuild().join(&name))?;
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
        &format!("clippy for {}", kernel.name()),
    )?;
    check_warnings(&output, false, &log(&name))?;
    fs::write(stamp, digest)?;
    Ok(())
}

fn log(name: &str) -> PathBuf {
    repo::logs().join(format!("build-{name}.log"))
}

/// Runs Kbuild in /build/KERNEL (plus a suffix, for another kind of build, with its variables).
fn make(
    tools: &Tools,
    kernel: &Kernel,
    suffix: &str,
    variables: &[String],
    label: &str,
) -> Result<String> {
    let chroot = Chroot::new(&tools.cache, &tools.sysroot)?;
    let name = format!("{}{suffix}", kernel.name());
    fs::create_dir_all(chroot.cache().join(kernel.name()))?;
    let mut make = chroot.command("make");
    make.args(["-C", &tools.sysroot.headers(kernel)?]);
    make.arg(format!("M=/build/{name}"));
    make.arg(format!("XCALL_VENDOR=/build/{name}/{}", stage::VENDOR));
    make.arg(format!("XCALL_RUST_LIB={RUST_LIBRARY}"));
    make.arg(format!("XCALL_CACHE_DIR=/cache/{}", kernel.name()));
    make.args(variables);
    let jobs = std::thread::available_parallelism().map_or(1, |count| count.get());
    make.arg(format!("-j{jobs}")).arg("modules");
    crate::progress::run(label, &mut make, &log(&name))
}

/// Fails when the build's output has a warning of rustc, gcc, objtool or modpost.
pub(crate) fn check_warnings(output: &str, allow: bool, log: &Path) -> Result<()> {
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
fn install(tools: &Tools, build: &Path, place: &Path, kernel: &str) -> Result<()> {
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
    crate::progress::run(&format!("strip for {kernel}"), &mut strip, &log("strip"))?;
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

/// The modules in `place` less [`BENCH`], each after those it depends on.
fn load_order(place: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    find_modules(place, &mut files)?;
    files.retain(|file| !file.ends_with(BENCH));
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
    fn rust_objects_are_told_from_libraries() {
        let folder = tempfile::tempdir().unwrap();
        assert!(rust_objects(folder.path()).is_err());
        for name in ["a.o", "liba.rlib", ".a.o.cmd"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let objects = rust_objects(folder.path()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[&OsString::from("a.o")], b"a.o");
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
