// SPDX-License-Identifier: GPL-2.0
//! What calls are usually sent by: an intrusive singly linked list a CPU, as the kernel's `llist`,
//! and a call on top of it, as the kernel's `call_single_data` (`kernel/smp.c`).

use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::*};
use xcall::Entry;

/// A function and its argument, linked into a list while under way.
pub struct Node {
    next: AtomicPtr<Node>,
    entry: UnsafeCell<Entry>,
    arg: UnsafeCell<*mut libc::c_void>,
    /// Set from sending until the target is through.
    locked: AtomicBool,
}

// SAFETY: `entry` and `arg` are written by who set `locked` and before the push, and read after the
// take that pairs with it.
unsafe impl Sync for Node {}

impl Node {
    /// A node that is in no list.
    pub fn new(entry: Entry, arg: *mut libc::c_void) -> Self {
        Self {
            next: AtomicPtr::new(ptr::null_mut()),
            entry: UnsafeCell::new(entry),
            arg: UnsafeCell::new(arg),
            locked: AtomicBool::new(false),
        }
    }

    /// Fills it for another call; only when the one before has ended.
    pub fn fill(&self, entry: Entry, arg: *mut libc::c_void) {
        while self.is_locked() {
            std::hint::spin_loop();
        }
        self.locked.store(true, Relaxed);
        // SAFETY: not locked before: no target reads.
        unsafe {
            *self.entry.get() = entry;
            *self.arg.get() = arg;
        }
    }

    /// Whether a target has still to end it.
    pub fn is_locked(&self) -> bool {
        self.locked.load(Acquire)
    }
}

/// The list of one CPU.
#[derive(Default)]
pub struct List(AtomicPtr<Node>);

impl List {
    /// Pushes a node that is in no list. True: the list was empty, so a ring is owed.
    #[inline]
    pub fn push(&self, node: &'static Node) -> bool {
        let mut first = self.0.load(Relaxed);
        loop {
            node.next.store(first, Relaxed);
            let this = ptr::from_ref(node).cast_mut();
            match self.0.compare_exchange_weak(first, this, Release, Relaxed) {
                Ok(_) => return first.is_null(),
                Err(now) => first = now,
            }
        }
    }

    /// Takes all nodes, oldest first, and runs them; each is free again before (a call nobody waits
    /// for) or after its function has run.
    #[inline]
    pub fn run_all(&self, waited_for: bool) -> u32 {
        let mut ran = 0;
        let mut node = reversed(self.0.swap(ptr::null_mut(), Acquire));
        // SAFETY: nodes are `'static`, and those taken are ours until they are unlocked.
        while let Some(this) = unsafe { node.as_ref() } {
            node = this.next.load(Relaxed);
            // SAFETY: filled before the push, which the take above has seen.
            let (entry, arg) = unsafe { (*this.entry.get(), *this.arg.get()) };
            if !waited_for {
                this.locked.store(false, Release);
            }
            // SAFETY: who filled it promised that the function may be called here.
            unsafe { entry(arg) };
            if waited_for {
                this.locked.store(false, Release);
            }
            ran += 1;
        }
        ran
    }
}

/// The taken list the other way round: in the order of the pushes.
fn reversed(mut node: *mut Node) -> *mut Node {
    let mut done = ptr::null_mut();
    // SAFETY: as in `run_all`.
    while let Some(this) = unsafe { node.as_ref() } {
        let next = this.next.load(Relaxed);
        this.next.store(done, Relaxed);
        done = node;
        node = next;
    }
    done
}
