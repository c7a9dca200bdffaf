// SPDX-License-Identifier: GPL-2.0
//! Cross-CPU calls: run this function on that CPU, now, even with interrupts off.
//!
//! # Principles
//!
//! 1. **No lock, no allocation, no unbounded wait.** A call may be made from a task, with
//!    interrupts off, in an interrupt, in an NMI, inside a call's own function.
//! 2. **Whoever takes the call bit down owns the call.** Target and sender settle by one atomic who
//!    runs it and who withdraws it: never both, never neither.
//! 3. **A doorbell may fail.** Rings may be lost, late or folded together. A waiter answers its own
//!    mailbox, rings again, and climbs to stronger doorbells.
//! 4. **Logic here, machine elsewhere.** This crate has no kernel type in it: the same code runs in
//!    the kernel, on threads, and under the loom model checker.
//!
//! # The contract
//!
//! | | |
//! |---|---|
//! | `Ok` | every target ran the function exactly once, and the caller sees what it wrote |
//! | [`Error::Timeout`] | the CPUs it names did not and will not run it; the others did |
//! | [`Error::Offline`], [`Error::Busy`], [`Error::Context`], [`Error::NoDoorbell`] | nothing ran, nothing will |
//!
//! A waiting call returns by its deadline plus the running time of the functions it runs meanwhile
//! and of the call's own function where that has started. The caller's interrupts are what they were.
//!
//! Not promised: any order between calls; that a target with interrupts off hears a maskable
//! doorbell (a timeout then says so); fairness beyond the deadline.
//!
//! # A call's way
//!
//! [`Work`] is what to run. `send` claims a call slot, fills it, puts a bit up in each target's
//! mailbox and rings the [`Doorbell`]. The target's handler calls [`Engine::answer`], which takes the
//! bits down and runs the functions. `wait` answers its own mailbox meanwhile. The memory-ordering
//! argument, label by label, is in `docs/memory-ordering.md`.
#![cfg_attr(not(any(test, loom)), no_std)]

mod call;
pub mod choice;
mod context;
mod cpu;
pub mod credit;
mod doorbell;
mod drain;
mod engine;
mod flush;
mod histogram;
mod hotplug;
mod mailbox;
mod platform;
mod point;
mod post;
mod primitive;
pub mod report;
mod ring_set;
pub mod selftest;
mod send;
mod slot;
mod stats;
mod table;
pub mod tables;
mod targets;
mod wait;

pub use call::{Entry, Error, Lane, Reached, Timeout, Work, LANES};
pub use context::{Here, Level, LEVELS};
pub use cpu::{words_for, CpuId, CpuList, CpuSet, CpuSetMut, MAX_CPUS, NAMED_CPUS};
pub use doorbell::{Doorbell, MAX_DOORBELLS};
pub use engine::{Config, Engine, NewError};
pub use flush::FlushError;
pub use histogram::{Histogram, LATENCY_BUCKETS};
pub use platform::Platform;
pub use slot::SLOTS;
pub use stats::Stats;
pub use wait::DEEPEST_WAITS;

/// What models of the engine use; not there in other builds.
#[cfg(loom)]
pub mod model {
    pub use crate::point::{set_hook, Hook, Point};
    pub use crate::primitive::model_counters;

    /// How many calls of `lane` wait for `cpu` unstarted.
    pub fn unstarted<P: crate::Platform>(
        engine: &crate::Engine<P>,
        cpu: crate::CpuId,
        lane: crate::Lane,
    ) -> u32 {
        engine.mailbox(cpu, lane).unstarted()
    }

    /// Whether a call of `sender` waits in `lane` of `cpu` unstarted.
    pub fn waits<P: crate::Platform>(
        engine: &crate::Engine<P>,
        cpu: crate::CpuId,
        lane: crate::Lane,
        sender: crate::CpuId,
    ) -> bool {
        (0..crate::SLOTS).any(|slot| {
            let bit = engine.call_bit(crate::engine::SlotId { cpu: sender, slot });
            engine.mailbox(cpu, lane).is_waiting(bit)
        })
    }
}
