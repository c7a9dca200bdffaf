// SPDX-License-Identifier: GPL-2.0
//! How a consumer's tracing stands.

plain! {
    /// Answer of STATUS: `dtrace_status`. Counts are totals since the enabling.
    pub struct Status: 88 {
        /// Dynamic variables dropped: no room.
        0 dynamic_drops: u64,
        /// Dynamic variables dropped: all free ones on the rinsing list.
        8 dynamic_rinsing_drops: u64,
        /// Dynamic variables dropped: all free ones on the dirty list.
        16 dynamic_dirty_drops: u64,
        /// Speculative drops.
        24 speculative_drops: u64,
        /// Speculations that found their buffer busy.
        32 speculative_busy_drops: u64,
        /// Speculations that found no buffer.
        40 speculative_unavailable_drops: u64,
        /// Faults of DIF, for which ERROR fired or should have.
        48 errors: u64,
        /// Buffers of the policy "fill" that are full.
        56 filled: u64,
        /// User stacks whose strings did not fit.
        64 stack_string_overflows: u64,
        /// Faults inside ERROR's own clauses.
        72 double_errors: u64,
        /// Not 0: the module ended the tracing.
        80 killed: u8,
        /// Not 0: exit() was called; stop as soon as possible.
        81 exiting: u8,
        /// 0
        82 pad: [u8; 6],
    }
}
