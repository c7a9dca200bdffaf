// SPDX-License-Identifier: GPL-2.0
//! A probe's name: provider, module, function, name.

/// Bytes of a provider's name, its NUL included.
pub const PROVIDER_LEN: usize = 64;
/// Bytes of a module's name, its NUL included.
pub const MODULE_LEN: usize = 64;
/// Bytes of a function's name, its NUL included.
pub const FUNCTION_LEN: usize = 128;
/// Bytes of a probe's name, its NUL included.
pub const NAME_LEN: usize = 64;

/// No probe.
pub const ID_NONE: u32 = 0;
/// No enabled probe.
pub const EPID_NONE: u32 = 0;

plain! {
    /// A probe, or which probes: `dtrace_probedesc`. Each name ends with a NUL.
    ///
    /// PROBES answers the first probe whose number is `id` or more; PROBEMATCH the first of those
    /// that also matches the four patterns, of which an empty one matches all.
    pub struct ProbeDescription: 324 {
        /// Its number, from 1.
        0 id: u32,
        /// Its provider.
        4 provider: [u8; 64],
        /// Its module.
        68 module: [u8; 64],
        /// Its function.
        132 function: [u8; 128],
        /// Its name.
        260 name: [u8; 64],
    }
}
