// SPDX-License-Identifier: GPL-2.0
//! How large a program may be. What is larger is refused.

/// Bytes of a file, as far as it is loaded.
pub const FILE_SIZE: usize = 1 << 20;
/// Sections.
pub const SECTIONS: u32 = 1 << 14;
/// ECB descriptions.
pub const ECBS: usize = 1 << 12;
/// Actions of all ECB descriptions; shared ones count again for each.
pub const ACTIONS: usize = 1 << 14;
/// Sections of a DIF object.
pub const DIFO_SECTIONS: usize = 16;
/// Bytes of the DIF objects of all ECB descriptions and their actions; shared ones count again.
pub const OBJECTS_SIZE: usize = 1 << 23;
/// Bytes of a format string, its NUL included.
pub const FORMAT: usize = 4096;
