// SPDX-License-Identifier: GPL-2.0
//! The kernels we build for and boot, named by series.
//!
//! The point release behind a series is asked of apt at setup. When backports moves on, its
//! newest series takes the old one's place here: one line.

use anyhow::{bail, Result};

/// One stock Debian kernel series, flavour amd64.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Version up to the second number: what `--kernel` takes.
    pub series: &'static str,
    /// Whether its stock configuration has CONFIG_RUST: then its Rust metadata is rebuilt from
    /// `linux-source-<series>` and modules link the real `kernel` crate.
    pub rust: bool,
    /// The package, by version (`{}`), that has the boot image.
    pub image_package: &'static str,
    /// Where that image lies in the sysroot, by version (`{}`).
    pub image: &'static str,
}

/// All of them.
#[rustfmt::skip]
pub const KERNELS: &[Kernel] = &[
    Kernel { series: "6.12", rust: false, image_package: "linux-image-{}",  image: "boot/vmlinuz-{}" },
    Kernel { series: "7.3",  rust: true,  image_package: "linux-binary-{}", image: "usr/lib/modules/{}/vmlinuz" },
];

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

/// The kernels a command works on: the one asked for, else all.
pub fn selected(kernel: Option<&'static Kernel>) -> Vec<&'static Kernel> {
    match kernel {
        Some(kernel) => vec![kernel],
        None => KERNELS.iter().collect(),
    }
}
