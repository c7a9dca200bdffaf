// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask package`: the Debian package xcall-dkms.
//!
//! It carries the command `dtrace`, the modules' Rust objects ready-made, and for dkms to compile on the
//! user's machine the C sources.
//! What else is in it lies in `package/`. The same sources make the same package, to the last byte.

use crate::cache;
use crate::child;
use crate::kernels::KERNELS;
use crate::setup::{self, Tools};
use crate::{build, guest_programs, repo, stage};
use anyhow::{ensure, Context, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of the package and of what is in it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The crate roots, in the sources, of which the ready-made objects are made.
const ROOTS: &[&str] = &["xcall/kernel/xcall_main", "provider/kernel/dtrace_main"];

/// Folders of C beside those of [`ROOTS`].
const FOLDERS: &[&str] = &["provider/kernel/gates"];

/// What the compiler on the user's machine sees of the sources: these, and C, headers and assembler
/// beside [`ROOTS`] and in [`FOLDERS`].
const COMPILED: &[&str] = &[
    "kernel-compat/glue.c",
    "kernel-compat/glue.h",
    "provider/kernel/module.mk",
    "xcall/kernel/include/xcall.h",
    "xcall/kernel/module.mk",
];

/// Beside what Kbuild needs, of use to who builds from source; with cargo, the command too.
const FOR_BUILDERS: &[&str] = &[
    "LICENSE",
    "Makefile",
    "README.md",
    "Cargo.lock",
    "Cargo.toml",
    "dtrace",
    "loom-tests",
    "xtask",
];

/// Pages of `docs/` for users.
const PAGES: &[&str] = &["guide.md", "dtrace.md", "dtrace-command.md"];

/// What the command writes of itself: `--generate`, and where it goes.
const GENERATED: &[(&str, &str)] = &[
    ("man", "usr/share/man/man8/dtrace.8"),
    ("bash", "usr/share/bash-completion/completions/dtrace"),
    ("zsh", "usr/share/zsh/vendor-completions/_dtrace"),
    ("fish", "usr/share/fish/vendor_completions.d/dtrace.fish"),
];

/// Options of `cargo xtask package`.
#[derive(clap::Args)]
pub struct Args {}

/// `cargo xtask package`.
pub fn command(_: &Args) -> Result<()> {
    let tools = setup::ensure_sysroot()?;
    println!("{}", make(&tools)?.display());
    Ok(())
}

/// Makes the package; where it lies.
pub fn make(tools: &Tools) -> Result<PathBuf> {
    let mut objects = Vec::new();
    for root in ROOTS {
        let name = root.rsplit('/').next().unwrap_or_default();
        objects.push((root, build::ready_made_object(tools, name)?));
    }
    let place = repo::target().join("package");
    fs::create_dir_all(&place)?;
    let _lock = cache::lock_file(&place.join("lock"), "another packaging")?;
    let tree = Tree::new(place.join("tree"))?;
    let epoch = released()?;

    let sources = format!("usr/src/xcall-{VERSION}");
    for (root, object) in objects {
        tree.copy(&object, &format!("{sources}/{root}.o_shipped"))?;
    }
    for name in c_sources()? {
        tree.copy(&repo::root().join(&name), &format!("{sources}/{name}"))?;
    }
    for name in ["Kbuild", "dkms.conf", "post-build", "unfit"] {
        tree.fill_in(
            &format!("package/dkms/{name}"),
            &format!("{sources}/{name}"),
        )?;
    }

    // Not /usr/bin: systemtap-sdt-dev has a program of that name there.
    let command = guest_programs::dtrace()?;
    tree.copy(&command, "usr/sbin/dtrace")?;
    for (what, name) in GENERATED {
        let output = Command::new(&command).args(["--generate", what]).output();
        let output = output.with_context(|| format!("cannot start {}", command.display()))?;
        ensure!(output.status.success(), "dtrace: {}", output.status);
        fs::write(tree.place(name)?, output.stdout)?;
    }
    tree.gzip(GENERATED[0].1)?;

    let doc = "usr/share/doc/xcall-dkms";
    for name in ["README.Debian", "copyright", "changelog"] {
        tree.fill_in(&format!("package/debian/{name}"), &format!("{doc}/{name}"))?;
    }
    for name in PAGES {
        let page = repo::root().join("docs").join(name);
        tree.copy(&page, &format!("{doc}/{name}"))?;
    }
    for name in PAGES.iter().chain(&["changelog"]) {
        tree.gzip(&format!("{doc}/{name}"))?;
    }
    for name in ["Kbuild", "Makefile", "xcall_sample.c"] {
        let sample = repo::root().join("samples").join(name);
        tree.copy(&sample, &format!("{doc}/examples/xcall_sample/{name}"))?;
    }
    source_archive(&tree.root.join(doc).join("source.tar.xz"), epoch)?;

    let size = tree.size()?.div_ceil(1024);
    let md5sums = tree.md5sums()?;
    for name in ["control", "postinst", "prerm"] {
        tree.fill_in(&format!("package/debian/{name}"), &format!("DEBIAN/{name}"))?;
    }
    let control = tree.root.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?.replace("@INSTALLED_SIZE@", &size.to_string());
    fs::write(control, text)?;
    fs::write(tree.root.join("DEBIAN/md5sums"), md5sums)?;
    tree.settle(epoch)?;

    let package = place.join(format!("xcall-dkms_{VERSION}_amd64.deb"));
    let mut deb = child::command("dpkg-deb");
    deb.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]);
    deb.arg(&tree.root).arg(&package);
    deb.env("SOURCE_DATE_EPOCH", epoch.to_string());
    crate::progress::run("package", &mut deb, &repo::logs().join("package.log"))?;
    Ok(package)
}

