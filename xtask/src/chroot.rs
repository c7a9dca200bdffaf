// SPDX-License-Identifier: GPL-2.0
//! Commands in the sysroot.
//!
//! They run in mount and process namespaces of their own, so that the mounts vanish with them,
//! however they end. The tree itself is read-only there; the command sees
//!
//! | path | what |
//! |---|---|
//! | /repo | the repository, read-only |
//! | /build | `target/kbuild`: a folder per kernel series |
//! | /cache | a cache folder of this sysroot: a folder per kernel series |
//! | /tmp | empty, in memory |

use crate::cache::Cache;
use crate::child;
use crate::repo;
use crate::sysroot::Sysroot;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that a command in there sees of ours.
const ENVIRONMENT: [&str; 4] = [
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/tmp",
    "LC_ALL=C.UTF-8",
    "TERM=linux",
];

/// Options of `cargo xtask chroot`.
#[derive(clap::Args)]
pub struct Args {
    /// Command and arguments; a shell without
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// `cargo xtask chroot`.
pub fn command(args: &Args) -> Result<u8> {
    let tools = crate::setup::ensure_sysroot()?;
    let shell = vec![OsString::from("bash")];
    let words = match args.command.is_empty() {
        true => &shell,
        false => &args.command,
    };
    let mut command = Chroot::new(&tools.cache, &tools.sysroot)?.command(&words[0]);
    command.args(&words[1..]);
    // In our own process group: a shell there wants the terminal.
    let status = command.status().context("cannot start unshare")?;
    Ok(status.code().unwrap_or(255) as u8)
}

/// A way into the sysroot.
pub struct Chroot {
    root: PathBuf,
    cache: PathBuf,
}

impl Chroot {
    /// The way into `sysroot`. Needs root.
    pub fn new(cache: &Cache, sysroot: &Sysroot) -> Result<Chroot> {
        crate::host::require_root("build in the sysroot")?;
        let folder = cache.path("build").join(&sysroot.key);
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(repo::kbuild())?;
        Ok(Chroot {
            root: sysroot.root.clone(),
            cache: folder,
        })
    }

    /// What `/cache` in there is outside.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// `program` in the sysroot, with /build as it is in the repository.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        self.command_with(program, &repo::kbuild())
    }

    /// `program` in the sysroot, with another folder at /build.
    pub fn command_with(&self, program: impl Into<OsString>, build: &Path) -> Command {
        let mut command = child::isolated(repo::root().join("xtask/sysroot/enter.sh"));
        command
            .arg(&self.root)
            .arg(repo::root())
            .arg(build)
            .arg(&self.cache);
        command.args(ENVIRONMENT);
        command.arg(program.into());
        command
    }

    /// `program` in a copy of the sysroot that it may change as it likes, with `build` at /build, the
    /// only place where what it writes stays; there is no /cache.
    pub fn command_in_copy(&self, program: impl Into<OsString>, build: &Path) -> Command {
        let mut command = child::isolated(repo::root().join("xtask/sysroot/enter-copy.sh"));
        command.arg(&self.root).arg(repo::root()).arg(build);
        command.args(ENVIRONMENT);
        command.arg(program.into());
        command
    }
}
