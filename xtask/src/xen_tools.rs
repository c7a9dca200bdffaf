// SPDX-License-Identifier: GPL-2.0
//! Xen's programs for a dom0 that starts guests, with the libraries they want.

use crate::apt::{self, Mirrors};
use crate::cache::{self, Cache};
use crate::{child, xen};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Programs of the package `xen-utils-<series>`.
const PROGRAMS: &[&str] = &[
    "libxl-save-helper",
    "lsevtchn",
    "xen-init-dom0",
    "xenconsoled",
    "xenstored",
    "xl",
];

/// The dynamic linker, where programs look for it.
const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Wanted by glibc when a thread is cancelled, which no program's headers say.
const UNNAMED: &str = "/lib/x86_64-linux-gnu/libgcc_s.so.1";

/// Goes into the key: a new number makes a new entry.
const RECIPE: &str = "2";

/// A folder with them, laid out as dom0's root is; made if it is not there.
pub fn ensure(cache: &Cache) -> Result<PathBuf> {
    let parts = [RECIPE, xen::SERIES, apt::OLD_SUITE];
    let key = cache::key(parts.iter().chain(PROGRAMS));
    cache.entry(Path::new("xen-tools").join(key), |folder| {
        crate::host::require_root("setup: Xen's tools")?;
        let log = cache.log("xen-tools");
        let tree = tempfile::tempdir_in(cache.path("")).context("cannot make a folder")?;
        let mut command = child::isolated("mmdebstrap");
        command
            .args(["--mode=root", "--variant=extract", "--architectures=amd64"])
            .arg(format!("--keyring={}", apt::KEYRING))
            .arg("--aptopt=APT::Install-Recommends \"false\"")
            .arg(format!("--include=xen-utils-{}", xen::SERIES))
            .arg(apt::OLD_SUITE)
            .arg(tree.path())
            .args(Mirrors::find()?.old_sources());
        let label = format!("Xen's tools (from Debian {})", apt::OLD_SUITE);
        crate::progress::run(&label, &mut command, &log)?;
        let mut files = BTreeSet::from([LINKER, UNNAMED].map(str::to_owned));
        for program in PROGRAMS {
            let program = format!("/usr/lib/xen-{}/bin/{program}", xen::SERIES);
            let mut list = child::command("chroot");
            list.arg(tree.path()).args([LINKER, "--list", &program]);
            let list = crate::progress::run("libraries of a program", &mut list, &log)?;
            files.extend(libraries(&list));
            files.insert(program);
        }
        for file in files {
            let file = file.trim_start_matches('/');
            let to = folder.join(file);
            fs::create_dir_all(to.parent().context("no folder")?)?;
            fs::copy(tree.path().join(file), to).with_context(|| format!("cannot copy {file}"))?;
        }
        Ok(())
    })
}

/// The files named by `ld.so --list`: `libc.so.6 => /lib/libc.so.6 (0x00007f)`.
fn libraries(list: &str) -> impl Iterator<Item = String> + '_ {
    list.lines()
        .filter_map(|line| line.split_once(" => "))
        .filter_map(|(_, file)| file.split_whitespace().next())
        .filter(|file| file.starts_with('/'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_their_paths() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(list).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6"]);
    }
}
