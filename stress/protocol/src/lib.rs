// SPDX-License-Identifier: GPL-2.0
//! What the stress tool and its kernel module say to each other, over ioctls of [`DEVICE`].
//!
//! Every structure begins with its size in bytes, which its sender fills in and its receiver
//! checks: a tool and a module of different builds refuse each other instead of guessing. There is
//! no padding anywhere.
#![no_std]
#![forbid(unsafe_code)]

/// The module's device node.
pub const DEVICE: &str = "/dev/xcall-stress";

/// The CPUs that can be named: 0 to one less.
pub const MAX_CPUS: usize = 4096;
/// Words of a set of CPUs: bit `n % 64` of word `n / 64` is CPU `n`.
pub const CPU_WORDS: usize = MAX_CPUS / 64;
/// The CPUs that take part in one storm.
pub const MAX_PARTICIPANTS: usize = 256;
/// Bytes of a doorbell's name, ended by a NUL.
pub const NAME: usize = 16;
/// Bytes of a list of doorbells, separated by commas, ended by a NUL.
pub const NAMES: usize = 64;
/// Bytes of a function's name, ended by a NUL.
pub const FUNCTION: usize = 64;
/// How many doorbells a [`Doorbells`] has room for.
pub const MAX_DOORBELLS: usize = 8;

/// Buckets of a [`Latency`].
pub const LATENCY_BUCKETS: usize = 40;
/// How many targets a [`Row`] has room for.
pub const PAIRS: usize = 32;

/// The longest that a CPU is held: well under what the kernel takes for a lock-up.
pub const LONGEST_HOLD_MS: u32 = 5000;

/// No CPU.
pub const NO_CPU: u32 = u32::MAX;

/// Numbers of the ioctls.
pub mod ioctl {
    use super::{Doorbells, Hold, Latency, OneCall, Progress, Request, Row, Totals};

    const TYPE: u32 = 0xd6;
    const WRITE: u32 = 1;
    const READ: u32 = 2;

    /// As the kernel's `_IOC` (include/uapi/asm-generic/ioctl.h).
    const fn number(direction: u32, nr: u32, size: usize) -> u32 {
        assert!(size < 1 << 14);
        (direction << 30) | ((size as u32) << 16) | (TYPE << 8) | nr
    }

    /// Lists the doorbells: [`Doorbells`].
    pub const DOORBELLS: u32 = number(READ | WRITE, 1, size_of::<Doorbells>());
    /// Starts a storm: [`Request`].
    pub const START: u32 = number(WRITE, 2, size_of::<Request>());
    /// Stops the storm. Returns at once; it goes on until calls under way have ended.
    pub const STOP: u32 = number(0, 3, 0);
    /// How far it is: [`Progress`].
    pub const PROGRESS: u32 = number(READ | WRITE, 4, size_of::<Progress>());
    /// What came of it, once it is over: [`Totals`].
    pub const RESULT: u32 = number(READ | WRITE, 5, size_of::<Totals>());
    /// Before [`RESULT`], once it is over: who called whom, and how long it took: [`Row`].
    pub const ROW: u32 = number(READ | WRITE, 6, size_of::<Row>());
    /// Before [`RESULT`], once it is over: how long calls took, by doorbell: [`Latency`].
    pub const LATENCY: u32 = number(READ | WRITE, 7, size_of::<Latency>());
    /// Makes one call, beside the storm if there is one: [`OneCall`].
    pub const ONE_CALL: u32 = number(READ | WRITE, 8, size_of::<OneCall>());
    /// Spins on the caller's CPU with interrupts off until [`RELEASE`], or for so long: [`Hold`].
    pub const HOLD: u32 = number(READ | WRITE, 9, size_of::<Hold>());
    /// Which CPU is held: [`Hold`].
    pub const HELD: u32 = number(READ | WRITE, 10, size_of::<Hold>());
    /// Lets the CPU go that is held: [`Hold`].
    pub const RELEASE: u32 = number(READ | WRITE, 11, size_of::<Hold>());
}

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Pattern {
    /// Each calls each other in turn.
    AllToAll = 0,
    /// Each calls all others at once.
    Broadcast = 1,
    /// Two by two call each other.
    Pairs = 2,
    /// All call one.
    Hotspot = 3,
    /// Called functions call on.
    Nested = 4,
    /// All call from inside NMIs.
    FromNmi = 5,
    /// Calls nobody waits for.
    Posted = 6,
    /// All of these in turn.
    Mixed = 7,
}

impl Pattern {
    /// All patterns, by number.
    pub const ALL: [Pattern; 8] = [
        Pattern::AllToAll,
        Pattern::Broadcast,
        Pattern::Pairs,
        Pattern::Hotspot,
        Pattern::Nested,
        Pattern::FromNmi,
        Pattern::Posted,
        Pattern::Mixed,
    ];

    /// The pattern of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }

