// SPDX-License-Identifier: GPL-2.0
//! DIF programs as the framework runs them: what joins the crates `dif`, which knows no probes, and
//! `dtrace_provider`, which knows no DIF.
//!
//! - [`Program`]: a checked DIF object in memory of its own, the framework's `Expression`.
//! - [`clauses`]: what the framework enables, of a DOF file.
//! - [`State`]: a consumer's variables.
//! - [`Cpu`]: what a CPU has for its programs; around it a machine's own `dif::Environment`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod clauses;
mod cpu;
mod firing;
mod program;
mod state;

pub use clauses::clauses;
pub use cpu::Cpu;
pub use program::{Program, Unfit};
pub use state::State;
