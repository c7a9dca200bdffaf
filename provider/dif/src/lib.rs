// SPDX-License-Identifier: GPL-2.0
//! DIF, the byte code of predicates and actions: decoded, checked, interpreted.
//!
//! # Principles
//!
//! 1. **A program ends.** Branches only lead forward; subroutines take time linear in `strsize` or
//!    in the size they are given; all of them together touch [`MAX_TOUCHED`] bytes.
//! 2. **No pointer is made of a number.** What a program may write has addresses of its own
//!    ([`address`]) that lead to checked slices; the rest is the [`Environment`]'s to read, without
//!    faults.
//! 3. **Checked twice.** [`validate`] refuses a bad object with its reason; [`Machine`] relies on none
//!    of that: whatever it runs, it does not panic or leave its memory.
//! 4. **Fit for a probe.** No lock, allocation, print or sleep; nothing but the caller's memory. An
//!    NMI may run it.
//!
//! # The way of an object
//!
//! [`Object`] is what a loader found. [`variables::declare`] takes its variables into the state's
//! [`variables::Slot`]s, [`validate`] makes it a [`Program`]. A firing lends [`Memory`] to a
//! [`Machine`] for each clause and runs its programs one after the other: [`Machine::run`], then
//! [`Machine::write_result`] into the record. [`Store`] holds the variables that come and go.
#![cfg_attr(not(any(test, loom)), no_std)]
#![forbid(unsafe_code)]

pub mod address;
mod arithmetic;
mod built_in;
mod call;
mod comparison;
mod dynamic;
mod environment;
mod fault;
mod in_place;
mod instruction;
mod key;
mod machine;
mod memory;
mod object;
mod path;
mod plain;
mod progress;
mod reach;
mod step;
mod store;
mod subroutine;
mod text;
mod tuple;
mod validate;
pub mod variables;

pub use address::Window;
pub use environment::Environment;
pub use fault::{Fault, FaultKind};
pub use instruction::{
    Binary, Condition, Instruction, Register, Scope, Space, Undecodable, Width, REGISTERS,
};
pub use machine::Machine;
pub use memory::{Memory, MAX_TOUCHED};
pub use object::{Needs, Object, Program};
pub use plain::{plain, Plain};
pub use progress::Progress;
pub use store::{Drops, Found, Shape, Store, HEADER_WORDS};
pub use subroutine::is_supported;
pub use tuple::{Tuple, TUPLE_DEPTH};
pub use validate::{validate, Limits, Place, Reason, Refusal, MAX_RESULT, MAX_STRSIZE};
pub use variables::Declarations;

/// A word of memory that CPUs share.
pub use xcall_primitive::AtomicU64 as Word;

pub use dtrace_interface::dif::{DifType, Variable};
pub use dtrace_interface::variable::BuiltIn;
