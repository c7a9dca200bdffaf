// SPDX-License-Identifier: GPL-2.0
//! The cache folder outside the repository: entries keyed by what they are made from.
//!
//! An entry is made in a `.partial` folder beside its place and renamed when it is complete, so
//! that a half-made one is never used. One setup runs at a time.

use anyhow::{Context, Result};
use rustix::fs::{flock, FlockOperation};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The cache folder.
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache, making its folder if it is not there.
    pub fn open() -> Result<Cache> {
        let root = location()?;
        fs::create_dir_all(&root).with_context(|| {
            format!(
                "cannot make the cache folder {}; set XCALL_CACHE to another place",
                root.display()
            )
        })?;
        // Mounts inside need an absolute path without links.
        let root = root.canonicalize()?;
        Ok(Cache { root })
    }

    /// A path in the cache.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Logs of the setup steps.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path("logs").join(format!("{name}.log"))
    }

    /// Waits until no other setup runs. The lock ends with the value.
    pub fn lock(&self) -> Result<File> {
        lock_file(&self.path("lock"), "another setup")
    }

    /// The entry `relative`, made by `make` in an empty folder if it is not there.
    ///
    /// `make` may fail or be interrupted at any point: what it left is removed.
    pub fn entry(
        &self,
        relative: impl AsRef<Path>,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.path(relative);
        if place.exists() {
            return Ok(place);
        }
        let mut partial = place.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        remove_tree(&partial)?;
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        let made = make(&partial).and_then(|()| crate::signals::check());
        if made.is_err() {
            // The reason it failed matters more than what could not be removed.
            let _ = remove_tree(&partial);
        }
        made?;
        fs::rename(&partial, &place)
            .with_context(|| format!("cannot finish {}", place.display()))?;
        Ok(place)
    }

    /// Removes every entry of a kind but one.
    pub fn keep_only(&self, kind: &str, kept: &str) -> Result<()> {
        for entry in fs::read_dir(self.path(kind)).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name() != kept {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Takes the lock on `path`, saying who is waited for.
pub fn lock_file(path: &Path, holder: &str) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("waiting for {holder} to end (lock {})", path.display());
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            crate::signals::check()?;
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
    Ok(file)
}

fn location() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("XCALL_CACHE") {
        return Ok(folder.into());
    }
    if let Some(folder) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder).join("xcall"));
    }
    let home = set("HOME").context("no HOME: set XCALL_CACHE to a folder for the cache")?;
    Ok(PathBuf::from(home).join(".cache/xcall"))
}

/// Removes a folder and all in it; nothing there is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A short name for content: the start of the SHA-256 over all parts.
pub fn key<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, Cache { root })
    }

    #[test]
    fn keys_differ_by_part_boundaries() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_eq!(key(["a"]), key(["a"]));
    }

    #[test]
    fn a_failed_entry_leaves_nothing() {
        let (_folder, cache) = scratch();
        let made = cache.entry("thing/1", |folder| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no")
        });
        assert!(made.is_err());
        assert_eq!(fs::read_dir(cache.path("thing")).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_is_made_once() {
        let (_folder, cache) = scratch();
        let make = |folder: &Path| Ok(fs::write(folder.join("file"), "x")?);
        let place = cache.entry("thing/1", make).unwrap();
        assert!(place.join("file").exists());
        cache.entry("thing/1", |_| panic!("made twice")).unwrap();
    }
}