    /// Its name, as operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Pattern::AllToAll => "all-to-all",
            Pattern::Broadcast => "broadcast",
            Pattern::Pairs => "pairs",
            Pattern::Hotspot => "hotspot",
            Pattern::Nested => "nested",
            Pattern::FromNmi => "from-nmi",
            Pattern::Posted => "posted",
            Pattern::Mixed => "mixed",
        }
    }
}

/// Callers have interrupts off.
pub const CALLERS_IRQS_OFF: u32 = 0x01;
/// Targets have interrupts off part of the time.
pub const TARGETS_IRQS_OFF: u32 = 0x02;
/// A contrast that must fail: waiters do not answer their own mailbox.
pub const NO_SELF_DRAIN: u32 = 0x04;
/// The storm goes on when the device file is closed, until its end or until the module goes.
pub const DETACH: u32 = 0x08;
/// All flags there are.
pub const ALL_FLAGS: u32 = 0x0f;

/// How often what goes wrong with a ring, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Faults {
    /// Never comes.
    pub drop: u32,
    /// Comes late.
    pub delay: u32,
    /// Comes twice.
    pub duplicate: u32,
}

impl Faults {
    /// Whether anything goes wrong.
    pub fn any(&self) -> bool {
        self.drop + self.delay + self.duplicate != 0
    }
}

/// What storm to make.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Request {
    /// Bytes of this structure.
    pub size: u32,
    /// A [`Pattern`].
    pub pattern: u32,
    /// `CALLERS_IRQS_OFF` and so on.
    pub flags: u32,
    /// A CPU that masks everything for a while, or [`NO_CPU`].
    pub mask_target: u32,
    /// Time limit of every waiting call.
    pub deadline_ms: u32,
    /// What goes wrong with rings.
    pub faults: Faults,
    /// How long it goes on; 0: no limit in time.
    pub duration_ms: u64,
    /// How many calls it makes, each target counted; 0: no limit.
    pub calls: u64,
    /// Where its random numbers begin.
    pub seed: u64,
    /// The doorbells allowed; empty: those chosen at load.
    pub doorbells: [u8; NAMES],
    /// Who takes part; empty: all that are online.
    pub cpus: [u64; CPU_WORDS],
}

/// A doorbell of the machine.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Doorbell {
    /// Its name.
    pub name: [u8; NAME],
    /// As in `xcall.h`.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// The doorbells of the machine, weakest first.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Doorbells {
    /// Bytes of this structure.
    pub size: u32,
    /// How many of `each` are filled.
    pub count: u32,
    /// The doorbells.
    pub each: [Doorbell; MAX_DOORBELLS],
}

/// How far a storm is.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Progress {
    /// Bytes of this structure.
    pub size: u32,
    /// 1 until the last of its threads has ended.
    pub running: u32,
    /// Calls made so far, each target counted.
    pub calls: u64,
    /// How long it has been going on.
    pub elapsed_ms: u64,
}

/// One call, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct OneCall {
    /// Bytes of this structure.
    pub size: u32,
    /// The target.
    pub cpu: u32,
    /// 0, or what xcall returned.
    pub errno: i32,
    /// How often it ran.
    pub ran: u32,
}

/// A CPU that spins with interrupts off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hold {
    /// Bytes of this structure.
    pub size: u32,
    /// The CPU that is held, or was.
    pub cpu: u32,
    /// Asked by [`ioctl::HOLD`]: for at most so long, [`LONGEST_HOLD_MS`] at most.
    pub limit_ms: u32,
    /// 1: it is held; of [`ioctl::RELEASE`]: it was until now; of [`ioctl::HOLD`]: it was let go within
    /// the time.
    pub held: u32,
    /// How long it was held.
    pub held_ns: u64,
}

/// The first timeout of a storm.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FirstTimeout {
    /// The first CPU that did not start.
    pub cpu: u32,
    /// How many did not.
    pub silent: u32,
    /// Who called.
    pub caller: u32,
    /// 0.
    pub reserved: u32,
    /// How long the caller waited.
    pub age_ns: u64,
    /// The doorbell last rung.
    pub last_doorbell: [u8; NAME],
    /// The function that was called.
    pub function: [u8; FUNCTION],
}

