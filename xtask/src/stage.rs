// SPDX-License-Identifier: GPL-2.0
//! A copy of what Kbuild needs, in a folder per kernel: it writes beside the sources.
//!
//! Times are kept, so that make sees what has changed and what has not.

use crate::repo;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// What of the repository is staged; what is not there is left out.
const SOURCES: &[&str] = &[
    "Kbuild",
    "bench",
    "kernel-compat",
    "provider",
    "samples",
    "scripts",
    "stress",
    "xcall",
];

/// Crates from crates.io that modules link, at the versions of Cargo.lock.
const CRATES: &[&str] = &["crossbeam-utils", "cty", "static_assertions", "xen-sys"];

/// The folder in the staged tree that those crates go to, each under its name.
pub const VENDOR: &str = "vendor";

/// Lists what was staged last, one path a line.
const MANIFEST: &str = ".staged";

/// A staged tree.
pub struct Staged {
    pub folder: PathBuf,
    /// What was staged, as named in there.
    pub files: Vec<PathBuf>,
    /// Of names, sizes and times of all staged files.
    pub digest: String,
}

/// Brings `folder` in step with the repository. What the build made there stays.
pub fn update(folder: &Path) -> Result<Staged> {
    let root = repo::root();
    let mut wanted = BTreeMap::new();
    for source in SOURCES {
        collect(&root.join(source), Path::new(source), &mut wanted)?;
    }
    for (name, path) in crate_folders()? {
        collect(&path, &Path::new(VENDOR).join(name), &mut wanted)?;
    }

    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let manifest = folder.join(MANIFEST);
    let before = fs::read_to_string(&manifest).unwrap_or_default();
    let names: BTreeSet<String> = wanted
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    for gone in before.lines().filter(|line| !names.contains(*line)) {
        // It may have been removed by hand.
        let _ = fs::remove_file(folder.join(gone));
    }
    let mut parts = Vec::new();
    for (name, from) in &wanted {
        let to = folder.join(name);
        let metadata = fs::metadata(from)?;
        let modified = metadata.modified()?;
        let same = fs::metadata(&to).is_ok_and(|there| {
            there.len() == metadata.len() && there.modified().is_ok_and(|time| time == modified)
        });
        if !same {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            File::options()
                .write(true)
                .open(&to)?
                .set_modified(modified)?;
        }
        let time = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        parts.push(format!(
            "{} {} {}",
            name.display(),
            metadata.len(),
            time.as_nanos()
        ));
    }
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    fs::write(manifest, list.join("\n"))?;
    Ok(Staged {
        folder: folder.to_owned(),
        files: wanted.into_keys().collect(),
        digest: crate::cache::key(parts),
    })
}

/// All files under `from`, by their place in the staged tree; hidden ones and output left out.
fn collect(from: &Path, to: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    if from.is_file() {
        let extension = from.extension().and_then(|extension| extension.to_str());
        let output = ["o", "ko", "mod", "cmd", "rmeta", "order", "symvers"];
        if !extension.is_some_and(|extension| output.contains(&extension)) {
            files.insert(to.to_owned(), from.to_owned());
        }
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        collect(&entry.path(), &to.join(name), files)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// Where cargo keeps the sources of the crates that modules link.
fn crate_folders() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--locked"]);
    let output = command
        .current_dir(repo::root())
        .output()
        .context("cannot start cargo")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata --locked: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let folder = |name: &&'static str| {
        let package = metadata
            .packages
            .iter()
            .find(|package| package.name == *name);
        let package = package.with_context(|| format!("crate {name}: not in Cargo.lock"))?;
        let folder = package.manifest_path.parent().context("no folder")?;
        Ok((*name, folder.to_owned()))
    };
    CRATES.iter().map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_hidden_files_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/target")).unwrap();
        for name in [
            "a/x.rs",
            "a/x.o",
            "a/.x.o.cmd",
            "a/target/y.rs",
            "a/Module.symvers",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let mut files = BTreeMap::new();
        collect(root, Path::new(""), &mut files).unwrap();
        let names: Vec<_> = files.keys().collect();
        assert_eq!(names, [Path::new("a/x.rs")]);
    }
}
