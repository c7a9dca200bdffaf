// SPDX-License-Identifier: GPL-2.0
//! Developer commands: `cargo xtask COMMAND`.
//!
//! Everything heavy (a Debian tree to build in, QEMU, Xen, kernel metadata) lives in a cache
//! folder outside the repository: `$XCALL_CACHE`, else `$XDG_CACHE_HOME/xcall`, else
//! `~/.cache/xcall`. Build output goes to `target/`.

#![forbid(unsafe_code)]

mod apt;
mod bench;
mod build;
mod cache;
mod child;
mod chroot;
mod console;
mod debug_kernel;
mod defects;
mod domain;
mod frames;
mod fuzz;
mod guest_programs;
mod host;
mod initramfs;
mod install;
mod kernel_image;
mod kernels;
mod loom;
mod machines;
mod monitor;
mod package;
mod parallel;
mod platform;
mod ports;
mod progress;
mod qemu;
mod repo;
mod run;
mod rust_metadata;
mod scenario;
mod setup;
mod signals;
mod soak;
mod stage;
mod storms;
mod sysroot;
mod table;
mod terminal;
mod test;
mod vm;
mod vm_command;
mod without;
mod xen;
mod xen_tools;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer commands of xcall: build the modules for stock kernels, boot them, test them.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Storm guests natively and under Xen, print one table: what xcall is for
    Run(run::Args),
    /// Every check: what CI runs
    Test(test::Args),
    /// Storm a kernel built to look for mistakes: lockdep, KASAN and more; not part of `test`
    Debug(debug_kernel::Args),
    /// Storm one guest for an hour, and see that its memory does not grow; not part of `test`
    Soak(soak::Args),
    /// Make what the other commands need: host packages, sysroot, QEMU, Xen, kernel metadata
    Setup(setup::Args),
    /// Run a command in the Debian tree that modules are built in
    Chroot(chroot::Args),
    /// Build the kernel modules
    Build(build::Args),
    /// Make the Debian package xcall-dkms, which needs no Rust where it is installed
    Package(package::Args),
    /// Boot a stock kernel with our modules and run a command there
    Vm(vm_command::Args),
    /// Measure what a call costs, on the host and in guests
    Bench(bench::Args),
    /// Run the model checks of the engine
    Loom(loom::Args),
    /// Fuzz what takes programs from user space: the DOF loader, the DIF validator and interpreter
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    signals::install();
    let result = run(Cli::parse().command);
    if signals::interrupted() {
        eprintln!("interrupted");
        return ExitCode::from(130);
    }
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The exit status of the command; an error is status 1.
fn run(command: Command) -> Result<u8> {
    match command {
        Command::Run(args) => run::command(&args).map(|()| 0),
        Command::Test(args) => test::command(&args),
        Command::Debug(args) => debug_kernel::command(&args),
        Command::Soak(args) => soak::command(&args).map(|()| 0),
        Command::Setup(args) => setup::command(&args).map(|()| 0),
        Command::Chroot(args) => chroot::command(&args),
        Command::Build(args) => build::command(&args).map(|()| 0),
        Command::Package(args) => package::command(&args).map(|()| 0),
        Command::Vm(args) => vm_command::command(&args),
        Command::Bench(args) => bench::command(&args).map(|()| 0),
        Command::Loom(args) => loom::command(&args).map(|()| 0),
        Command::Fuzz(args) => fuzz::command(&args).map(|()| 0),
    }
}