/// What came of a storm, by both sides' counters. Calls count each target.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Totals {
    /// Bytes of this structure.
    pub size: u32,
    /// CPUs that took part.
    pub cpus: u32,
    /// How long it went on.
    pub elapsed_ns: u64,
    /// Calls made, and posted: those that ran or were withdrawn.
    pub calls: u64,
    /// Calls that should have run and did not.
    pub lost: u64,
    /// Runs without a call: a second run, or one of a call that was withdrawn.
    pub duplicated: u64,
    /// Timeouts that no mask and no fault explains.
    pub wrong_timeouts: u64,
    /// Targets that did not start in time.
    pub timeouts: u64,
    /// Calls refused because all slots were taken.
    pub busy: u64,
    /// Calls refused because their target was offline.
    pub offline: u64,
    /// Calls refused for another reason: the storm asked for what cannot be.
    pub refused: u64,
    /// Calls made inside NMIs.
    pub from_nmi: u64,
    /// Times the masked CPU was named, as it should be.
    pub masked: u64,
    /// The engine: calls made, less those run and withdrawn. 0 unless others call too.
    pub unbalanced: u64,
    /// The engine: doorbells rung.
    pub rings: u64,
    /// The engine: rings saved.
    pub rings_saved: u64,
    /// The engine: second and later rings for the same call.
    pub rerings: u64,
    /// The engine: steps up the doorbell ladder.
    pub escalations: u64,
    /// The engine: deepest nesting of waiting calls since it began.
    pub deepest: u64,
    /// Rings dropped, delayed and duplicated on purpose.
    pub faults: u64,
    /// Half of the waiting calls took no longer.
    pub p50_ns: u64,
    /// 99 in 100 took no longer.
    pub p99_ns: u64,
    /// None took longer.
    pub max_ns: u64,
    /// If `timeouts` is not 0.
    pub first_timeout: FirstTimeout,
    /// The doorbells that were allowed.
    pub doorbells: [u8; NAMES],
}

impl Totals {
    /// Why the storm failed: the first reason found, or None.
    pub fn failure(&self, pattern: Pattern, masking: bool) -> Option<&'static str> {
        [
            (self.lost != 0, "calls were lost"),
            (self.duplicated != 0, "calls ran more often than once"),
            (self.wrong_timeouts != 0, "calls timed out without a cause"),
            (self.refused != 0, "calls were refused"),
            (self.unbalanced != 0, "the engine's counters do not add up"),
            (self.calls == 0, "no call was made"),
            (
                pattern == Pattern::FromNmi && self.from_nmi == 0,
                "no call was made inside an NMI",
            ),
            (
                masking && self.masked == 0,
                "no timeout named the masked CPU",
            ),
        ]
        .into_iter()
        .find_map(|(failed, reason)| failed.then_some(reason))
    }
}

/// Calls of one participant to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pair {
    /// That ran or will run there, waited for, posted or part of a call to many.
    pub calls: u64,
    /// Of these, those that were waited for alone: the times below are theirs.
    pub waited: u64,
    /// How long they took together, in nanoseconds.
    pub sum_ns: u64,
    /// How long the longest took, in nanoseconds.
    pub longest_ns: u64,
}

/// Calls of one participant to some others, by number of participant.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Row {
    /// Bytes of this structure.
    pub size: u32,
    /// Asked: the number of the caller.
    pub caller: u32,
    /// Asked: the number of the first target.
    pub first: u32,
    /// How many of `pairs` are filled.
    pub count: u32,
    /// How many take part.
    pub participants: u32,
    /// The CPU of the caller.
    pub cpu: u32,
    /// The CPUs of the targets.
    pub cpus: [u32; PAIRS],
    /// The calls to them.
    pub pairs: [Pair; PAIRS],
}

/// How long the waiting calls of a storm took that rang one doorbell last, by the engine.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Latency {
    /// Bytes of this structure.
    pub size: u32,
    /// Asked: the number of the doorbell, weakest 0. ENOENT past the last.
    pub number: u32,
    /// Its name.
    pub name: [u8; NAME],
    /// Bucket `n` counts calls of `2^n` to `2^(n+1) - 1` ns, the last one also longer ones.
    pub buckets: [u64; LATENCY_BUCKETS],
}

/// The text of a field that ends with a NUL. Empty if it is not ASCII.
pub fn text(field: &[u8]) -> &str {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let text = &field[..end];
    match core::str::from_utf8(text) {
        Ok(text) if text.is_ascii() => text,
        _ => "",
    }
}

/// Puts `text` into a field, cut short if need be, and a NUL behind it.
pub fn put_text(field: &mut [u8], text: &str) {
    field.fill(0);
    let room = field.len().saturating_sub(1);
    let n = text.len().min(room);
    field[..n].copy_from_slice(&text.as_bytes()[..n]);
}

// No padding: each structure is as large as its fields.
const _: () = {
    assert!(size_of::<Faults>() == 12);
    assert!(size_of::<Request>() == 32 + 24 + NAMES + 8 * CPU_WORDS);
    assert!(size_of::<Doorbell>() == NAME + 8);
    assert!(size_of::<Doorbells>() == 8 + MAX_DOORBELLS * (NAME + 8));
    assert!(size_of::<Progress>() == 24);
    assert!(size_of::<OneCall>() == 16);
    assert!(size_of::<Hold>() == 24);
    assert!(size_of::<FirstTimeout>() == 24 + NAME + FUNCTION);
    assert!(size_of::<Pair>() == 32);
    assert!(size_of::<Row>() == 24 + PAIRS * (4 + 32));
    assert!(size_of::<Latency>() == 8 + NAME + LATENCY_BUCKETS * 8);
    assert!(size_of::<Totals>() == 8 + 21 * 8 + 24 + NAME + FUNCTION + NAMES);
};
