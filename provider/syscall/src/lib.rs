// SPDX-License-Identifier: GPL-2.0
//! DTrace's syscall provider: what of it needs no kernel.
//!
//! - [`Call`]: a system call, by the ABI it was made in and its number there; its place in arrays.
//! - [`Enabled`]: which probe an entry or a return fires, by one array access.
//! - [`Tasks`]: the call that each task is in, from its entry to its return.
//! - [`Outcome`]: what a return's value says.
//!
//! The kernel calls at two points, the tracepoints `raw_syscalls:sys_enter` and `sys_exit`. At the
//! second one nothing in the registers can be trusted to name the call: `execve` into another ABI
//! and `rt_sigreturn` change them. So a return is named by what its entry left in [`Tasks`]. From this
//! follows what a return without an entry does, which is nothing but being counted:
//!
//! | what | entry | return |
//! |---|---|---|
//! | `fork`, `vfork`, `clone`, `clone3` | the parent's | the parent's; the child's first return has no entry |
//! | `exit`, `exit_group` | fires | there is none |
//! | `execve` | fires | fires in the ABI and under the number of its entry |
//! | refused by seccomp or ptrace | the kernel does not report it | no entry, counted |
//! | under way when return probes were enabled | none | no entry, counted |
//!
//! All of it may run in any context; it takes no lock, allocates nothing, and its loops are bounded.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod call;
mod enabled;
mod outcome;
mod tasks;

pub use call::{Abi, Call, Side, CALLS, PLACES};
pub use enabled::{Enabled, NO_PROBE};
pub use outcome::Outcome;
pub use tasks::{Full, Tasks, TASKS};
