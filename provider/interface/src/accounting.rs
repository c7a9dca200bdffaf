// SPDX-License-Identifier: GPL-2.0
//! Our own: where every firing went, on each CPU.

plain! {
    /// For [`ioctl::ACCOUNTING`](crate::ioctl::ACCOUNTING): totals since the enabling.
    ///
    /// Every firing of an ECB counts as one of `records`, `drops`, `predicate_false`,
    /// `self_filtered`, `inactive` and `errors`, so `hits` is their sum: taken while probes fire it
    /// may be ahead by the firings under way, at most one for each level of nesting on each CPU.
    pub struct Accounting: 120 {
        /// In: bytes of this structure. Another size is refused with EINVAL.
        0 size: u32,
        /// In: which CPU, or [`CPU_ALL`](crate::CPU_ALL).
        4 cpu: u32,
        /// In: which ECB of this open file, or [`EPID_NONE`](crate::probe::EPID_NONE): all.
        8 epid: u32,
        /// 0
        12 pad: u32,
        /// Firings of ECBs.
        16 hits: u64,
        /// Of these: written to the buffer, or nothing was to be written and all actions ran.
        24 records: u64,
        /// Of these: the buffer was full.
        32 drops: u64,
        /// Of these: the predicate did not hold.
        40 predicate_false: u64,
        /// Of these: the tracer's own.
        48 self_filtered: u64,
        /// Of these: not tracing, or not any more.
        56 inactive: u64,
        /// Of these: DIF faulted.
        64 errors: u64,
        /// Firings of probes refused before their ECBs were looked at, as this CPU was inside a
        /// probe already. Per CPU, whoever traces; it does not belong to one ECB.
        72 nested: u64,
        /// Entries that found their aggregation buffer full.
        80 aggregation_drops: u64,
        /// Dynamic variables of the consumer dropped: no room.
        88 dynamic_drops: u64,
        /// Dynamic variables dropped: all free ones on the rinsing list.
        96 dynamic_rinsing_drops: u64,
        /// Dynamic variables dropped: all free ones on the dirty list.
        104 dynamic_dirty_drops: u64,
        /// Times the consumer took over a buffer's half.
        112 switches: u64,
    }
}
