// SPDX-License-Identifier: GPL-2.0
//! What a consumer asks of the kernel: [`Node`] asks it, tests play it.

#[allow(unsafe_code)]
mod node;

pub use node::Node;

use crate::name::ProbeName;
use dtrace_interface::accounting::Accounting;
use dtrace_interface::conf::Configuration;
use dtrace_interface::options::OptionId;
use dtrace_interface::record::RecordDescription;
use dtrace_interface::status::Status;
use std::io;

/// The tracing module, as one consumer sees it. Errors carry the kernel's errno.
pub trait Device {
    /// What the kernel's part can do.
    fn configuration(&self) -> io::Result<Configuration>;

    /// The first probe whose number is at least `from` and that `name` matches; None: no more.
    fn probe(&self, from: u32, name: &ProbeName) -> io::Result<Option<Probe>>;

    /// Loads a program (DOF) and enables what it names. Returns how many enabled probes came of it.
    fn enable(&self, dof: &[u8]) -> io::Result<u32>;

    /// Why the last [`enable`](Self::enable) was refused, in the kernel's words.
    fn refusal(&self) -> io::Result<Option<String>>;

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
    fn aggregation(&self, id: u32) -> io::Result<Aggregation>;

    /// A format string that a record's description names by its number.
    fn format(&self, number: u16) -> io::Result<String>;

    /// The options in force, those that are set.
    fn options(&self) -> io::Result<Vec<(OptionId, u64)>>;

    /// Takes what a CPU has recorded into `room`, which must be as long as the option for that buffer
    /// says, rounded up to 8. None: that CPU has no buffer.
    fn snapshot(&self, buffer: Buffer, cpu: u32, room: &mut [u8]) -> io::Result<Option<Snapshot>>;

    /// Where every firing went, on one CPU or on [`CPU_ALL`](dtrace_interface::CPU_ALL), of one enabled
    /// probe or (0) of all.
    fn accounting(&self, cpu: u32, epid: u32) -> io::Result<Accounting>;
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

/// What a record of an enabled probe looks like, as the kernel says: not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnabledProbe {
    /// Its number, which begins each record.
    pub epid: u32,
    /// The probe's number.
    pub probe: u32,
    /// What the program's clause carries.
    pub user_argument: u64,
    /// A record's bytes.
    pub size: u32,
    /// What is in it.
    pub records: Vec<RecordDescription>,
}

/// What a record of an aggregation looks like, as the kernel says: not yet checked. The last part is
/// the value, those before it the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aggregation {
    /// Its number, which begins each record.
    pub id: u32,
    /// The enabled probe that aggregates.
    pub epid: u32,
    /// A record's bytes.
    pub size: u32,
    /// What is in it.
    pub records: Vec<RecordDescription>,
}
