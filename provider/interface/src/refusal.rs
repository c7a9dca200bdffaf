// SPDX-License-Identifier: GPL-2.0
//! Our own: why the last ENABLE of this open file was refused.

plain! {
    /// For [`ioctl::REFUSAL`](crate::ioctl::REFUSAL).
    pub struct Refusal: 256 {
        /// In: bytes of this structure. Another size is refused with EINVAL.
        0 size: u32,
        /// Answer: bytes of the text; 0: nothing was refused.
        4 length: u32,
        /// Answer: one line of UTF-8, cut where it is too long.
        8 text: [u8; 248],
    }
}
