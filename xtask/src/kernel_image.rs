// SPDX-License-Identifier: GPL-2.0
//! Stock kernels unpacked: to decompress one on an emulated CPU takes longer than to boot it.
//!
//! Format: Linux Documentation/arch/x86/boot.rst.

use crate::cache::{self, Cache};
use crate::chroot::Chroot;
use crate::kernels::Kernel;
use crate::sysroot::Sysroot;
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Goes into the key: a new number makes new entries.
const RECIPE: &str = "1";

/// A decompressor, and how what it decompresses begins.
const FORMATS: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x8b", "gzip"),
];

/// The kernel as an ELF file, made if it is not there.
pub fn vmlinux(cache: &Cache, sysroot: &Sysroot, kernel: &Kernel) -> Result<PathBuf> {
    let name = entry_name("vmlinux", sysroot, kernel, &[])?;
    let folder = cache.entry(name, |folder| {
        let image = sysroot.image(kernel)?;
        let image = fs::read(&image).with_context(|| format!("cannot read {image:?}"))?;
        let (payload, program) = payload(&image)?;
        fs::write(folder.join("packed"), payload)?;
        let command = format!("{program} -dc /build/packed >/build/vmlinux && rm /build/packed");
        unpack(cache, sysroot, folder, &command)
    })?;
    Ok(folder.join("vmlinux"))
}

/// A folder with those modules of the kernel, named by their place below its `kernel/` without
/// `.ko`; made if it is not there. The folder is flat.
pub fn modules(
    cache: &Cache,
    sysroot: &Sysroot,
    kernel: &Kernel,
    modules: &[&str],
) -> Result<PathBuf> {
    let name = entry_name("stock-modules", sysroot, kernel, modules)?;
    let from = format!("usr/lib/modules/{}/kernel", sysroot.uname(kernel)?);
    cache.entry(name, |folder| {
        for module in modules {
            let plain = sysroot.root.join(&from).join(format!("{module}.ko"));
            let packed = plain.with_extension("ko.xz");
            let found = if plain.exists() { plain } else { packed };
            let to = folder.join(found.file_name().context("no file name")?);
            fs::copy(&found, &to).with_context(|| format!("cannot copy {}", found.display()))?;
        }
        let line = "for file in /build/*.xz; do [ ! -e $file ] || xz -d $file; done";
        unpack(cache, sysroot, folder, line)
    })
}

fn entry_name(kind: &str, sysroot: &Sysroot, kernel: &Kernel, more: &[&str]) -> Result<PathBuf> {
    let release = sysroot.uname(kernel)?;
    let version = sysroot.release(kernel)?.version.as_str();
    let key = cache::key([RECIPE, version].into_iter().chain(more.iter().copied()));
    Ok(Path::new(kind).join(format!("{release}-{key}")))
}

/// Runs a shell line in the sysroot, with `folder` at /build.
fn unpack(cache: &Cache, sysroot: &Sysroot, folder: &Path, line: &str) -> Result<()> {
    let mut command = Chroot::new(cache, sysroot)?.command_with("sh", folder);
    command.args(["-c", line]);
    crate::progress::run("unpack a kernel", &mut command, &cache.log("unpack"))?;
    Ok(())
}

/// The compressed kernel in a boot image, and what decompresses it.
fn payload(image: &[u8]) -> Result<(&[u8], &'static str)> {
    ensure!(
        image.get(0x202..0x206) == Some(b"HdrS"),
        "no Linux boot image"
    );
    let field = |offset: usize| {
        let bytes = image.get(offset..offset + 4).context("short boot image")?;
        Ok::<usize, anyhow::Error>(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    // The first sector and the real-mode code lie before what offsets count from.
    let sectors = match image[0x1f1] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + field(0x248)?;
    let length = field(0x24c)?;
    let packed = image.get(start..start + length);
    let packed = packed.context("short boot image")?;
    let known = FORMATS.iter().find(|(magic, _)| packed.starts_with(magic));
    let Some((_, program)) = known else {
        bail!("boot image: compressed in no way we know");
    };
    // Linux' build puts the unpacked size after what would not say it.
    let size = if *program == "gzip" { 0 } else { 4 };
    Ok((&packed[..length - size], program))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot image with one sector of real-mode code and `packed` 16 bytes after it.
    fn image(packed: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(packed.len() as u32).to_le_bytes());
        image.extend(packed);
        image
    }

    #[test]
    fn the_payload_is_found_without_the_size_after_it() {
        let zstd = image(b"\x28\xb5\x2f\xfdabcSIZE");
        assert_eq!(
            payload(&zstd).unwrap(),
            (&b"\x28\xb5\x2f\xfdabc"[..], "zstd")
        );
        let gzip = image(b"\x1f\x8bSIZE");
        assert_eq!(payload(&gzip).unwrap(), (&b"\x1f\x8bSIZE"[..], "gzip"));
    }

    #[test]
    fn what_is_no_boot_image_is_an_error() {
        assert!(payload(b"MZ").is_err());
        assert!(payload(&image(b"????")).is_err());
        let cut = image(b"\x28\xb5\x2f\xfdabcSIZE");
        assert!(payload(&cut[..cut.len() - 1]).is_err());
    }
}
