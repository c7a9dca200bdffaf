// SPDX-License-Identifier: GPL-2.0
//! DTrace's profile provider: what a name of its probes means.
//!
//! `profile-N` fires N times a second on every CPU, `tick-N` on one. A unit behind N makes it a time
//! between two firings instead: `tick-10ms`, `profile-1s`; `hz` is the unit that may be left out.
//! Any context, no allocation.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

const SECOND_NS: u64 = 1_000_000_000;

/// The shortest time between two firings: 5000 a second, DTrace's own limit.
pub const SHORTEST_NS: u64 = SECOND_NS / 5000;

/// The probes that are there without having been asked for.
pub const USUAL: [&str; 17] = [
    "profile-97",
    "profile-199",
    "profile-499",
    "profile-997",
    "profile-1999",
    "profile-4001",
    "profile-4999",
    "tick-1",
    "tick-10",
    "tick-100",
    "tick-500",
    "tick-1000",
    "tick-5000",
    "tick-10ms",
    "tick-100ms",
    "tick-1s",
    "tick-10s",
];

/// When and where a probe fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Nanoseconds from one firing to the next.
    pub period_ns: u64,
    /// On each CPU; else on one, whichever.
    pub everywhere: bool,
}

impl Timer {
    /// What `name` means; None: it is no probe of this provider, or would fire too often.
    pub fn parse(name: &str) -> Option<Self> {
        let (everywhere, rest) = match name.strip_prefix("profile-") {
            Some(rest) => (true, rest),
            None => (false, name.strip_prefix("tick-")?),
        };
        let unit = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let number: u64 = rest.strip_suffix(unit)?.parse().ok()?;
        let unit_ns = match unit {
            "" | "hz" => {
                let period_ns = SECOND_NS.checked_div(number)?;
                return Self::checked(period_ns, everywhere);
            }
            "ns" | "nsec" => 1,
            "us" | "usec" => 1_000,
            "ms" | "msec" => 1_000_000,
            "s" | "sec" => SECOND_NS,
            "m" | "min" => 60 * SECOND_NS,
            "h" | "hour" => 3600 * SECOND_NS,
            "d" | "day" => 86_400 * SECOND_NS,
            _ => return None,
        };
        Self::checked(number.checked_mul(unit_ns)?, everywhere)
    }

    /// The probe that a pattern of provider, module, function and name names, if it is one of this provider's:
    /// no globs in its name.
    pub fn named([provider, module, function, name]: [&[u8]; 4]) -> Option<Self> {
        let is_ours = matches!(provider, b"" | b"profile");
        // Its probes have no module and no function.
        let is_ours = is_ours
            && [module, function]
                .iter()
                .all(|part| matches!(**part, [] | [b'*']));
        let name = core::str::from_utf8(name).ok().filter(|_| is_ours)?;
        Self::parse(name)
    }

    fn checked(period_ns: u64, everywhere: bool) -> Option<Self> {
        // The kernel's timers take signed numbers.
        let fits = (SHORTEST_NS..=i64::MAX as u64).contains(&period_ns);
        fits.then_some(Self {
            period_ns,
            everywhere,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times() {
        let period = |name| Timer::parse(name).map(|timer| timer.period_ns);
        assert_eq!(period("profile-97"), Some(10_309_278));
        assert_eq!(period("tick-100hz"), Some(10_000_000));
        assert_eq!(period("tick-10ms"), Some(10_000_000));
        assert_eq!(period("tick-250usec"), Some(250_000));
        assert_eq!(period("tick-2m"), Some(120_000_000_000));
        assert!(Timer::parse("profile-1s").is_some_and(|timer| timer.everywhere));
        assert!(Timer::parse("tick-1s").is_some_and(|timer| !timer.everywhere));
    }

    #[test]
    fn what_is_no_name() {
        for name in [
            "",
            "tick",
            "tick-",
            "tick-s",
            "tick-0",
            "tick-0s",
            "tick-5001",
            "tick-199us",
            "tick--1",
            "tick-1 s",
            "tick-1fortnight",
            "tick-99999999999999999999",
            "tick-18446744073709551615d",
            "profile-97\u{661}",
            "probe-1",
        ] {
            assert_eq!(Timer::parse(name), None, "{name}");
        }
    }

    #[test]
    fn patterns_that_name_a_probe() {
        let named = |parts: [&'static str; 4]| Timer::named(parts.map(str::as_bytes));
        let tick = Timer::parse("tick-7ms");
        assert_eq!(named(["profile", "", "", "tick-7ms"]), tick);
        assert_eq!(named(["", "*", "", "tick-7ms"]), tick);
        for other in [
            ["syscall", "", "", "tick-7ms"],
            ["profile", "m", "", "tick-7ms"],
            ["profile", "", "f", "tick-7ms"],
            ["profile", "", "", "tick-*"],
            ["profile", "", "", ""],
        ] {
            assert_eq!(named(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_usual_ones_are_names() {
        for name in USUAL {
            assert!(Timer::parse(name).is_some(), "{name}");
        }
    }
}
