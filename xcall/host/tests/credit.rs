// SPDX-License-Identifier: GPL-2.0
//! NMI credit: no NMI of ours is called unknown, no foreign one is swallowed.

mod common;

use common::wait_until;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::*};
use xcall::credit::{Credit, CREDIT_LASTS_NS};

/// The credit counts time in these.
const UNIT_NS: u64 = 1 << 16;
/// Some time, a whole number of units.
const T: u64 = 76_000 * UNIT_NS;

#[test]
fn a_foreign_nmi_is_not_ours() {
    let credit = Credit::new();
    assert!(!credit.claim_unknown(T));
    assert!(credit.lapsed(T));
    assert_eq!(credit.left(), 0);
}

/// An NMI may find its calls run by another's, or by the one it would have folded into.
#[test]
fn an_empty_nmi_is_ours_once_for_each_ring() {
    let credit = Credit::new();
    credit.leave(T);
    credit.leave(T + 1);
    assert_eq!(credit.left(), 2);
    assert!(credit.claim_unknown(T + 2));
    assert!(credit.claim_unknown(T + 3));
    assert!(!credit.claim_unknown(T + 4));
}

/// Two CPUs ring; before their NMIs arrive, a profiler's has our calls run. Both of ours are still
/// to come, and are ours.
#[test]
fn calls_run_in_a_foreign_nmi_take_no_credit() {
    let credit = Credit::new();
    credit.leave(T);
    credit.leave(T);
    credit.extend(T, T);
    assert!(credit.claim_unknown(T));
    assert!(credit.claim_unknown(T));
    assert!(!credit.claim_unknown(T));
}

/// A handler that runs long keeps NMIs waiting: credit lasts from its end.
#[test]
fn a_long_handler_does_not_make_credit_lapse() {
    let credit = Credit::new();
    let ended = T + 5 * CREDIT_LASTS_NS / UNIT_NS * UNIT_NS;
    credit.extend(T, ended);
    assert_eq!(credit.left(), 0, "it makes none");
    credit.leave(T);
    credit.extend(T + CREDIT_LASTS_NS, ended);
    assert!(credit.claim_unknown(ended + CREDIT_LASTS_NS));
    // What had lapsed before it began stays so.
    credit.leave(T);
    let long_after = ended + 2 * CREDIT_LASTS_NS;
    credit.extend(long_after, long_after);
    assert!(!credit.claim_unknown(long_after));
}

/// A virtual CPU that was not running takes its NMI late: it is ours, however late.
#[test]
fn the_first_nmi_after_a_ring_is_ours_however_late() {
    let credit = Credit::new();
    credit.arrive(T);
    let rung = T + 10 * UNIT_NS;
    credit.leave(rung);
    let late = rung + 50 * CREDIT_LASTS_NS;
    credit.arrive(late);
    assert!(credit.claim_unknown(late));
    assert!(!credit.claim_unknown(late));
}

/// Also where ring and NMI before it fall into one unit of time.
#[test]
fn a_ring_right_after_an_nmi_counts_as_later() {
    let credit = Credit::new();
    credit.arrive(T + 1);
    credit.leave(T + 2);
    let late = T + 50 * CREDIT_LASTS_NS;
    credit.arrive(late);
    assert!(credit.claim_unknown(late));
}

/// What makes the first one ours says nothing of a second: folded rings lapse after it.
#[test]
fn a_later_nmi_is_a_strangers() {
    let credit = Credit::new();
    let rung = T + 10 * UNIT_NS;
    credit.leave(rung);
    credit.leave(rung);
    credit.arrive(rung + UNIT_NS);
    assert!(credit.claim_unknown(rung + UNIT_NS));
    let late = rung + 2 * CREDIT_LASTS_NS;
    credit.arrive(late);
    assert!(!credit.claim_unknown(late));
    // Neither does a long handler's.
    credit.leave(late);
    credit.leave(late);
    credit.arrive(late + UNIT_NS);
    credit.extend(late + UNIT_NS, late + 5 * UNIT_NS);
    credit.arrive(late + 5 * UNIT_NS + 2 * CREDIT_LASTS_NS);
    assert!(!credit.claim_unknown(late + 5 * UNIT_NS + 2 * CREDIT_LASTS_NS));
}

/// Rings that folded away leave credit behind; it does not excuse a foreign NMI for ever.
#[test]
fn credit_lapses_after_the_last_ring() {
    let credit = Credit::new();
    credit.leave(T);
    credit.leave(T + 10);
    assert!(!credit.lapsed(T + CREDIT_LASTS_NS));
    assert!(credit.claim_unknown(T + CREDIT_LASTS_NS));
    let later = T + 10 + CREDIT_LASTS_NS + UNIT_NS;
    assert!(credit.lapsed(later));
    assert!(!credit.claim_unknown(later));
}

