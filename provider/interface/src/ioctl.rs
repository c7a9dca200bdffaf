// SPDX-License-Identifier: GPL-2.0
//! Numbers of the ioctls of [`DEVICE`](crate::DEVICE).

use crate::accounting::Accounting;
use crate::argument::ArgumentDescription;
use crate::buffer::BufferDescription;
use crate::conf::Configuration;
use crate::probe::ProbeDescription;
use crate::provider::ProviderDescription;
use crate::record::{
    AggregationDescription, EnabledProbeDescription, FormatDescription, RecordDescription,
};
use crate::refusal::Refusal;
use crate::status::Status;
use crate::{dof, Plain};

const TYPE: u32 = 0xd4;
const WRITE: u32 = 1;
const READ: u32 = 2;

/// As the kernel's `_IOC` (include/uapi/asm-generic/ioctl.h).
const fn number(direction: u32, nr: u32, size: usize) -> u32 {
    assert!(size < 1 << 14);
    (direction << 30) | ((size as u32) << 16) | (TYPE << 8) | nr
}

/// Describes a provider: [`ProviderDescription`]. ESRCH: there is none of this name.
pub const PROVIDER: u32 = number(READ, 1, ProviderDescription::SIZE);
/// The first probe from a number on: [`ProbeDescription`]. ESRCH: there is none any more.
pub const PROBES: u32 = number(READ, 2, ProbeDescription::SIZE);
/// Takes over a CPU's principal buffer: [`BufferDescription`].
pub const BUFSNAP: u32 = number(READ, 4, BufferDescription::SIZE);
/// The first matching probe from a number on: [`ProbeDescription`]. ESRCH: there is none any more.
pub const PROBEMATCH: u32 = number(READ, 5, ProbeDescription::SIZE);
/// Enables a program: the argument is the address of its DOF. Returns how many ECBs came of it.
pub const ENABLE: u32 = number(WRITE, 6, u64::SIZE);
/// Takes over a CPU's aggregation buffer: [`BufferDescription`].
pub const AGGSNAP: u32 = number(READ, 7, BufferDescription::SIZE);
/// Describes an enabled probe: [`EnabledProbeDescription`], then records.
pub const EPROBE: u32 = number(
    WRITE,
    8,
    EnabledProbeDescription::SIZE + RecordDescription::SIZE,
);
/// Describes a probe's argument: [`ArgumentDescription`].
pub const PROBEARG: u32 = number(READ, 9, ArgumentDescription::SIZE);
/// What DIF is taken: [`Configuration`].
pub const CONF: u32 = number(READ, 10, Configuration::SIZE);
/// How it stands: [`Status`].
pub const STATUS: u32 = number(READ, 11, Status::SIZE);
/// Begins tracing; answers the CPU on which BEGIN fired: i32.
pub const GO: u32 = number(WRITE, 12, i32::SIZE);
/// Ends tracing; answers the CPU on which END fired: i32.
pub const STOP: u32 = number(WRITE, 13, i32::SIZE);
/// Describes an aggregation: [`AggregationDescription`], then records.
pub const AGGDESC: u32 = number(
    READ,
    15,
    AggregationDescription::SIZE + RecordDescription::SIZE,
);
/// A format string: [`FormatDescription`].
pub const FORMAT: u32 = number(READ, 16, FormatDescription::SIZE);
/// The options in force, as DOF: a [`dof::Header`] whose `load_size` is the room there is.
pub const DOFGET: u32 = number(READ, 17, dof::Header::SIZE);
/// Not offered: makes probes of others.
pub const REPLICATE: u32 = number(READ, 18, u64::SIZE);

/// The first number of our own ioctls.
pub const OWN: u32 = 64;
/// Our own: where every firing went: [`Accounting`].
pub const ACCOUNTING: u32 = number(READ | WRITE, OWN, Accounting::SIZE);
/// Our own: why the last ENABLE was refused: [`Refusal`].
pub const REFUSAL: u32 = number(READ | WRITE, OWN + 1, Refusal::SIZE);

#[cfg(test)]
mod tests {
    use super::*;

    /// What a `libdtrace` of others was seen to ask for.
    #[test]
    fn numbers_are_those_clients_use() {
        for (ours, theirs) in [
            (PROVIDER, 0x8058_d401_u32),
            (PROBES, 0x8144_d402),
            (BUFSNAP, 0x8028_d404),
            (PROBEMATCH, 0x8144_d405),
            (ENABLE, 0x4008_d406),
            (AGGSNAP, 0x8028_d407),
            (EPROBE, 0x4038_d408),
            (PROBEARG, 0x810c_d409),
            (CONF, 0x8030_d40a),
            (STATUS, 0x8058_d40b),
            (GO, 0x4004_d40c),
            (STOP, 0x4004_d40d),
            (AGGDESC, 0x8048_d40f),
            (FORMAT, 0x8010_d410),
            (DOFGET, 0x8040_d411),
        ] {
            assert_eq!(ours, theirs, "{ours:#x}, not {theirs:#x}");
        }
    }
}
