// SPDX-License-Identifier: GPL-2.0
//! Actions: what a firing does.

numbered! {
    /// Kind of an action: `DTRACEACT_*` and `DTRACEAGG_*`. The upper byte is its [`class`].
    ///
    /// [`class`]: ActionKind::class
    pub enum ActionKind: u16 {
        None = 0, "none";
        /// Records the value of its DIF.
        DifExpression = 1, "trace";
        /// Records its DIF's value and ends tracing.
        Exit = 2, "exit";
        /// Records its DIF's value; the first of a group carries the format.
        Printf = 3, "printf";
        /// Prints an aggregation: its argument is the variable.
        Printa = 4, "printa";
        /// The client's own: records what its DIF says.
        Library = 5, "library action";
        /// Records memory: DIF gives it by reference.
        Tracemem = 6, "tracemem";
        Ustack = 0x101, "ustack";
        Jstack = 0x102, "jstack";
        Usym = 0x103, "usym";
        Umod = 0x104, "umod";
        Uaddr = 0x105, "uaddr";
        /// Destructive.
        Stop = 0x201, "stop";
        /// Destructive.
        Raise = 0x202, "raise";
        /// Destructive.
        System = 0x203, "system";
        /// Destructive.
        Freopen = 0x204, "freopen";
        /// Records the kernel stack; its argument is how many frames, 0: the option says.
        Stack = 0x401, "stack";
        Sym = 0x402, "sym";
        Mod = 0x403, "mod";
        /// Destructive.
        Breakpoint = 0x501, "breakpoint";
        /// Destructive.
        Panic = 0x502, "panic";
        /// Destructive.
        Chill = 0x503, "chill";
        Speculate = 0x601, "speculate";
        Commit = 0x602, "commit";
        Discard = 0x603, "discard";
        Count = 0x701, "count";
        Min = 0x702, "min";
        Max = 0x703, "max";
        Avg = 0x704, "avg";
        Sum = 0x705, "sum";
        Stddev = 0x706, "stddev";
        Quantize = 0x707, "quantize";
        /// Its argument: [`aggregation::Linear`](crate::aggregation::Linear).
        Lquantize = 0x708, "lquantize";
        /// Its argument: [`aggregation::LogLinear`](crate::aggregation::LogLinear).
        Llquantize = 0x709, "llquantize";
    }
}

/// What an action may do: the upper byte of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionClass {
    /// May record anything.
    General,
    /// Records data of the process.
    Process,
    /// May harm the process.
    ProcessDestructive,
    /// Records data of the kernel.
    Kernel,
    /// May harm the kernel.
    KernelDestructive,
    /// About speculation.
    Speculative,
    /// Aggregates.
    Aggregation,
}

impl ActionKind {
    /// What it may do.
    pub const fn class(self) -> ActionClass {
        match self.raw() & 0xff00 {
            0x100 => ActionClass::Process,
            0x200 => ActionClass::ProcessDestructive,
            0x400 => ActionClass::Kernel,
            0x500 => ActionClass::KernelDestructive,
            0x600 => ActionClass::Speculative,
            0x700 => ActionClass::Aggregation,
            _ => ActionClass::General,
        }
    }

    /// Whether it aggregates.
    pub const fn is_aggregation(self) -> bool {
        matches!(self.class(), ActionClass::Aggregation)
    }

    /// Whether it may harm a process or the kernel.
    pub const fn is_destructive(self) -> bool {
        matches!(
            self.class(),
            ActionClass::ProcessDestructive | ActionClass::KernelDestructive
        )
    }

    /// Whether it is about speculation.
    pub const fn is_speculative(self) -> bool {
        matches!(self.class(), ActionClass::Speculative)
    }

    /// Whether its argument is a format string.
    pub const fn has_format(self) -> bool {
        matches!(
            self,
            Self::Printf | Self::Printa | Self::System | Self::Freopen
        )
    }
}

/// Argument of [`ActionKind::Ustack`]: frames in the low half, bytes for strings in the high half.
pub const fn ustack_argument(frames: u32, string_bytes: u32) -> u64 {
    ((string_bytes as u64) << 32) | frames as u64
}

/// Frames that a stack action's argument asks for; 0: the option `stackframes` or `ustackframes`.
pub const fn stack_frames(argument: u64) -> u32 {
    argument as u32
}

/// Bytes for strings that the argument of [`ActionKind::Ustack`] asks for.
pub const fn ustack_string_bytes(argument: u64) -> u32 {
    (argument >> 32) as u32
}
