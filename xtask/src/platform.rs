// SPDX-License-Identifier: GPL-2.0
//! Where a kernel runs.

use crate::kernels::Kernel;
use anyhow::Result;

/// Where a kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// On the emulated machine itself
    Native,
    /// As Xen's dom0, which is a PV guest
    XenPv,
    /// The cloud kernel as a PV guest beside a dom0, as on EC2's PV instances
    XenPvDomu,
    /// As a PVH guest beside a dom0: event channels by callback vector, an emulated APIC
    XenPvh,
}

impl Platform {
    /// All of them.
    pub const ALL: [Platform; 4] = [
        Platform::Native,
        Platform::XenPv,
        Platform::XenPvDomu,
        Platform::XenPvh,
    ];

    /// Those that every kernel is tested on. The others take a second kernel, and long.
    pub const USUAL: [Platform; 2] = [Platform::Native, Platform::XenPv];

    /// As `--platform` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Native => "native",
            Platform::XenPv => "xen-pv",
            Platform::XenPvDomu => "xen-pv-domu",
            Platform::XenPvh => "xen-pvh",
        }
    }

    /// The kernel that runs there when `kernel`'s series is asked for.
    pub fn kernel(self, kernel: &'static Kernel) -> Result<&'static Kernel> {
        match self {
            Platform::XenPvDomu => kernel.cloud(),
            _ => Ok(kernel),
        }
    }

    /// Whether a dom0 starts it.
    pub fn has_dom0(self) -> bool {
        matches!(self, Platform::XenPvDomu | Platform::XenPvh)
    }
}
