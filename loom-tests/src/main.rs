// SPDX-License-Identifier: GPL-2.0
//! Model checks of the xcall engine and of probes, one process a model: `loom-tests --list`, `loom-tests MODEL`.
//!
//! The engine's own code runs here, compiled with `--cfg loom`; `cargo xtask loom` does that.

#[cfg(loom)]
mod check;
#[cfg(loom)]
mod machine;
#[cfg(loom)]
mod models;
#[cfg(loom)]
mod probes;
#[cfg(loom)]
mod shared;

#[cfg(loom)]
fn main() -> std::process::ExitCode {
    check::main()
}

#[cfg(not(loom))]
fn main() {
    eprintln!("loom-tests: built without --cfg loom, nothing to check");
    eprintln!("hint: cargo xtask loom");
    std::process::exit(2);
}