/// Fails unless two runs make the same bytes.
pub fn check(tools: &Tools) -> Result<()> {
    let first = fs::read(make(tools)?)?;
    let again = fs::read(make(tools)?)?;
    ensure!(first == again, "two runs made different packages");
    Ok(())
}

/// The sources in a compressed archive of their own, from the last package that was made.
pub fn sources() -> PathBuf {
    let doc = "package/tree/usr/share/doc/xcall-dkms/source.tar.xz";
    repo::target().join(doc)
}

/// C and its headers, as named in the repository.
fn c_sources() -> Result<Vec<String>> {
    let mut names: Vec<String> = COMPILED.iter().map(|name| name.to_string()).collect();
    let beside = ROOTS.iter().filter_map(|root| Path::new(root).parent());
    for folder in beside.chain(FOLDERS.iter().map(Path::new)) {
        for entry in fs::read_dir(repo::root().join(folder))? {
            let name = folder.join(entry?.file_name());
            if name
                .extension()
                .is_some_and(|end| ["c", "h", "S"].iter().any(|one| end == *one))
            {
                names.push(name.display().to_string());
            }
        }
    }
    Ok(names)
}

/// When this version was released, in seconds since 1970: the time of every file in the package.
fn released() -> Result<u64> {
    let file = "package/debian/changelog";
    let text = fs::read_to_string(repo::root().join(file))?;
    let time = last_entry(&text, VERSION);
    let time = time.with_context(|| format!("{file}: the first entry is not {VERSION}'s"))?;
    let mut date = Command::new("date");
    date.args(["--utc", "+%s", "--date", time]);
    let output = date.output().context("cannot start date")?;
    let seconds = String::from_utf8_lossy(&output.stdout).trim().parse();
    seconds.with_context(|| format!("{file}: {time}: no time"))
}

/// The time of a changelog's first entry, if that is `version`'s.
fn last_entry<'a>(changelog: &'a str, version: &str) -> Option<&'a str> {
    let first = changelog.lines().next()?;
    first.contains(&format!(" ({version}) ")).then_some(())?;
    let end = changelog.lines().find(|line| line.starts_with(" -- "))?;
    end.split_once(">  ").map(|(_, time)| time)
}

/// Packs what `make` takes, the crates among it, so that it builds without cargo.
fn source_archive(archive: &Path, epoch: u64) -> Result<()> {
    let staged = stage::update(&repo::kbuild().join(KERNELS[0].name()))?;
    let mut tar = child::command("tar");
    tar.args(["--create", "--use-compress-program=xz -T1", "--format=gnu"]);
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=u+w,go-w,a+rX", &format!("--mtime=@{epoch}")]);
    tar.args(["--exclude=target", "--exclude=.*"]);
    tar.arg(format!("--transform=s,^,xcall-{VERSION}/,"));
    tar.arg("--file").arg(archive);
    tar.arg("-C").arg(&staged.folder).args(&staged.files);
    tar.arg("-C").arg(repo::root()).args(FOR_BUILDERS);
    crate::progress::run(
        "sources",
        &mut tar,
        &repo::logs().join("package-sources.log"),
    )?;
    Ok(())
}

/// The files of a package to be.
struct Tree {
    root: PathBuf,
}

impl Tree {
    /// An empty one.
    fn new(root: PathBuf) -> Result<Tree> {
        cache::remove_tree(&root)?;
        fs::create_dir_all(&root)?;
        Ok(Tree { root })
    }

