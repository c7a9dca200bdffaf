// SPDX-License-Identifier: GPL-2.0
//! Which doorbells a lane uses: the default, and what operators force or forbid by name.

use crate::call::Lane;
use core::fmt;

/// A doorbell that a platform knows, whether this machine has it or not.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its name, as operators write it.
    pub name: &'static str,
    /// Whether its handler runs calls of `Lane::Ordinary`; all run those of `Lane::NmiSafe`.
    pub drains_ordinary: bool,
    /// Used by default only where a lane has no other.
    pub fallback: bool,
    /// Whether this machine has it.
    pub offered: bool,
}

/// A set of candidates: a bit for each, by its place in the list.
pub type Chosen = u32;

/// Why a list of names cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError<'a> {
    /// No doorbell has this name.
    Unknown(&'a str),
    /// This machine does not have that doorbell.
    NotOffered(&'a str),
}

impl fmt::Display for NameError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Unknown(name) => write!(f, "there is no doorbell {name}"),
            NameError::NotOffered(name) => write!(f, "this machine has no doorbell {name}"),
        }
    }
}

impl core::error::Error for NameError<'_> {}

/// The doorbells that `names` lists, separated by commas; offered or not.
///
/// # Errors
///
/// [`NameError::Unknown`].
pub fn parse<'a>(names: &'a str, candidates: &[Candidate]) -> Result<Chosen, NameError<'a>> {
    let mut chosen = 0;
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let place = candidates.iter().position(|c| c.name == name);
        chosen |= 1 << place.ok_or(NameError::Unknown(name))?;
    }
    Ok(chosen)
}

/// As [`parse`], and each of them offered.
///
/// # Errors
///
/// [`NameError`].
pub fn parse_offered<'a>(
    names: &'a str,
    candidates: &[Candidate],
) -> Result<Chosen, NameError<'a>> {
    let chosen = parse(names, candidates)?;
    for name in names.split(',').map(str::trim) {
        if candidates.iter().any(|c| c.name == name && !c.offered) {
            return Err(NameError::NotOffered(name));
        }
    }
    Ok(chosen)
}

/// What `lane` uses: those `forced` that are offered and serve it; where there are none, all that
/// are offered and serve it, fallbacks only if there is nothing else.
#[must_use]
pub fn choose(lane: Lane, candidates: &[Candidate], forced: Chosen) -> Chosen {
    let set_of = |wanted: &dyn Fn(usize, &Candidate) -> bool| {
        let serves = |c: &Candidate| c.offered && (lane == Lane::NmiSafe || c.drains_ordinary);
        candidates
            .iter()
            .enumerate()
            .filter(|(place, c)| serves(c) && wanted(*place, c))
            .fold(0, |set, (place, _)| set | (1 << place))
    };
    let forced = set_of(&|place, _| forced & (1 << place) != 0);
    let usual = set_of(&|_, c| !c.fallback);
    let any = set_of(&|_, _| true);
    [forced, usual, any]
        .into_iter()
        .find(|set| *set != 0)
        .unwrap_or(0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const IPI: Chosen = 1;
    const EVENT_CHANNEL: Chosen = 2;
    const NMI: Chosen = 4;

    fn machine(offered: Chosen) -> [Candidate; 3] {
        let candidate = |place: u32, name, drains_ordinary, fallback| Candidate {
            name,
            drains_ordinary,
            fallback,
            offered: offered & (1 << place) != 0,
        };
        [
            candidate(0, "ipi", true, true),
            candidate(1, "event-channel", true, false),
            candidate(2, "nmi", false, false),
        ]
    }

    #[test]
    fn bare_metal_rings_nmi_and_for_ordinary_calls_ipi() {
        let m = machine(IPI | NMI);
        assert_eq!(choose(Lane::NmiSafe, &m, 0), NMI);
        assert_eq!(choose(Lane::Ordinary, &m, 0), IPI);
    }

    #[test]
    fn xen_climbs_from_event_channel_to_nmi() {
        let m = machine(IPI | EVENT_CHANNEL | NMI);
        assert_eq!(choose(Lane::NmiSafe, &m, 0), EVENT_CHANNEL | NMI);
        assert_eq!(choose(Lane::Ordinary, &m, 0), EVENT_CHANNEL);
    }

    #[test]
    fn a_machine_with_nothing_else_falls_back() {
        let m = machine(IPI);
        assert_eq!(choose(Lane::NmiSafe, &m, 0), IPI);
        assert_eq!(choose(Lane::Ordinary, &m, 0), IPI);
        assert_eq!(choose(Lane::NmiSafe, &machine(0), 0), 0);
    }

    #[test]
    fn forcing_holds_where_it_can() {
        let m = machine(IPI | EVENT_CHANNEL | NMI);
        assert_eq!(choose(Lane::NmiSafe, &m, IPI), IPI);
        assert_eq!(choose(Lane::NmiSafe, &m, NMI), NMI);
        // No NMI runs ordinary calls: their lane keeps its own.
        assert_eq!(choose(Lane::Ordinary, &m, NMI), EVENT_CHANNEL);
        assert_eq!(choose(Lane::NmiSafe, &machine(IPI), NMI), IPI);
    }

    #[test]
    fn names() {
        let m = machine(IPI | NMI);
        assert_eq!(parse("", &m), Ok(0));
        assert_eq!(parse("nmi, ipi,", &m), Ok(NMI | IPI));
        assert_eq!(parse("nmi,bell", &m), Err(NameError::Unknown("bell")));
        assert_eq!(parse("event-channel", &m), Ok(EVENT_CHANNEL));
        assert_eq!(
            parse_offered("event-channel", &m),
            Err(NameError::NotOffered("event-channel"))
        );
        assert_eq!(parse_offered("nmi", &m), Ok(NMI));
    }
}
