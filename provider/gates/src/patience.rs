// SPDX-License-Identifier: GPL-2.0
//! How long CPUs wait for each other at a [`Rendezvous`](crate::Rendezvous).
//!
//! A CPU that stands still answers nobody, so each attempt is short, and there are several. Calls from NMIs wait
//! [`NMI_CALL_NS`]: one that sits on the writer and waits for a CPU that stands still goes on when that gives up.

use crate::Waited;

/// How often all others are asked.
pub const ATTEMPTS: u32 = 12;

/// How long the writer waits for the others at first, with interrupts off. A CPU that hears NMIs comes within
/// microseconds, if its hypervisor lets it run.
const FIRST_NS: u64 = 20_000_000;

/// And at most, from the fourth attempt on.
const LONGEST_NS: u64 = 160_000_000;

/// How long a CPU stands still while the writer writes, which takes microseconds. The last resort: the writer does not
/// come back, because it died of a fault, or waits in an NMI for a lock that the CPU holds.
const WRITE_NS: u64 = 5_000_000_000;

/// How long an xcall from an NMI waits at most.
pub const NMI_CALL_NS: u64 = 500_000_000;

/// How long the writer waits for the others at attempt `turn`, in nanoseconds. Any context.
pub fn gather_ns(turn: u32) -> u64 {
    let doubled = FIRST_NS.checked_shl(turn.min(8)).unwrap_or(LONGEST_NS);
    doubled.min(LONGEST_NS)
}

/// How a CPU that has stood still for `ns` has waited, where the writer waits `gather_ns`. It stays for longer than
/// the writer gathers. Any context.
pub fn waited(ns: u64, gather_ns: u64) -> Waited {
    if ns < gather_ns.saturating_mul(2) {
        Waited::Little
    } else if ns < WRITE_NS {
        Waited::TooLong
    } else {
        Waited::FarTooLong
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_stands_still_is_back_before_a_call_from_an_nmi_times_out() {
        for turn in [0, 1, 2, 3, 4, ATTEMPTS, 63, 64, u32::MAX] {
            let gather = gather_ns(turn);
            assert!((FIRST_NS..=LONGEST_NS).contains(&gather));
            assert_eq!(waited(gather, gather), Waited::Little);
            assert_eq!(waited(NMI_CALL_NS - 1, gather), Waited::TooLong);
            assert_eq!(waited(u64::MAX, gather), Waited::FarTooLong);
        }
        assert!(waited(NMI_CALL_NS, u64::MAX) == Waited::Little);
    }

    #[test]
    fn together_the_attempts_last_for_a_while() {
        let all: u64 = (0..ATTEMPTS).map(gather_ns).sum();
        assert_eq!(gather_ns(0), 20_000_000);
        assert_eq!(gather_ns(3), 160_000_000);
        assert!(all > 1_300_000_000);
    }
}
