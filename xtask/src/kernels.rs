// SPDX-License-Identifier: GPL-2.0
//! The kernels we build for and boot, named by series.
//!
//! The point release behind a series is asked of apt at setup. When backports moves on, its
//! newest series takes the old one's place here: one line.

use anyhow::{bail, Context, Result};

/// One stock Debian kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Version up to the second number: what `--kernel` takes.
    pub series: &'static str,
    /// Debian's flavour: how its release ends.
    pub flavour: &'static str,
    /// Whether its stock configuration has CONFIG_RUST: then its Rust metadata is rebuilt from
    /// `linux-source-<series>` and modules link the real `kernel` crate.
    pub rust: bool,
    /// The package, by release (`{}`), that has the boot image.
    pub image_package: &'static str,
    /// Where that image lies in the sysroot, by release (`{}`).
    pub image: &'static str,
    /// Stock modules through which a guest reaches us, in the order it loads them; named as
    /// [`crate::kernel_image::modules`] has it.
    pub drivers: &'static [&'static str],
    /// What it must be told beside what all are.
    pub arguments: &'static str,
}

/// Of a kernel that has virtio not built in.
const VIRTIO: &[&str] = &[
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/char/virtio_console",
];

/// Those that `--kernel` names. The first stands for the others where one is enough.
#[rustfmt::skip]
pub const KERNELS: &[Kernel] = &[
    Kernel { series: "6.12", flavour: "amd64", rust: false, image_package: "linux-image-{}",  image: "boot/vmlinuz-{}", drivers: &[], arguments: "" },
    Kernel { series: "6.1",  flavour: "amd64", rust: false, image_package: "linux-image-{}",  image: "boot/vmlinuz-{}", drivers: VIRTIO, arguments: "" },
    Kernel { series: "7.3",  flavour: "amd64", rust: true,  image_package: "linux-binary-{}", image: "usr/lib/modules/{}/vmlinuz", drivers: &[], arguments: "" },
];

/// Those that rented machines run. They boot as guests of a dom0, and cannot be one.
#[rustfmt::skip]
pub const CLOUD_KERNELS: &[Kernel] = &[
    Kernel { series: "6.12", flavour: "cloud-amd64", rust: false, image_package: "linux-image-{}", image: "boot/vmlinuz-{}", drivers: &[], arguments: "" },
];

/// Built here, from the source of the stock kernel of its series, to look for mistakes: see
/// [`crate::debug_kernel`]. With five levels of page tables KASAN reports a timer interrupt that comes
/// while the boot CPU is identified: its features, which tell where the shadow begins, are cleared then.
#[rustfmt::skip]
pub const DEBUG_KERNEL: Kernel =
    Kernel { series: "6.12", flavour: "debug", rust: false, image_package: "linux-source-6.12", image: "usr/src/linux-headers-{}/arch/x86/boot/bzImage", drivers: &[], arguments: "no5lvl" };

impl Kernel {
    /// What its builds are named by: `6.12`, `6.12-cloud`.
    pub fn name(&self) -> String {
        match self.flavour.strip_suffix("amd64").unwrap_or(self.flavour) {
            "" => self.series.to_owned(),
            flavour => format!("{}-{}", self.series, flavour.trim_end_matches('-')),
        }
    }

    /// The kernel of that series that rented machines run.
    pub fn cloud(&self) -> Result<&'static Kernel> {
        let mut kernels = CLOUD_KERNELS.iter();
        let found = kernels.find(|kernel| kernel.series == self.series);
        found.with_context(|| format!("kernel {}: not there as a cloud kernel", self.series))
    }
}

/// All there are.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().chain(CLOUD_KERNELS)
}

/// The kernel of that series.
pub fn by_series(series: &str) -> Result<&'static Kernel> {
    match KERNELS.iter().find(|kernel| kernel.series == series) {
        Some(kernel) => Ok(kernel),
        None => bail!("kernel {series}: not one of {}", names().join(", ")),
    }
}

/// The series, as `--kernel` takes them.
pub fn names() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.series).collect()
}

/// clap's parser for `--kernel`.
pub fn parse(series: &str) -> Result<&'static Kernel> {
    by_series(series)
}

/// The kernels a command works on: the one asked for, else all; the cloud kernels with them.
pub fn selected(kernel: Option<&'static Kernel>) -> Vec<&'static Kernel> {
    let wanted = |found: &&Kernel| kernel.is_none_or(|kernel| kernel.series == found.series);
    all().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_kernels_have_names_of_their_own() {
        let kernel = by_series("6.12").unwrap();
        assert_eq!(kernel.name(), "6.12");
        assert_eq!(kernel.cloud().unwrap().name(), "6.12-cloud");
        assert!(by_series("7.3").unwrap().cloud().is_err());
        assert_eq!(selected(Some(kernel)).len(), 2);
    }
}
