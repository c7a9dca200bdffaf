// SPDX-License-Identifier: GPL-2.0
//! The type of a probe's argument.

/// Bytes of a type's name, its NUL included.
pub const TYPE_LEN: usize = 128;

/// No such argument, in [`ArgumentDescription::index`].
pub const INDEX_NONE: i32 = -1;

plain! {
    /// An argument of a probe: `dtrace_argdesc`. PROBEARG takes the first two fields and answers
    /// the rest, with [`INDEX_NONE`] as the index if there is no such argument.
    pub struct ArgumentDescription: 268 {
        /// The probe.
        0 id: u32,
        /// Which of `args[]`.
        4 index: i32,
        /// Which of the probe's values it is.
        8 mapping: i32,
        /// Its C type, ended by a NUL; empty: none known.
        12 native: [u8; TYPE_LEN],
        /// The D type it is translated to, ended by a NUL; empty: it is not.
        140 translated: [u8; TYPE_LEN],
    }
}
