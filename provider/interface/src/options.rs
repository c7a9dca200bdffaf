// SPDX-License-Identifier: GPL-2.0
//! Options of a consumer.

numbered! {
    /// `DTRACEOPT_*`, by the name that `dtrace -x` takes.
    pub enum OptionId: u32 {
        /// Bytes of a half of a CPU's principal buffer.
        BufferSize = 0, "bufsize";
        /// A [`BufferPolicy`].
        BufferPolicy = 1, "bufpolicy";
        /// Bytes for dynamic variables.
        DynamicVariableSize = 2, "dynvarsize";
        /// Bytes of a half of a CPU's aggregation buffer.
        AggregationSize = 3, "aggsize";
        SpeculationSize = 4, "specsize";
        Speculations = 5, "nspec";
        /// Bytes of a string, its NUL included.
        StringSize = 6, "strsize";
        /// Nanoseconds between two cleanings of dynamic variables.
        CleanRate = 7, "cleanrate";
        /// The one CPU to trace, or -1.
        Cpu = 8, "cpu";
        /// A [`BufferResize`].
        BufferResize = 9, "bufresize";
        GrabAnonymous = 10, "grabanon";
        FlowIndent = 11, "flowindent";
        Quiet = 12, "quiet";
        StackFrames = 13, "stackframes";
        UserStackFrames = 14, "ustackframes";
        /// Nanoseconds between two looks at aggregations.
        AggregationRate = 15, "aggrate";
        /// Nanoseconds between two looks at principal buffers.
        SwitchRate = 16, "switchrate";
        /// Nanoseconds between two looks at the status.
        StatusRate = 17, "statusrate";
        Destructive = 18, "destructive";
        StackIndent = 19, "stackindent";
        RawBytes = 20, "rawbytes";
        JstackFrames = 21, "jstackframes";
        JstackStringSize = 22, "jstackstrsize";
        AggregationSortKey = 23, "aggsortkey";
        AggregationSortReverse = 24, "aggsortrev";
        AggregationSortPosition = 25, "aggsortpos";
        AggregationSortKeyPosition = 26, "aggsortkeypos";
        QuietResize = 27, "quietresize";
        NoResolve = 28, "noresolve";
        PcapSize = 29, "pcapsize";
    }
}

/// How many options there are.
pub const COUNT: usize = 30;

const _: () = assert!(OptionId::ALL.len() == COUNT);

/// The value of an option that is not set. -1 and all that is positive may be values.
pub const UNSET: u64 = -2_i64 as u64;

numbered! {
    /// Values of [`OptionId::BufferPolicy`].
    pub enum BufferPolicy: u64 {
        /// The newest overwrite the oldest.
        Ring = 0, "ring";
        /// Until it is full.
        Fill = 1, "fill";
        /// Two halves, taken over in turn.
        Switch = 2, "switch";
    }
}

numbered! {
    /// Values of [`OptionId::BufferResize`].
    pub enum BufferResize: u64 {
        /// Smaller buffers are tried if there is no memory.
        Auto = 0, "auto";
        /// Refused if there is no memory.
        Manual = 1, "manual";
    }
}
