// SPDX-License-Identifier: GPL-2.0
//! All other CPUs stand still while one writes.
//!
//! ```text
//!  writer                          each other CPU, in an NMI-safe call
//!    prepare
//!    post a call of `park`           park: arrived + 1
//!    gather: all arrived, or not           until the writer lets go
//!    write (only if all arrived)
//!    let_go                                left + 1
//!    wait until all calls have ended (the poster knows)
//! ```
//!
//! 1. The writer writes only between a `gather` that returned true and `let_go`.
//! 2. A CPU that parks while the word is `LET_GO` returns at once: one that comes too late does no harm.
//! 3. `prepare` is called when no call is on its way: the poster waited for all of them.
//! 4. A parked CPU gives up after a time of its own, longer than any writer takes; it says so, and the
//!    writer is told by `gather`, or by `all_stayed` after the fact.

use core::sync::atomic::{AtomicU32, Ordering};

const LET_GO: u32 = 0;
const STAND: u32 = 1;

/// How standing still ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Parked {
    /// The writer let go.
    LetGo,
    /// It did not for too long.
    GaveUp,
}

/// A meeting of all CPUs. Any context, NMI included.
#[derive(Debug)]
pub struct Rendezvous {
    word: AtomicU32,
    arrived: AtomicU32,
    gave_up: AtomicU32,
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self::new()
    }
}

impl Rendezvous {
    /// Nobody is asked to stand still.
    pub const fn new() -> Self {
        Self {
            word: AtomicU32::new(LET_GO),
            arrived: AtomicU32::new(0),
            gave_up: AtomicU32::new(0),
        }
    }

    /// Before calls are posted; none is on its way. The post orders this before what targets do.
    pub fn prepare(&self) {
        self.arrived.store(0, Ordering::Relaxed);
        self.gave_up.store(0, Ordering::Relaxed);
        self.word.store(STAND, Ordering::Relaxed);
    }

    /// Stands still. `may_wait` is asked in each turn and pauses for a while; false: it has been too long.
    pub fn park(&self, mut may_wait: impl FnMut() -> bool) -> Parked {
        // Release park:A, pairs with gather:B: what this CPU did before, it has done.
        self.arrived.fetch_add(1, Ordering::Release);
        // Acquire park:C, pairs with let_go:D: what the writer wrote is there.
        while self.word.load(Ordering::Acquire) == STAND {
            if !may_wait() {
                self.gave_up.fetch_add(1, Ordering::Release);
                return Parked::GaveUp;
            }
        }
        Parked::LetGo
    }

    /// Whether `others` CPUs stand still; waits for them as long as `may_wait` says.
    pub fn gather(&self, others: u32, mut may_wait: impl FnMut() -> bool) -> bool {
        // Acquire gather:B, pairs with park:A.
        while self.arrived.load(Ordering::Acquire) != others {
            if !may_wait() {
                return false;
            }
        }
        self.all_stayed()
    }

    /// Whether none of them gave up.
    pub fn all_stayed(&self) -> bool {
        self.gave_up.load(Ordering::Acquire) == 0
    }

    /// They may go on, and those to come need not stop.
    pub fn let_go(&self) {
        // Release let_go:D, pairs with park:C.
        self.word.store(LET_GO, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::thread;

    fn wait() -> bool {
        thread::yield_now();
        true
    }

    #[test]
    fn nobody_sees_half_of_what_is_written() {
        let (meeting, low, high) = (Rendezvous::new(), AtomicU64::new(0), AtomicU64::new(0));
        for turn in 1..200 {
            meeting.prepare();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        assert_eq!(meeting.park(wait), Parked::LetGo);
                        assert_eq!(low.load(Relaxed), turn);
                        assert_eq!(high.load(Relaxed), turn);
                    });
                }
                assert!(meeting.gather(3, wait));
                low.store(turn, Relaxed);
                thread::yield_now();
                high.store(turn, Relaxed);
                assert!(meeting.all_stayed());
                meeting.let_go();
            });
        }
    }

    #[test]
    fn who_does_not_come_is_not_waited_for() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        let mut turns = 0;
        let patience = || {
            turns += 1;
            turns < 10
        };
        assert!(!meeting.gather(1, patience));
        meeting.let_go();
        // It comes too late, and does not stop.
        assert_eq!(meeting.park(|| panic!("it stopped")), Parked::LetGo);
    }

    #[test]
    fn who_gives_up_is_missed() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        assert_eq!(meeting.park(|| false), Parked::GaveUp);
        assert!(!meeting.gather(1, || false));
        assert!(!meeting.all_stayed());
    }
}
