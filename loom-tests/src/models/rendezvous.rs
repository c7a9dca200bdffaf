// SPDX-License-Identifier: GPL-2.0
//! Gates are written while all other CPUs stand still: `dtrace_gates::Rendezvous`. What is written is a cell,
//! so that loom tells of any access that does not come before or after.

use super::{model, Model};
use dtrace_gates::{Parked, Rendezvous, Waited};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        model(
            "rendezvous_alone",
            "a CPU stands still, and looks at what is written before and after: the writer is alone with it",
            |_| meet(1, Patience::Endless),
        ),
        model(
            "rendezvous_gives_up",
            "two CPUs may lose patience at any moment: they go on and nothing is written, or stay until it is",
            |_| meet(2, Patience::None),
        )
        .bounded(4),
        model(
            "rendezvous_late",
            "a writer loses patience: who comes late does not stop, and nothing is written",
            |_| late(),
        ),
        model(
            "rendezvous_left",
            "a CPU has waited far too long at any moment: the writer is told, or it is alone",
            |_| left(),
        ),
        model(
            "rendezvous_again",
            "a meeting after one that did not come about: who came late to that is not counted",
            |_| again(),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Endless,
    None,
}

/// The meeting and a gate.
struct Machine {
    meeting: Rendezvous,
    gate: UnsafeCell<u32>,
    /// Held by the writer from the begin until it has let go: who could not give up waits for that here, as
    /// loom would have such CPUs look for ever in turns.
    writing: Mutex<()>,
}

// SAFETY: loom reports accesses to the gate that nothing orders, which is what the models are for.
unsafe impl Sync for Machine {}
// SAFETY: as for Sync.
unsafe impl Send for Machine {}

/// A machine that is prepared for a meeting.
fn machine() -> Arc<Machine> {
    let machine = Machine {
        meeting: Rendezvous::new(),
        gate: UnsafeCell::new(0),
        writing: Mutex::new(()),
    };
    machine.meeting.prepare();
    Arc::new(machine)
}

impl Machine {
    /// What a CPU reads of the gate.
    fn read(&self) -> u32 {
        // SAFETY: loom fails if somebody writes meanwhile.
        self.gate.with(|gate| unsafe { *gate })
    }

    /// A CPU, before, in and after its call: how that ended, and what it reads then.
    fn stand(&self, others: u32, patience: Patience) -> (Parked, u32) {
        assert_eq!(self.read(), 0);
        let mut turns = 0;
        let parked = self.meeting.park(|| {
            turns += 1;
            match patience {
                Patience::Endless => thread::yield_now(),
                Patience::None if turns > others => drop(self.writing.lock()),
                Patience::None => {}
            }
            match patience {
                Patience::Endless => Waited::Little,
                Patience::None => Waited::TooLong,
            }
        });
        (parked, self.read())
    }

    /// The writer; whether it wrote.
    fn write(&self, others: u32, patience: Patience) -> bool {
        let all = self.meeting.gather(others, || {
            thread::yield_now();
            patience == Patience::Endless
        });
        if all {
            // SAFETY: loom fails if somebody reads or writes meanwhile.
            self.gate.with_mut(|gate| unsafe { *gate = 1 });
        }
        assert!(self.meeting.let_go());
        all
    }
}

fn meet(others: u32, patience: Patience) {
    let machine = machine();
    let writing = machine.writing.lock();
    let stand = |_| {
        let machine = machine.clone();
        thread::spawn(move || machine.stand(others, patience))
    };
    let threads: Vec<_> = (0..others).map(stand).collect();
    let written = machine.write(others, patience);
    drop(writing);
    assert!(written || patience == Patience::None);
    for thread in threads {
        went_on(thread.join().unwrap(), written);
    }
}

/// Who was let go sees what was written; who gave up was not written behind.
fn went_on((parked, read): (Parked, u32), written: bool) {
    assert_eq!(read, u32::from(written));
    assert!(parked == Parked::LetGo || !written);
}

fn late() {
    late_to(&machine());
}

fn late_to(machine: &Arc<Machine>) {
    let theirs = machine.clone();
    let other = thread::spawn(move || theirs.stand(1, Patience::Endless));
    let written = machine.write(1, Patience::None);
    went_on(other.join().unwrap(), written);
}

fn left() {
    let machine = machine();
    let theirs = machine.clone();
    let other = thread::spawn(move || theirs.meeting.park(|| Waited::FarTooLong));
    let all = machine.meeting.gather(1, || {
        thread::yield_now();
        true
    });
    let all_stayed = machine.meeting.let_go();
    let parked = other.join().unwrap();
    assert_eq!(parked == Parked::GaveUp, !all);
    assert_eq!(parked == Parked::Left, !all_stayed);
}

fn again() {
    let machine = machine();
    late_to(&machine);
    // All calls have ended.
    machine.meeting.prepare();
    let theirs = machine.clone();
    let other = thread::spawn(move || {
        let parked = theirs.meeting.park(|| {
            thread::yield_now();
            Waited::Little
        });
        (parked, theirs.read())
    });
    let written = machine.meeting.gather(1, || {
        thread::yield_now();
        true
    });
    assert!(written);
    // SAFETY: loom fails if somebody reads or writes meanwhile.
    machine.gate.with_mut(|gate| unsafe { *gate = 2 });
    assert!(machine.meeting.let_go());
    assert_eq!(other.join().unwrap(), (Parked::LetGo, 2));
}