    /// Where `name` goes; its folder is there then.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let place = self.root.join(name);
        fs::create_dir_all(place.parent().context("no folder")?)?;
        Ok(place)
    }

    fn copy(&self, from: &Path, name: &str) -> Result<()> {
        fs::copy(from, self.place(name)?)
            .with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    }

    /// Copies a file of the repository with the version put where it says so.
    fn fill_in(&self, from: &str, name: &str) -> Result<()> {
        let text = fs::read_to_string(repo::root().join(from))
            .with_context(|| format!("cannot read {from}"))?;
        fs::write(self.place(name)?, text.replace("@VERSION@", VERSION))?;
        Ok(())
    }

    fn gzip(&self, name: &str) -> Result<()> {
        let mut gzip = child::command("gzip");
        gzip.args(["--best", "--no-name"]).arg(self.root.join(name));
        crate::progress::run("gzip", &mut gzip, &repo::logs().join("package-gzip.log"))?;
        Ok(())
    }

    /// All that is in it, folders too, sorted.
    fn entries(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut waiting = vec![self.root.clone()];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    waiting.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Bytes in its files.
    fn size(&self) -> Result<u64> {
        let mut size = 0;
        for path in self.entries()?.iter().filter(|path| path.is_file()) {
            size += path.metadata()?.len();
        }
        Ok(size)
    }

    /// The control file of that name: what `dpkg --verify` compares.
    fn md5sums(&self) -> Result<Vec<u8>> {
        let entries = self.entries()?;
        let files = entries.iter().filter(|path| path.is_file());
        let mut sums = Command::new("md5sum");
        for file in files {
            sums.arg(file.strip_prefix(&self.root)?);
        }
        let output = sums.current_dir(&self.root).output();
        let output = output.context("cannot start md5sum")?;
        ensure!(output.status.success(), "md5sum: {}", output.status);
        Ok(output.stdout)
    }

    /// Gives everything the same time, and modes that no umask has had a say in: programs can be
    /// executed.
    fn settle(&self, epoch: u64) -> Result<()> {
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(epoch);
        let mut entries = self.entries()?;
        // A folder after what is in it.
        entries.reverse();
        entries.push(self.root.clone());
        for path in entries {
            let runs = path.is_dir() || is_program(&fs::read(&path)?);
            let mode = if runs { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            File::open(&path)?.set_modified(time)?;
        }
        Ok(())
    }
}

/// A script, or ELF of type EXEC or DYN.
fn is_program(content: &[u8]) -> bool {
    let is_elf = content.starts_with(b"\x7fELF");
    let kind = content.get(16..18);
    content.starts_with(b"#!") || is_elf && matches!(kind, Some([2 | 3, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changelog_is_at_this_version() {
        assert!(released().unwrap() > 0);
        let text = "x (1.2) unstable; urgency=medium\n\n -- A <a@b>  Wed, 25 Nov\n";
        assert_eq!(last_entry(text, "1.2"), Some("Wed, 25 Nov"));
        assert_eq!(last_entry(text, "1.20"), None);
    }

    #[test]
    fn what_is_compiled_is_there() {
        let names = c_sources().unwrap();
        for name in [
            "xcall/kernel/shim.c",
            "provider/kernel/shim_syscall.c",
            "provider/kernel/gates/stub.S",
        ] {
            assert!(names.contains(&name.to_owned()));
        }
        for name in names {
            assert!(repo::root().join(&name).is_file(), "{name}");
        }
    }

    #[test]
    fn objects_are_no_programs() {
        let elf = |kind: u8| [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[kind, 0]].concat();
        assert!(!is_program(&elf(1)) && is_program(&elf(2)) && is_program(&elf(3)));
        assert!(is_program(b"#!/bin/sh\n") && !is_program(b"") && !is_program(b"\x7fELF"));
    }

    #[test]
    fn scripts_can_be_executed_and_times_are_equal() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::new(folder.path().join("tree")).unwrap();
        fs::write(tree.place("a/script").unwrap(), "#!/bin/sh\n").unwrap();
        fs::write(tree.place("a/text").unwrap(), "text").unwrap();
        tree.settle(1000).unwrap();
        let modes = ["a", "a/script", "a/text"].map(|name| {
            let metadata = tree.root.join(name).metadata().unwrap();
            let time = metadata.modified().unwrap();
            assert_eq!(time, UNIX_EPOCH + Duration::from_secs(1000));
            metadata.permissions().mode() & 0o777
        });
        assert_eq!(modes, [0o755, 0o755, 0o644]);
        assert_eq!(tree.size().unwrap(), 14);
    }
}
