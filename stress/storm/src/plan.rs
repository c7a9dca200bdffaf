// SPDX-License-Identifier: GPL-2.0
//! A request, checked: nothing in it is taken on trust.

use core::fmt;
use xcall_stress_protocol::{
    Faults, Pattern, Request, ALL_FLAGS, CALLERS_IRQS_OFF, CPU_WORDS, DETACH, MAX_PARTICIPANTS,
    NO_CPU, NO_SELF_DRAIN, TARGETS_IRQS_OFF,
};

/// The shortest and the longest time limit of a call.
const DEADLINE_MS: core::ops::RangeInclusive<u32> = 1..=60_000;
/// The longest storm: a week.
const LONGEST_MS: u64 = 7 * 24 * 3600 * 1000;

/// What a plan is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The CPUs that are online.
    pub online: &'a [u64],
    /// A doorbell that is allowed serves ordinary calls.
    pub ordinary: bool,
    /// A doorbell that is allowed can be rung from an NMI and serves NMI-safe calls.
    pub from_nmi: bool,
}

/// Why a request cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The structure is not of this build's size.
    Size,
    /// No such pattern.
    Pattern,
    /// Flags nobody knows, or that contradict each other or the pattern.
    Flags,
    /// The time limit of calls is 0 or too long.
    Deadline,
    /// Neither a time nor a number of calls, or too long a time.
    Duration,
    /// Percentages above 100 in all.
    Faults,
    /// Fewer than two CPUs, or more than a storm takes.
    Cpus,
    /// A CPU that is not online.
    Offline,
    /// The masked CPU does not take part, or too few others do.
    MaskTarget,
    /// No doorbell allowed can be rung from an NMI.
    NotFromNmi,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Size => "tool and module are of different builds",
            Refusal::Pattern => "no such pattern",
            Refusal::Flags => "options that do not go together",
            Refusal::Deadline => "a deadline is 1 to 60000 ms",
            Refusal::Duration => "a storm needs an end: seconds (a week at most) or calls",
            Refusal::Faults => "drop, delay and duplicate are 100 % together at most",
            Refusal::Cpus => "a storm takes 2 to 256 CPUs",
            Refusal::Offline => "a CPU named is not online",
            Refusal::MaskTarget => "the masked CPU must take part, and one other",
            Refusal::NotFromNmi => "no doorbell allowed can be rung from an NMI",
        })
    }
}

/// What storm to make, checked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(crate) pattern: Pattern,
    pub(crate) callers_irqs_off: bool,
    pub(crate) targets_irqs_off: bool,
    pub(crate) no_self_drain: bool,
    pub(crate) detach: bool,
    pub(crate) mask_target: Option<u32>,
    pub(crate) deadline_ns: u64,
    pub(crate) faults: Faults,
    pub(crate) duration_ns: u64,
    pub(crate) calls: u64,
    pub(crate) seed: u64,
    pub(crate) cpus: [u64; CPU_WORDS],
    pub(crate) count: usize,
    /// All that are online take part.
    pub(crate) everybody: bool,
    pub(crate) ordinary: bool,
    pub(crate) from_nmi: bool,
}

impl Plan {
    /// Checks every field of `request`.
    ///
    /// # Errors
    ///
    /// The first [`Refusal`].
    pub fn check(request: &Request, around: &Surroundings<'_>) -> Result<Self, Refusal> {
        if request.size as usize != size_of::<Request>() {
            return Err(Refusal::Size);
        }
        let pattern = Pattern::from_number(request.pattern).ok_or(Refusal::Pattern)?;
        let flag = |flag| request.flags & flag != 0;
        // The contrast posts and spins with interrupts off: it has one pattern of its own.
        let contrast_fits =
            pattern == Pattern::AllToAll && flag(CALLERS_IRQS_OFF) && request.mask_target == NO_CPU;
        if request.flags & !ALL_FLAGS != 0 || (flag(NO_SELF_DRAIN) && !contrast_fits) {
            return Err(Refusal::Flags);
        }
        if !DEADLINE_MS.contains(&request.deadline_ms) {
            return Err(Refusal::Deadline);
        }
        let endless = request.duration_ms == 0 && request.calls == 0;
        if endless || request.duration_ms > LONGEST_MS {
            return Err(Refusal::Duration);
        }
        let Faults {
            drop,
            delay,
            duplicate,
        } = request.faults;
        if [drop, delay, duplicate].iter().any(|p| *p > 100) || drop + delay + duplicate > 100 {
            return Err(Refusal::Faults);
        }
        let (cpus, everybody) = participants(request, around)?;
        let count = cpus.iter().map(|w| w.count_ones() as usize).sum();
        if !(2..=MAX_PARTICIPANTS).contains(&count) {
            return Err(Refusal::Cpus);
        }
        let mask_target = Some(request.mask_target).filter(|cpu| *cpu != NO_CPU);
        if mask_target.is_some_and(|cpu| !contains(&cpus, cpu)) {
            return Err(Refusal::MaskTarget);
        }
        if pattern == Pattern::FromNmi && !around.from_nmi {
            return Err(Refusal::NotFromNmi);
        }
        Ok(Self {
            pattern,
            callers_irqs_off: flag(CALLERS_IRQS_OFF),
            targets_irqs_off: flag(TARGETS_IRQS_OFF),
            no_self_drain: flag(NO_SELF_DRAIN),
            detach: flag(DETACH),
            mask_target,
            deadline_ns: u64::from(request.deadline_ms) * 1_000_000,
            faults: request.faults,
            duration_ns: request.duration_ms * 1_000_000,
            calls: request.calls,
            seed: request.seed,
            cpus,
            count,
            everybody,
            ordinary: around.ordinary,
            from_nmi: around.from_nmi,
        })
    }

    /// How many CPUs take part.
    pub fn participants(&self) -> usize {
        self.count
    }

    /// The CPUs that take part, ascending: a storm's workers by number.
    pub fn cpus(&self) -> impl Iterator<Item = u32> + '_ {
        members(&self.cpus)
    }

    /// What goes wrong with rings.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Where its random numbers begin.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether it goes on when the device file is closed.
    pub fn detached(&self) -> bool {
        self.detach
    }

    /// Whether a CPU masks everything for a while.
    pub fn masking(&self) -> bool {
        self.mask_target.is_some()
    }

    /// The pattern.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }
}

/// The CPUs asked for, or all that are online; and whether that is the same.
fn participants(
    request: &Request,
    around: &Surroundings<'_>,
) -> Result<([u64; CPU_WORDS], bool), Refusal> {
    let mut online = [0; CPU_WORDS];
    for (word, bits) in online.iter_mut().zip(around.online) {
        *word = *bits;
    }
    if request.cpus.iter().all(|w| *w == 0) {
        return Ok((online, true));
    }
    if request
        .cpus
        .iter()
        .zip(&online)
        .any(|(asked, on)| asked & !on != 0)
    {
        return Err(Refusal::Offline);
    }
    Ok((request.cpus, request.cpus == online))
}

pub(crate) fn contains(words: &[u64], cpu: u32) -> bool {
    words
        .get(cpu as usize / 64)
        .is_some_and(|w| (w >> (cpu % 64)) & 1 != 0)
}

/// The members of a set of CPUs, ascending.
pub(crate) fn members(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (0..words.len() as u32 * 64).filter(|cpu| contains(words, *cpu))
}
