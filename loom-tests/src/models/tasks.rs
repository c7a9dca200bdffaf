// SPDX-License-Identifier: GPL-2.0
//! The table of the calls that tasks are in, `dtrace_syscall::Tasks`: two rows of two words here. A task is
//! a thread; where it moves to another CPU, or its memory goes to another task, a thread hands it on.

use super::{model, Model};
use dtrace_syscall::{Abi, Call, Full, Tasks};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        model(
            "task_neighbours",
            "two tasks with the same row make calls at once: each return has its own entry's call",
            |_| neighbours(),
        ),
        model(
            "task_last_place",
            "two tasks come for the last place: one has its call, the other none, and no other's",
            |_| last_place(),
        ),
        model(
            "task_moves",
            "a task returns on another CPU than it entered on, while another comes: it finds its call",
            |_| moves(),
        ),
        model(
            "task_entered_twice",
            "a task whose return was not seen enters again, while another leaves: it is in the later call only",
            |_| entered_twice(),
        ),
        model(
            "task_address_reused",
            "a task ends in exit, and one that gets its address returns first (fork's child): it is in no call",
            |_| address_reused(),
        ),
    ]
}

/// Addresses of tasks whose rows both are row 0.
const SAME_ROW: [u64; 3] = [0, 4, 8];

fn task(number: u64) -> u64 {
    0xffff_8881_0000_0000 + number * 0x2d00 / 64 * 64
}

fn call(number: u32) -> Call {
    Call::new(Abi::Native, number).unwrap()
}

const EXIT: u32 = 60;

/// A call of task `number`, from entry to return; whether it found a place.
fn one_call(tasks: &Tasks, number: u64, of: Call) -> bool {
    let entered = tasks.begin(task(number), Some(of));
    let left = tasks.leave(task(number));
    assert_eq!(left, entered.ok().map(|()| of));
    entered.is_ok()
}

fn neighbours() {
    let tasks = Arc::new(Tasks::new());
    let theirs = tasks.clone();
    let other = thread::spawn(move || {
        for number in [3, 4] {
            assert!(one_call(&theirs, SAME_ROW[1], call(number)));
        }
    });
    assert!(one_call(&tasks, SAME_ROW[0], call(1)));
    other.join().unwrap();
    assert_eq!(tasks.count(), 0);
}

fn last_place() {
    let tasks = Arc::new(Tasks::new());
    tasks.enter(task(SAME_ROW[0]), call(1)).unwrap();
    let theirs = tasks.clone();
    let other = thread::spawn(move || one_call(&theirs, SAME_ROW[1], call(2)));
    let came = one_call(&tasks, SAME_ROW[2], call(3));
    assert!(other.join().unwrap() || came);
    assert_eq!(tasks.leave(task(SAME_ROW[0])), Some(call(1)));
    assert_eq!(tasks.count(), 0);
}

/// Hands a task on: what its CPU did comes before what the next one does.
fn hand_on(to: &AtomicBool) {
    to.store(true, Ordering::Release);
}

fn take_over(from: &AtomicBool) {
    while !from.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

fn moves() {
    let tasks = Arc::new(Tasks::new());
    let moved = Arc::new(AtomicBool::new(false));
    let (theirs, here) = (tasks.clone(), moved.clone());
    let next_cpu = thread::spawn(move || {
        take_over(&here);
        assert_eq!(theirs.leave(task(SAME_ROW[0])), Some(call(1)));
    });
    let theirs = tasks.clone();
    let other = thread::spawn(move || assert!(one_call(&theirs, SAME_ROW[1], call(2))));
    tasks.enter(task(SAME_ROW[0]), call(1)).unwrap();
    hand_on(&moved);
    next_cpu.join().unwrap();
    other.join().unwrap();
    assert_eq!(tasks.count(), 0);
}

fn entered_twice() {
    let tasks = Arc::new(Tasks::new());
    // It stands before the free place, which it then leaves.
    tasks.enter(task(SAME_ROW[1]), call(3)).unwrap();
    tasks.enter(task(SAME_ROW[0]), call(1)).unwrap();
    let theirs = tasks.clone();
    let other = thread::spawn(move || {
        theirs.enter(task(SAME_ROW[0]), call(2)).unwrap();
        assert_eq!(theirs.leave(task(SAME_ROW[0])), Some(call(2)));
        assert_eq!(theirs.leave(task(SAME_ROW[0])), None);
    });
    // First of all: loom does not go back for a store behind a load of the same thread.
    assert_eq!(tasks.leave(task(SAME_ROW[1])), Some(call(3)));
    other.join().unwrap();
    assert_eq!(tasks.count(), 0);
}

fn address_reused() {
    let tasks = Arc::new(Tasks::new());
    let freed = Arc::new(AtomicBool::new(false));
    let (theirs, here) = (tasks.clone(), freed.clone());
    let child = thread::spawn(move || {
        take_over(&here);
        // Out of fork, which its parent went into.
        assert_eq!(theirs.leave(task(SAME_ROW[0])), None);
        assert!(one_call(&theirs, SAME_ROW[0], call(2)));
    });
    // A return that was not seen, then the end.
    tasks.begin(task(SAME_ROW[0]), Some(call(1))).unwrap();
    assert_eq!(
        tasks.begin(task(SAME_ROW[0]), Some(call(EXIT))),
        Ok::<(), Full>(())
    );
    hand_on(&freed);
    child.join().unwrap();
    assert_eq!(tasks.count(), 0);
}
