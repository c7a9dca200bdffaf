// SPDX-License-Identifier: GPL-2.0
//! A guest that a dom0 starts: Xen, a stock kernel as dom0 with Xen's tools, and `xl create`.

use crate::cache::Cache;
use crate::initramfs::Archive;
use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::sysroot::Sysroot;
use crate::vm::Boot;
use crate::{kernel_image, xen, xen_tools};
use anyhow::{ensure, Context, Result};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const INIT: &str = include_str!("../guest/dom0-init");

/// Of dom0. The tools and the guest's kernel are in it; the guest gets its own.
const DOM0_MIB: u32 = 640;

/// What the tools want of dom0's kernel, in the order it is loaded.
const MODULES: &[&str] = &[
    "drivers/xen/xen-privcmd",
    "drivers/xen/xenfs/xenfs",
    "drivers/xen/xen-evtchn",
    "drivers/xen/xen-gntdev",
    "drivers/xen/xen-gntalloc",
];

/// QEMU's processor for PVH guests: what its emulation of AMD's virtualisation gets right.
pub const PVH_PROCESSOR: &str =
    "max,-xsave,-xsaveopt,-avx,-avx2,-fma,-f16c,-pku,-vaes,-vpclmulqdq,\
                                 -smap,-smep,-rdtscp";

/// The kernel that dom0 runs, whatever its guest's.
fn dom0_kernel() -> &'static Kernel {
    &kernels::KERNELS[0]
}

/// What such a guest is made of.
pub struct Parts {
    /// dom0's kernel, unpacked.
    pub kernel: PathBuf,
    modules: PathBuf,
    tools: PathBuf,
    /// The guest's, unpacked.
    guest_kernel: PathBuf,
}

impl Parts {
    /// Those for a guest with that kernel, made if they are not there. The cache is locked.
    pub fn ensure(cache: &Cache, sysroot: &Sysroot, guest: &Kernel) -> Result<Parts> {
        Ok(Parts {
            kernel: kernel_image::vmlinux(cache, sysroot, dom0_kernel())?,
            modules: kernel_image::modules(cache, sysroot, dom0_kernel(), MODULES)?,
            tools: xen_tools::ensure(cache)?,
            guest_kernel: kernel_image::vmlinux(cache, sysroot, guest)?,
        })
    }

    /// dom0's root file system, with the guest's kernel, arguments and root in it.
    pub fn initramfs(
        &self,
        sysroot: &Sysroot,
        boot: &Boot,
        arguments: &str,
        guest_root: &[u8],
    ) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "proc", "run", "sys", "tmp", "var"] {
            archive.folder(folder);
        }
        archive.character_device("dev/console", 0o600, (5, 1));
        archive.copy(&sysroot.root.join("usr/bin/busybox"), "bin/busybox")?;
        archive.copy(&self.modules, "modules")?;
        archive.copy(&self.tools, "")?;
        let init = INIT.replace("SERIES", xen::SERIES);
        archive.file("init", 0o755, init.as_bytes());
        archive.copy(&self.guest_kernel, "guest/kernel")?;
        archive.file("guest/ramdisk", 0o644, guest_root);
        let config = config(boot, arguments)?;
        archive.file("guest/config", 0o644, config.as_bytes());
        Ok(archive.finish())
    }
}

/// Xen's own arguments.
///
/// Its own mitigations cost an emulated CPU most of its time. Without them it would switch the FPU
/// lazily, which QEMU does not bear: programs were seen to crash, in dom0 and in guests.
pub fn xen_arguments() -> String {
    format!(
        "console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1 \
         xpti=no spec-ctrl=no,eager-fpu=1"
    )
}

/// Linux' arguments for dom0, beside its console.
pub const DOM0_ARGUMENTS: &str = "panic=-1 oops=panic loglevel=4 mitigations=off";

/// For the guest's kernel: its console is slow, and what it does not show there is in dmesg.
pub const QUIET: &str = "loglevel=5";

/// Asks dom0, which listens at `socket`, for what its init calls `wish`. What came of it is seen in
/// the guest; a failure ends the boot.
pub fn ask(socket: &Path, wish: &str) -> Result<()> {
    let mut stream = UnixStream::connect(socket).context("dom0's port does not answer")?;
    writeln!(stream, "{wish}").context("dom0's port takes nothing")
}

/// The guest as `xl create` takes it.
fn config(boot: &Boot, arguments: &str) -> Result<String> {
    ensure!(
        !arguments.contains(['"', '\\', '\n']),
        "--append: no quotes, backslashes or newlines for a guest of dom0"
    );
    // In PVH guests QEMU lets the time stamp counter trap, which takes too long.
    let (kind, more) = match boot.platform {
        Platform::XenPvh => ("pvh", "tsc_mode = \"native\"\n"),
        _ => ("pv", ""),
    };
    let memory = boot.guest_memory_mib.unwrap_or(boot.memory_mib / 2);
    let cpus = boot.cpus;
    Ok(format!(
        "name = \"guest\"\n\
         type = \"{kind}\"\n\
         kernel = \"/guest/kernel\"\n\
         ramdisk = \"/guest/ramdisk\"\n\
         extra = \"{arguments}\"\n\
         memory = {memory}\n\
         vcpus = {cpus}\n\
         on_poweroff = \"destroy\"\n\
         on_reboot = \"destroy\"\n\
         on_crash = \"destroy\"\n\
         {more}"
    ))
}
