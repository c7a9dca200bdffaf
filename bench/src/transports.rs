// SPDX-License-Identifier: GPL-2.0
//! Send and drain of one call, by the engine and by what else could carry it: a function and its
//! argument, from one CPU to another, run there.

use crate::list::{List, Node};
use crate::machine::Bench;
use crate::step::{self, Count, Side};
use crossbeam_queue::{ArrayQueue, SegQueue};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use xcall::{CpuId, Entry, Lane, Work};

/// How often each is done: a block of SegQueue and of mpsc has 31 places, and its allocation is
/// part of their price.
const ROUNDS: u64 = 31 * 4;

/// Runs so far: what the called function does.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// The function that is called: one addition, and no atomic one.
pub unsafe extern "C" fn called(_: *mut libc::c_void) {
    RUNS.store(RUNS.load(Relaxed) + 1, Relaxed);
}

/// Work for the engine.
pub fn work() -> Work<'static> {
    // SAFETY: `called` may run anywhere; it touches one word.
    unsafe { Work::new(Lane::NmiSafe, called, std::ptr::null_mut()) }
}

/// What is carried.
struct Job {
    entry: Entry,
    arg: *mut libc::c_void,
}

// SAFETY: a function that may be called anywhere, and a null pointer.
unsafe impl Send for Job {}

impl Job {
    fn new() -> Self {
        Self {
            entry: called,
            arg: std::ptr::null_mut(),
        }
    }

    fn run(self) {
        // SAFETY: `called` may run anywhere.
        unsafe { (self.entry)(self.arg) };
    }
}

/// A way to carry a call.
pub struct Transport {
    /// Its name.
    pub name: &'static str,
    /// Sends and drains one call.
    pub round: Box<dyn FnMut()>,
}

/// What one costs, on average.
#[derive(Debug, Serialize)]
pub struct Price {
    /// The transport's name.
    pub name: &'static str,
    /// The sender's part.
    pub send: Count,
    /// The target's part, with the function's own few instructions.
    pub drain: Count,
}

impl Transport {
    fn new(
        name: &'static str,
        mut send: impl FnMut() + 'static,
        mut drain: impl FnMut() + 'static,
    ) -> Self {
        let round = move || {
            send();
            step::on_side(Side::Drain);
            drain();
            step::on_side(Side::Send);
        };
        Self {
            name,
            round: Box::new(round),
        }
    }

    /// Counts it.
    pub fn price(&mut self) -> Price {
        for _ in 0..ROUNDS {
            (self.round)();
        }
        let before = RUNS.load(Relaxed);
        let [mut send, mut drain] = [Count::default(); 2];
        for _ in 0..ROUNDS {
            let [s, d] = step::count(&mut self.round);
            send += s;
            drain += d;
        }
        assert_eq!(
            RUNS.load(Relaxed) - before,
            ROUNDS,
            "{}: a call was lost",
            self.name
        );
        Price {
            name: self.name,
            send: send / ROUNDS,
            drain: drain / ROUNDS,
        }
    }
}

/// All of them.
pub fn all() -> Vec<Transport> {
    vec![
        xcall_call(),
        xcall_post(),
        csd_call(),
        list(),
        seg_queue(),
        array_queue(),
        channel(),
    ]
}

/// A waiting call, its target answering within the ring: all there is to a call, less waiting.
fn xcall_call() -> Transport {
    let bench = Bench::new(4);
    bench.answer_rings(true);
    Transport {
        name: "xcall, waiting call",
        round: Box::new(move || {
            let result = bench.engine().call(CpuId(1), work());
            debug_assert!(result.is_ok());
        }),
    }
}

fn xcall_post() -> Transport {
    let bench: &'static Bench = Box::leak(Box::new(Bench::new(4)));
    let send = || {
        let result = bench.engine().post(CpuId(1), work());
        debug_assert!(result.is_ok());
    };
    let drain = move || {
        bench.on(CpuId(1), || bench.engine().answer(&[Lane::NmiSafe]));
    };
    Transport::new("xcall, posted call", send, drain)
}

/// As `smp_call_function_single`.
fn csd_call() -> Transport {
    let list: &'static List = Box::leak(Box::default());
    let node: &'static Node = Box::leak(Box::new(Node::new(called, std::ptr::null_mut())));
    let send = move || {
        node.fill(called, std::ptr::null_mut());
        list.push(node);
    };
    let drain = move || {
        list.run_all(true);
        debug_assert!(!node.is_locked());
    };
    Transport::new("intrusive list, waiting call", send, drain)
}

fn list() -> Transport {
    let list: &'static List = Box::leak(Box::default());
    let node: &'static Node = Box::leak(Box::new(Node::new(called, std::ptr::null_mut())));
    let send = move || {
        list.push(node);
    };
    let drain = move || {
        list.run_all(false);
    };
    Transport::new("intrusive list", send, drain)
}

fn seg_queue() -> Transport {
    let queue: &'static SegQueue<Job> = Box::leak(Box::default());
    let send = || queue.push(Job::new());
    let drain = || {
        while let Some(job) = queue.pop() {
            job.run();
        }
    };
    Transport::new("crossbeam SegQueue", send, drain)
}

fn array_queue() -> Transport {
    let queue: &'static ArrayQueue<Job> = Box::leak(Box::new(ArrayQueue::new(64)));
    let send = || {
        let result = queue.push(Job::new());
        debug_assert!(result.is_ok());
    };
    let drain = || {
        while let Some(job) = queue.pop() {
            job.run();
        }
    };
    Transport::new("crossbeam ArrayQueue", send, drain)
}

fn channel() -> Transport {
    let (sender, receiver) = mpsc::channel::<Job>();
    let send = move || {
        let result = sender.send(Job::new());
        debug_assert!(result.is_ok());
    };
    let drain = move || {
        while let Ok(job) = receiver.try_recv() {
            job.run();
        }
    };
    Transport::new("std mpsc", send, drain)
}
