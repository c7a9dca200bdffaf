// SPDX-License-Identifier: GPL-2.0
//! Storms of cross-CPU calls, and whether every call ran exactly once.
//!
//! `stress host` blows on threads that play CPUs, `stress guest` through xcall_stress.ko on the
//! kernel it runs on. Both keep the same accounts (crate `xcall-storm`). `stress report` makes a page
//! of such a storm; `stress top` shows what anybody's calls do on a machine with xcall.ko; `stress
//! probes` makes system calls, and holds what dtrace.ko records against them.

mod args;
mod chart;
mod counters;
mod guest;
mod hold;
mod host;
mod hotplug;
mod page;
mod probes;
mod record;
mod report;
mod sysfs;
mod top;
mod watch;

use args::{Args, Mode};
use clap::Parser;
use std::process::ExitCode;

/// Every call was accounted for.
const CLEAN: u8 = 0;
/// Calls were lost, duplicated, wrongly timed out.
const FAILED: u8 = 1;
/// No storm was made: wrong options, no module.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.mode {
        Mode::Host(storm) => host::storm(storm),
        Mode::Guest(guest) if guest.list_doorbells => guest::list_doorbells(),
        Mode::Guest(guest) => guest::storm(guest),
        Mode::Top(args) => top::top(args),
        Mode::Probes(args) => probes::probes(args),
        Mode::ProbesWorker(args) => probes::work(args),
        Mode::Report(args) => page::report(args),
    };
    ExitCode::from(match result {
        Ok(true) => CLEAN,
        Ok(false) => FAILED,
        Err(error) => {
            eprintln!("stress: {error:#}");
            USAGE
        }
    })
}
