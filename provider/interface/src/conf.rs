// SPDX-License-Identifier: GPL-2.0
//! What DIF the module takes.

/// `data_model`: 64-bit pointers.
pub const MODEL_LP64: u32 = 2;

plain! {
    /// Answer of CONF: `dtrace_conf`.
    pub struct Configuration: 48 {
        /// [`dif::VERSION`](crate::dif::VERSION).
        0 dif_version: u32,
        /// Integer registers.
        4 integer_registers: u32,
        /// Tuple registers.
        8 tuple_registers: u32,
        /// [`MODEL_LP64`].
        12 data_model: u32,
        /// CPUs that may have a buffer: numbers from 0 to one less.
        16 buffers: u32,
        /// 0
        20 pad: [u32; 7],
    }
}
