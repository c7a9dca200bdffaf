// SPDX-License-Identifier: GPL-2.0
//! All other CPUs stand still while one writes.
//!
//! ```text
//!  writer                          each other CPU, in an NMI-safe call
//!    prepare       word = STAND
//!    post a call of `park`           park:  word + ONE
//!    gather        STAND, all there -> WRITE         until the word is neither STAND nor WRITE;
//!    write (only if that came about)                 who has waited too long: STAND -> STAND | GAVE_UP,
//!    let_go        word = LET_GO                                    far too long: WRITE -> WRITE | LEFT
//!    wait until all calls have ended (the poster knows)
//! ```
//!
//! 1. The writer writes only in WRITE, and nobody leaves `park` meanwhile who has not waited far too long: WRITE
//!    comes about by a compare-and-swap that wants all CPUs there and none that gave up, and giving up by one that
//!    wants STAND. Who leaves nevertheless is told by `let_go`.
//! 2. A CPU that parks while the word is LET_GO returns at once: one that comes too late does no harm.
//! 3. `prepare` is called when no call is on its way: the poster waited for all of them.
//! 4. In STAND a CPU waits no longer than it has patience. In WRITE it waits for the writer, which does nothing
//!    but write; but an NMI may sit on that and want what the CPU holds, and the write may fault. Then the CPU leaves
//!    when it has waited far too long: one gate that changes under its eyes is better than a machine that hangs.
//!
//! `loom-tests/src/models/rendezvous.rs` has the models.

use xcall_primitive::{AtomicU32, Ordering};

const LET_GO: u32 = 0;
const STAND: u32 = 1;
const WRITE: u32 = 2;
/// With STAND: a CPU went on.
const GAVE_UP: u32 = 4;
/// With WRITE: a CPU went on.
const LEFT: u32 = 8;
/// A CPU that came.
const ONE: u32 = 1 << 8;

/// How standing still ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Parked {
    /// The writer let go.
    LetGo,
    /// It did not for too long; it will not write.
    GaveUp,
    /// It wrote for far too long, and may still do.
    Left,
}

/// How long a CPU has stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waited {
    /// It may wait on.
    Little,
    /// It should not wait for others to come any more.
    TooLong,
    /// Nor for the writer.
    FarTooLong,
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

    /// Stands still. `waited` is asked in each turn and pauses for a while.
    pub fn park(&self, mut waited: impl FnMut() -> Waited) -> Parked {
        // Release park:A, pairs with gather:B: what this CPU did before, it has done.
        self.word.fetch_add(ONE, Ordering::Release);
        loop {
            // Acquire park:C, pairs with let_go:D: what the writer wrote is there.
            let seen = self.word.load(Ordering::Acquire);
            let (limit, mark, parked) = match seen & (STAND | WRITE) {
                0 => return Parked::LetGo,
                STAND => (Waited::TooLong, GAVE_UP, Parked::GaveUp),
                _ => (Waited::FarTooLong, LEFT, Parked::Left),
            };
            if waited() < limit {
                continue;
            }
            // Relaxed: nothing of the writer's is looked at. It fails if another CPU comes, or the writer goes on.
            let marked = seen | mark;
            let done =
                self.word
                    .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed);
            if done.is_ok() {
                return parked;
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

    /// They may go on, and those to come need not stop. Whether all were there up to now, if [`gather`](Self::gather)
    /// said so.
    #[must_use]
    pub fn let_go(&self) -> bool {
        // Release let_go:D, pairs with park:C.
        let seen = self.word.swap(LET_GO, Ordering::Release);
        seen & LEFT == 0
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

    fn stand() -> Waited {
        thread::yield_now();
        Waited::Little
    }

    #[test]
    fn nobody_sees_half_of_what_is_written() {
        let (meeting, low, high) = (Rendezvous::new(), AtomicU64::new(0), AtomicU64::new(0));
        for turn in 1..200 {
            meeting.prepare();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        assert_eq!(meeting.park(stand), Parked::LetGo);
                        assert_eq!(low.load(Relaxed), turn);
                        assert_eq!(high.load(Relaxed), turn);
                    });
                }
                assert!(meeting.gather(3, wait));
                low.store(turn, Relaxed);
                thread::yield_now();
                high.store(turn, Relaxed);
                assert!(meeting.let_go());
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
        assert!(meeting.let_go());
        // It comes too late, and does not stop.
        assert_eq!(meeting.park(|| panic!("it stopped")), Parked::LetGo);
    }

    #[test]
    fn who_gives_up_is_missed() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        assert_eq!(meeting.park(|| Waited::TooLong), Parked::GaveUp);
        assert!(!meeting.gather(1, || false));
        // Nor is one that comes instead taken for it.
        assert!(meeting.let_go());
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
                5 => assert!(meeting.let_go()),
                _ => {}
            }
            match turns {
                1 => Waited::Little,
                _ => Waited::TooLong,
            }
        });
        assert_eq!((parked, turns), (Parked::LetGo, 5));
    }

    #[test]
    fn a_writer_that_does_not_come_back_is_left_and_told() {
        let meeting = Rendezvous::new();
        meeting.prepare();
        let parked = meeting.park(|| match meeting.gather(1, || false) {
            true => Waited::Little,
            false => Waited::FarTooLong,
        });
        assert_eq!(parked, Parked::Left);
        assert!(!meeting.let_go());
        // The next meeting knows nothing of it.
        meeting.prepare();
        assert!(meeting.gather(0, || false));
        assert!(meeting.let_go());
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
