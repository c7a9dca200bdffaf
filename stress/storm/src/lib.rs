// SPDX-License-Identifier: GPL-2.0
//! Storms of cross-CPU calls: who calls whom, how, and whether every call is accounted for.
//!
//! The same storms blow on threads (`stress host`) and in the kernel (`xcall_stress.ko`): each is a
//! [`Machine`]. A storm uses xcall's public interface alone.
//!
//! # Accounts
//!
//! Three parties count, and must agree:
//!
//! 1. **The caller** notes, per target, what it is owed: a run for each call that returned Ok and
//!    each call that was posted; none for a call that timed out or found its target offline.
//! 2. **The called function** counts its runs, per (caller, target), and on the call's [`Ticket`]:
//!    a waiting call that returns Ok before it ran shows there and then.
//! 3. **The engine's** own statistics: made = run + withdrawn.
//!
//! Nothing in a storm's path locks, allocates or waits without a limit: functions run in NMIs.
#![no_std]

mod ledger;
mod machine;
mod masking;
mod nested;
mod plan;
mod storm;
mod ticket;
mod worker;

pub use ledger::Histogram;
pub use machine::{EngineCounters, Entry, Failure, Job, Lane, Machine, Silence};
pub use plan::{Plan, Refusal, Surroundings};
pub use storm::Storm;
pub use ticket::{called, Ticket};
