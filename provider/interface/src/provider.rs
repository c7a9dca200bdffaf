// SPDX-License-Identifier: GPL-2.0
//! A provider, and how stable what it offers is.

use crate::probe::PROVIDER_LEN;

numbered! {
    /// How far a name or its data may be relied on: `DTRACE_STABILITY_*`.
    pub enum Stability: u8 {
        Internal = 0, "Internal";
        Private = 1, "Private";
        Obsolete = 2, "Obsolete";
        External = 3, "External";
        Unstable = 4, "Unstable";
        Evolving = 5, "Evolving";
        Stable = 6, "Stable";
        Standard = 7, "Standard";
    }
}

numbered! {
    /// On which machines it is the same: `DTRACE_CLASS_*`.
    pub enum Class: u8 {
        Unknown = 0, "Unknown";
        Cpu = 1, "CPU";
        Platform = 2, "Platform";
        Group = 3, "Group";
        Isa = 4, "ISA";
        Common = 5, "Common";
    }
}

/// Privilege flag: needs none.
pub const PRIVILEGE_NONE: u32 = 0;
/// Privilege flag: sees the kernel.
pub const PRIVILEGE_KERNEL: u32 = 1;
/// Privilege flag: sees other users' processes.
pub const PRIVILEGE_USER: u32 = 2;
/// Privilege flag: sees the user's own processes.
pub const PRIVILEGE_PROCESS: u32 = 4;
/// Privilege flag: for one owner only.
pub const PRIVILEGE_OWNER: u32 = 8;

plain! {
    /// Stability of one part: `dtrace_attribute`.
    pub struct Attribute: 3 {
        /// Of the name: a [`Stability`].
        0 name: u8,
        /// Of the data: a [`Stability`].
        1 data: u8,
        /// A [`Class`].
        2 class: u8,
    }
}

plain! {
    /// Stability of all parts of a provider's probes: `dtrace_pattr`.
    pub struct Attributes: 15 {
        /// Of the provider.
        0 provider: Attribute,
        /// Of modules.
        3 module: Attribute,
        /// Of functions.
        6 function: Attribute,
        /// Of names.
        9 name: Attribute,
        /// Of arguments.
        12 arguments: Attribute,
    }
}

plain! {
    /// A provider: `dtrace_providerdesc`. PROVIDER takes the name and answers the rest.
    pub struct ProviderDescription: 88 {
        /// Its name, ended by a NUL.
        0 name: [u8; PROVIDER_LEN],
        /// Its stability.
        64 attributes: Attributes,
        /// 0
        79 pad: u8,
        /// What privilege its probes need.
        80 privilege_flags: u32,
        /// Whose, with [`PRIVILEGE_OWNER`].
        84 privilege_uid: u32,
    }
}