/// Lapsed credit is gone: the next ring brings back its own, not the old.
#[test]
fn a_ring_does_not_revive_lapsed_credit() {
    let credit = Credit::new();
    for _ in 0..5 {
        credit.leave(T);
    }
    let later = T + 2 * CREDIT_LASTS_NS;
    credit.leave(later);
    assert_eq!(credit.left(), 1);
    assert!(credit.claim_unknown(later));
    assert!(!credit.claim_unknown(later));
}

/// Clocks of two CPUs differ a little; an older reading does not shorten the time left.
#[test]
fn an_older_ring_does_not_shorten_the_time() {
    let credit = Credit::new();
    credit.leave(T + UNIT_NS);
    credit.leave(T);
    assert!(!credit.lapsed(T + UNIT_NS + CREDIT_LASTS_NS));
    assert!(credit.claim_unknown(T));
    assert!(credit.claim_unknown(T + UNIT_NS + CREDIT_LASTS_NS));
}

/// A ring that comes while lapsed credit is being dropped keeps its own: its NMI is ours.
#[test]
fn a_ring_during_a_reset_keeps_its_credit() {
    const TOGETHER: usize = 100;
    let (start, claimed) = (AtomicU64::new(0), AtomicU64::new(0));
    // Both sides leave together, as closely as two CPUs can.
    let meet = |n: u64| {
        start.fetch_add(1, AcqRel);
        wait_until("the other side", None, || start.load(Acquire) >= 2 * n);
    };
    let credits = Vec::from_iter((0..20_000).map(|_| Credit::new()));
    let later = T + 2 * CREDIT_LASTS_NS;
    credits.iter().for_each(|credit| credit.leave(T));
    std::thread::scope(|scope| {
        // A foreign NMI asks while another CPU rings.
        scope.spawn(|| {
            for (n, credits) in (1..).zip(credits.chunks(TOGETHER)) {
                meet(n);
                for credit in credits {
                    claimed.fetch_add(u64::from(credit.claim_unknown(later)), Relaxed);
                }
            }
        });
        for (n, credits) in (1..).zip(credits.chunks(TOGETHER)) {
            meet(n);
            credits.iter().for_each(|credit| credit.leave(later));
        }
    });
    // The foreign one takes the fresh credit if the ring was first, or leaves it.
    let left: u64 = credits.iter().map(|c| u64::from(c.left())).sum();
    assert_eq!(claimed.load(Relaxed) + left, credits.len() as u64);
}

#[test]
fn many_cpus_ring_and_one_claims() {
    const EACH: u64 = 5000;
    let credit = Credit::new();
    let claimed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..EACH).for_each(|n| credit.leave(T + n)));
        }
        scope.spawn(|| {
            for n in 0..EACH {
                claimed.fetch_add(u64::from(credit.claim_unknown(T + n)), Relaxed);
            }
        });
    });
    assert_eq!(
        claimed.load(Relaxed) + u64::from(credit.left()),
        2 * EACH,
        "credit is neither lost nor made"
    );
}

#[derive(Clone, Debug)]
enum Event {
    Leave,
    Extend,
    Unknown,
}

proptest! {
    /// Against a plain counter with the time of the last ring.
    #[test]
    fn as_a_counter_that_lapses(
        events in prop::collection::vec(
            (
                prop_oneof![Just(Event::Leave), Just(Event::Extend), Just(Event::Unknown)],
                0..CREDIT_LASTS_NS * 2 / 3 / UNIT_NS,
            ),
            0..100,
        ),
    ) {
        let credit = Credit::new();
        let (mut count, mut last) = (0u32, 0);
        let mut now = T;
        for (event, later) in events {
            now += later * UNIT_NS;
            let lapsed = now - last > CREDIT_LASTS_NS;
            prop_assert_eq!(credit.lapsed(now), lapsed);
            match event {
                Event::Leave => {
                    credit.leave(now);
                    count = if lapsed { 1 } else { count + 1 };
                    last = now;
                }
                Event::Extend => {
                    credit.extend(now, now);
                    if count != 0 && !lapsed {
                        last = now;
                    }
                }
                Event::Unknown => {
                    let ours = count != 0 && !lapsed;
                    prop_assert_eq!(credit.claim_unknown(now), ours);
                    count -= u32::from(ours);
                }
            }
            prop_assert_eq!(credit.left(), count);
        }
    }
}
