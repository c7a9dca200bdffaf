// SPDX-License-Identifier: GPL-2.0
//! All other CPUs stand still while one writes.
//!
//! ```text
//!  writer                          each other CPU, in an NMI-safe call
//!    prepare       word = STAND
//!    post a call of `park`           park:  word + ONE
//!    gather        STAND, all there -> WRITE         until the word is neither STAND nor WRITE;
//!    write (only if that came about)                 who has waited too long: STAND -> STAND | GAVE_UP
//!    let_go        word = LET_GO
//!    wait until all calls have ended (the poster knows)
//! ```
//!
//! 1. The writer writes only in WRITE, and nobody leaves `park` meanwhile: it comes about by a compare-and-swap
//!    that wants all CPUs there and none that gave up, and giving up by one that wants STAND.
//! 2. A CPU that parks while the word is LET_GO returns at once: one that comes too late does no harm.
//! 3. `prepare` is called when no call is on its way: the poster waited for all of them.
//! 4. In STAND a CPU waits no longer than it has patience. In WRITE it waits for the writer, which does nothing
//!    but write.
//!
//! `loom-tests/src/models/rendezvous.rs` has the models.

use xcall_primitive::{AtomicU32, Ordering};

const LET_GO: u32 = 0;
const STAND: u32 = 1;
const WRITE: u32 = 2;
/// With STAND: a CPU went on.
const GAVE_UP: u32 = 4;
/// A CPU that came.
const ONE: u32 = 1 << 8;

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
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self::new()
    }
}

impl Rendezvous {
    /// Nobody is asked to stand still.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            word: AtomicU32::new(LET_GO),
        }
    }

    /// Nobody is asked to stand still.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            word: AtomicU32::new(LET_GO),
        }
    }

    /// Before calls are posted; none is on its way. The post orders this before what targets do.
    pub fn prepare(&self) {
        self.word.store(STAND, Ordering::Relaxed);
    }

    /// Stands still. `may_wait` is asked in each turn and pauses for a while; false: it has been too long.
    pub fn park(&self, mut may_wait: impl FnMut() -> bool) -> Parked {
        // Release park:A, pairs with gather:B: what this CPU did before, it has done.
        self.word.fetch_add(ONE, Ordering::Release);
        loop {
            // Acquire park:C, pairs with let_go:D: what the writer wrote is there.
            let seen = self.word.load(Ordering::Acquire);
            if seen & (STAND | WRITE) == 0 {
                return Parked::LetGo;
            }
            if !may_wait() && seen & STAND != 0 {
                // Relaxed: nothing of the writer's is looked at. It fails if another CPU comes, or the writer writes.
                let given_up = seen | GAVE_UP;
                let done = self.word.compare_exchange(
                    seen,
                    given_up,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if done.is_ok() {
                    return Parked::GaveUp;
                }
            }
        }
    }

    /// Whether `others` CPUs stand still, and do so until [`let_go`](Self::let_go); waits for them as long as
    /// `may_wait` says.
    pub fn gather(&self, others: u32, mut may_wait: impl FnMut() -> bool) -> bool {
        let Some(all) = others
            .checked_mul(ONE)
            .and_then(|all| all.checked_add(STAND))
        else {
            return false;
        };
        loop {
            // Acquire gather:B, pairs with park:A of each: additions to one word pass on what came before.
            let done = self
                .word
                .compare_exchange(all, WRITE, Ordering::Acquire, Ordering::Relaxed);
            match done {
                Ok(_) => return true,
                Err(seen) if seen & GAVE_UP != 0 => return false,
                Err(_) if !may_wait() => return false,
                Err(_) => {}
            }
        }
    }

    /// They may go on, and those to come need not stop.
    pub fn let_go(&self) {
        // Release let_go:D, pairs with park:C.
        self.word.swap(LET_GO, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
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
        // Nor is one that comes instead taken for it.
        meeting.let_go();
        meeting.prepare();
        assert!(meeting.gather(0, || false));
    }

    #[test]
    fn nobody_gives_up_while_the_writer_writes() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        let mut turns = 0;
        let parked = meeting.park(|| {
            turns += 1;
            match turns {
                1 => assert!(meeting.gather(1, || true)),
                5 => meeting.let_go(),
                _ => {}
            }
            turns == 1
        });
        assert_eq!((parked, turns), (Parked::LetGo, 5));
    }

    #[test]
    fn no_number_of_cpus_is_mistaken() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        for others in [1, 2, 1 << 24, u32::MAX] {
            assert!(!meeting.gather(others, || false));
        }
    }
}
