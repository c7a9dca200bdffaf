// SPDX-License-Identifier: GPL-2.0
//! What a consumer asks of the kernel, in plain types: [`Node`] asks it, tests play it.

mod node;

pub use node::Node;

use crate::name::ProbeName;
use std::io;

/// The tracing module, as one consumer sees it. Errors carry the kernel's errno.
pub trait Device {
    /// What this kernel's part can do.
    fn conf(&self) -> io::Result<Conf>;

    /// The first probe whose number is at least `from` and that `name` matches; None: no more.
    fn probe(&self, from: u32, name: &ProbeName) -> io::Result<Option<Probe>>;

    /// Loads a program (DOF) and enables what it names. Returns how many probes matched.
    fn enable(&self, dof: &[u8]) -> io::Result<u32>;

    /// Starts tracing. Returns the CPU that BEGIN fired on.
    fn go(&self) -> io::Result<u32>;

    /// Ends tracing. Returns the CPU that END fired on.
    fn stop(&self) -> io::Result<u32>;

    /// Drops that no buffer tells of, and whether tracing is to end. Tells the kernel as well that
    /// this consumer lives.
    fn status(&self) -> io::Result<Status>;

    /// What a record of this enabled probe looks like.
    fn enabled(&self, epid: u32) -> io::Result<EnabledProbe>;

    /// What a record of this aggregation looks like.
    fn aggregation(&self, id: u32) -> io::Result<AggregationDescription>;

    /// An option in force. None: unset, or not known to the kernel.
    fn option(&self, number: u32) -> io::Result<Option<u64>>;

    /// Takes what a CPU has recorded into `room`, which is as long as the buffer. None: that CPU has
    /// no buffer.
    fn snapshot(&self, buffer: Buffer, cpu: u32, room: &mut [u8]) -> io::Result<Option<Snapshot>>;

    /// What became of every hit of the hooks, CPU by CPU.
    fn accounting(&self) -> io::Result<Vec<Accounting>>;
}

/// What the kernel's part can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conf {
    /// Of its instruction set.
    pub dif_version: u32,
    /// How many CPUs have buffers: their numbers are below it.
    pub cpus: u32,
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number.
    pub id: u32,
    /// What it is called.
    pub name: ProbeName,
}

/// Which of a CPU's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// Records.
    Principal,
    /// Keys and values.
    Aggregation,
}

/// What came with a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes of it that are filled.
    pub size: u64,
    /// Where the oldest record begins: other than 0 in a ring that has wrapped.
    pub oldest: u64,
    /// Records that found no room since the last snapshot.
    pub drops: u64,
    /// Records given up for an error since the last snapshot.
    pub errors: u32,
}

/// Counts since tracing began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Variables that found no room.
    pub dynamic_drops: u64,
    /// The same, while chunks were being cleaned.
    pub dynamic_drops_rinsing: u64,
    /// The same, while chunks waited to be cleaned.
    pub dynamic_drops_dirty: u64,
    /// Speculations that found no room.
    pub speculative_drops: u64,
    /// The same, for they were being committed.
    pub speculative_drops_busy: u64,
    /// The same, for none was free.
    pub speculative_drops_unavailable: u64,
    /// Errors of actions.
    pub errors: u64,
    /// Errors in actions of ERROR itself.
    pub double_errors: u64,
    /// Stacks whose strings found no room.
    pub stack_string_overflows: u64,
    /// CPUs whose buffer is full, under policy fill.
    pub filled: u64,
    /// The kernel has ended it.
    pub killed: bool,
    /// An action has ended it.
    pub exiting: bool,
}

/// What a record of an enabled probe looks like, as the kernel says: not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnabledProbe {
    /// Its number, which begins each record.
    pub epid: u32,
    /// The probe's number.
    pub probe: u32,
    /// What the program's clause carries.
    pub uarg: u64,
    /// A record's bytes.
    pub size: u32,
    /// What is in it.
    pub parts: Vec<PartDescription>,
}

/// What one action records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartDescription {
    /// The kind of action.
    pub action: u16,
    /// Bytes.
    pub size: u32,
    /// Where they begin, from the record's first byte.
    pub offset: u32,
    /// The action's argument.
    pub arg: u64,
    /// What the program's action carries.
    pub uarg: u64,
}

/// What a record of an aggregation looks like, as the kernel says: not yet checked. The last part is
/// the value, those before it the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AggregationDescription {
    /// Its number, which begins each record.
    pub id: u32,
    /// The enabled probe that aggregates.
    pub epid: u32,
    /// A record's bytes.
    pub size: u32,
    /// What is in it.
    pub parts: Vec<PartDescription>,
}

/// What became of the hits of hooks on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Accounting {
    /// The CPU.
    pub cpu: u32,
    /// Firings that a hook asked for, each enabled probe counted.
    pub hits: u64,
    /// Records written.
    pub records: u64,
    /// No room in the buffer.
    pub drops: u64,
    /// A firing inside a firing.
    pub nested: u64,
    /// By the tracer's own tasks.
    pub filtered: u64,
    /// A predicate said no.
    pub predicate_false: u64,
    /// Not tracing yet, or no more.
    pub inactive: u64,
    /// An action failed.
    pub errors: u64,
}

impl Accounting {
    /// Hits of which nothing is known: 0 if all is well.
    pub fn missing(&self) -> i128 {
        let known = [
            self.records,
            self.drops,
            self.nested,
            self.filtered,
            self.predicate_false,
            self.inactive,
            self.errors,
        ];
        i128::from(self.hits) - known.map(i128::from).iter().sum::<i128>()
    }
}
