// SPDX-License-Identifier: GPL-2.0
//! A CPU's buffer, taken over by the consumer.

plain! {
    /// Which buffer, where to, and what came: `dtrace_bufdesc`. For BUFSNAP and AGGSNAP.
    ///
    /// A client passes the size that the last answer gave, which may be 0: the size is an answer
    /// and no limit. The client's memory has the size of the option `bufsize` or `aggsize`.
    pub struct BufferDescription: 40 {
        /// Answer: bytes copied.
        0 size: u64,
        /// Which CPU.
        8 cpu: u32,
        /// Answer: errors on this CPU since the last time.
        12 errors: u32,
        /// Answer: firings dropped as the buffer was full, since the last time.
        16 drops: u64,
        /// Address of the client's memory.
        24 data: u64,
        /// Answer: offset of the oldest record; not 0 in a ring that has wrapped.
        32 oldest: u64,
    }
}
