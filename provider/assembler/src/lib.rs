// SPDX-License-Identifier: GPL-2.0
//! DIF as text, for tests, for error messages and for compilers.
//!
//! [`assemble`] turns text into a [`dof::Object`], [`listing()`] turns an object into such text, and
//! [`Builder`] puts an object together by calls.
//!
//! ```
//! let object = dif_assembler::assemble(
//!     r#"
//!     .returns int32
//!         ldgs execname, %r1
//!         sets "sshd", %r2
//!         scmp %r1, %r2
//!         be   yes
//!         ret  %r0
//!     yes:
//!         setx 1, %r1
//!         ret  %r1
//!     "#,
//! )?;
//! assert_eq!(object.instructions.len(), 7);
//! assert_eq!(dif_assembler::instruction(&object, 1), r#"sets "sshd", %r2"#);
//! # Ok::<(), dif_assembler::Error>(())
//! ```
//!
//! # Text
//!
//! A line or a part of it up to `;` is a directive, an instruction or empty; `label:` may stand in
//! front; `//` begins a comment.
//!
//! | directive | |
//! |---|---|
//! | `.returns TYPE` | what the object returns; `int64` if it is not said |
//! | `.global NAME: TYPE`, `.thread`, `.local` | declares a scalar |
//! | `.global NAME[]: TYPE`, `.thread` | declares an associative array |
//! | `.global NAME @0x501: TYPE` | the same with its number; without, numbers count from 0x500 in each scope |
//! | `.word 0x24000000` | an instruction as a number |
//!
//! A type is `int8`, `int16`, `int32`, `int64`, `string` (of the option's size), `string(64)`,
//! `bytes(16)` (by reference) or `type(KIND, CTF_KIND, FLAGS, SIZE)`.
//!
//! Operands stand in the order of [`Operands`](dtrace_interface::opcode::Operands), so a result
//! comes last; where one of two is no register they may change places. `%r0` to `%r7` are
//! registers; integers and strings are written out and put into the object's tables; variables,
//! built-in ones and subroutines go by name or number. `pushtr` and `pushtv` take `int`, `string` or
//! a number, the register of the size (`%r0` if it is left out) and the register of the value.
//! Branches lead forward.
#![forbid(unsafe_code)]

mod builder;
mod listing;
mod operand;
mod parse;
mod types;

pub use builder::{BuildError, Builder, Label, Scope};
pub use listing::{instruction, listing};
pub use parse::{assemble, Error};
