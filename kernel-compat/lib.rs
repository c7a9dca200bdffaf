// SPDX-License-Identifier: GPL-2.0
//! A crate named `kernel` for kernels built without `CONFIG_RUST`.
//!
//! Modules are written once, against the Rust-for-Linux `kernel` crate of Linux 7.3. Where the
//! target kernel brings that crate, Kbuild links it; elsewhere it links this one: same names,
//! same signatures, same meaning, for the subset our modules use. `docs/kernel-compat.md` says
//! how the choice is made.
//!
//! 1. Nothing here is public that 7.3's crate does not have, so a module that builds on the
//!    older kernel builds on the newer one. The reverse is not promised: the subset grows with
//!    what the modules need.
//! 2. What depends on a kernel's headers (structure layouts, inline functions, flag values)
//!    lives in `glue.c`, which is compiled for that kernel and linked into every module.
//! 3. Signatures follow <https://rust.docs.kernel.org>; the documentation there applies. The
//!    comments here say only what differs.
#![no_std]
#![deny(missing_docs)]

pub mod alloc;
pub mod error;
pub mod ffi;
pub mod fs;
mod glue;
pub mod init;
pub mod ioctl;
pub mod miscdevice;
mod module;
pub mod prelude;
pub mod print;
pub mod transmute;
pub mod types;
pub mod uaccess;

pub use macros;
pub use module::{Module, ModuleMetadata, ThisModule};

/// String types, under the names that the newer crate uses.
pub mod str {
    pub use core::ffi::CStr;
}

/// The prefix of the lines that this crate itself prints.
const __LOG_PREFIX: &[u8] = b"kernel_compat\0";

/// Prints the panic and stops the CPU's current task with an invalid instruction, as `BUG()` does.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    pr_emerg!("{}\n", info);
    // SAFETY: `ud2` raises #UD; the kernel's handler never returns to this instruction. That is
    // the end that `noreturn` promises.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
