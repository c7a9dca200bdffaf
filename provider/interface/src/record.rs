// SPDX-License-Identifier: GPL-2.0
//! What a buffer's bytes mean: descriptions of enabled probes, aggregations and formats.
//!
//! In a principal buffer a firing is a u32 EPID, then its records at the offsets that EPROBE tells
//! for it (counted from the EPID). In an aggregation buffer an entry is a u32 aggregation number,
//! then its key and value at the offsets that AGGDESC tells.

plain! {
    /// A record of a firing: `dtrace_recdesc`.
    pub struct RecordDescription: 32 {
        /// Which action: an [`ActionKind`](crate::action::ActionKind).
        0 action: u16,
        /// 0
        2 pad: u16,
        /// Its bytes.
        4 size: u32,
        /// Where it lies, from the EPID.
        8 offset: u32,
        /// Its alignment in bytes.
        12 alignment: u16,
        /// Number of its format string for FORMAT, or 0.
        14 format: u16,
        /// The action's argument.
        16 argument: u64,
        /// The client's argument.
        24 user_argument: u64,
    }
}

plain! {
    /// An enabled probe: the head of `dtrace_eprobedesc`. For EPROBE, which takes the EPID and the
    /// room for records and answers the rest, then as many [`RecordDescription`]s as fit.
    pub struct EnabledProbeDescription: 24 {
        /// Its number, from 1.
        0 epid: u32,
        /// The probe.
        4 probe: u32,
        /// The client's argument of the clause.
        8 user_argument: u64,
        /// Bytes of a firing, the EPID included.
        16 size: u32,
        /// In: records there is room for. Answer: how many there are.
        20 records: u32,
    }
}

plain! {
    /// An aggregation: the head of `dtrace_aggdesc`. For AGGDESC, which takes the number and the
    /// room for records and answers the rest, then as many [`RecordDescription`]s as fit: those of
    /// the key, then the aggregating action's.
    pub struct AggregationDescription: 40 {
        /// The client's own.
        0 name: u64,
        /// The client's own: which variable.
        8 variable: u64,
        /// The client's own.
        16 flags: u32,
        /// Its number, from 1.
        20 id: u32,
        /// The enabled probe.
        24 epid: u32,
        /// Bytes of an entry, its number included.
        28 size: u32,
        /// In: records there is room for. Answer: how many there are.
        32 records: u32,
        /// 0
        36 pad: u32,
    }
}

plain! {
    /// A format string: `dtrace_fmtdesc`. FORMAT takes the number, address and room and answers the
    /// length, its NUL included, and the string if there is room.
    pub struct FormatDescription: 16 {
        /// Address of the client's memory.
        0 string: u64,
        /// Bytes.
        8 length: u32,
        /// Its number, from 1.
        12 format: u16,
        /// 0
        14 pad: u16,
    }
}

/// Writes a number into its place in a record, in as many bytes as there are: little-endian, the lower
/// ones first, zeros behind the eighth. Any context.
#[inline]
pub fn write_number(value: u64, into: &mut [u8]) {
    let bytes = value.to_le_bytes();
    match into.len() {
        8 => into.copy_from_slice(&bytes),
        4 => into.copy_from_slice(&(value as u32).to_le_bytes()),
        _ => write_other(bytes, into),
    }
}

#[inline(never)]
fn write_other(bytes: [u8; 8], into: &mut [u8]) {
    into.fill(0);
    for (to, from) in into.iter_mut().zip(bytes) {
        *to = from;
    }
}
