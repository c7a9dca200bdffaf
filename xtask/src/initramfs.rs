// SPDX-License-Identifier: GPL-2.0
//! A guest's root: a cpio archive in the `newc` format, which the kernel unpacks at boot.
//!
//! Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst.

use anyhow::{ensure, Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive being written. Parent folders are added by themselves.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    /// A folder, with its parents. `path` has no leading slash.
    pub fn folder(&mut self, path: &str) {
        if path.is_empty() || !self.folders.insert(path.to_owned()) {
            return;
        }
        self.parents(path);
        self.entry(path, FOLDER | 0o755, (0, 0), b"");
    }

    /// A file with these permissions and this content.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, FILE | permissions, (0, 0), content);
    }

    /// A character device node.
    pub fn character_device(&mut self, path: &str, permissions: u32, device: (u32, u32)) {
        self.parents(path);
        self.entry(path, CHARACTER_DEVICE | permissions, device, b"");
    }

    /// Copies a file, or a folder with all in it, from the host to `path`; an empty one is the root.
    pub fn copy(&mut self, from: &Path, path: &str) -> Result<()> {
        let failed = || format!("cannot copy {} into the guest", from.display());
        let metadata = fs::metadata(from).with_context(failed)?;
        if metadata.is_dir() {
            self.folder(path);
            for entry in fs::read_dir(from).with_context(failed)? {
                let entry = entry.with_context(failed)?;
                let name = entry.file_name();
                let inner = format!("{path}/{}", name.to_string_lossy());
                let inner = inner.trim_start_matches('/').to_owned();
                if entry.file_type()?.is_symlink() {
                    let target = fs::read_link(entry.path()).with_context(failed)?;
                    let target = target.to_string_lossy();
                    self.entry(&inner, LINK | 0o777, (0, 0), target.as_bytes());
                } else {
                    self.copy(&entry.path(), &inner)?;
                }
            }
            return Ok(());
        }
        ensure!(
            metadata.is_file(),
            "{}: neither file nor folder",
            from.display()
        );
        let content = fs::read(from).with_context(failed)?;
        self.file(path, metadata.permissions().mode() & 0o777, &content);
        Ok(())
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let fields = [
            self.entries,          // inode
            mode,                  //
            0,                     // user
            0,                     // group
            1,                     // links
            0,                     // time
            content.len() as u32,  // size
            0,                     // device it lies on, major
            0,                     // minor
            device.0,              // device it is, major
            device.1,              // minor
            path.len() as u32 + 1, // with its NUL
            0,                     // checksum, unused
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// Names and contents end on multiples of 4.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of each entry.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * n..14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = std::str::from_utf8(&bytes[110..110 + name_size - 1]).unwrap();
            let start = (110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                return entries;
            }
            let content = bytes[start..start + size].to_vec();
            entries.push((name.to_owned(), mode, content));
            bytes = &bytes[(start + size).next_multiple_of(4)..];
        }
    }

    #[test]
    fn entries_come_with_their_folders_once() {
        let mut archive = Archive::default();
        archive.file("a/b/c", 0o755, b"hello");
        archive.file("a/d", 0o644, b"");
        archive.character_device("dev/console", 0o600, (5, 1));
        let entries = read(&archive.finish());
        let names: Vec<_> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c", "a/d", "dev", "dev/console"]);
        assert_eq!(entries[2].1, 0o100_755);
        assert_eq!(entries[2].2, b"hello");
    }
}
