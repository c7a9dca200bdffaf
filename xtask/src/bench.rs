// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask bench`: what a call costs, by xcall and by what else there is.
//!
//! Times are compared within one guest only. Where a machine's clock is noise, instructions and
//! atomic operations are counted instead: on the host by stepping (`bench/`), in guests by QEMU.

mod guest;
mod host;
mod report;

use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::setup;
use anyhow::{Context, Result};
use report::Report;
use std::fs;
use std::path::PathBuf;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Only on the host: no guest
    #[arg(long)]
    host: bool,
    /// Only in guests
    #[arg(long, conflicts_with = "host")]
    guests: bool,
    /// On the host, count with valgrind's callgrind too
    #[arg(long, conflicts_with = "guests")]
    callgrind: bool,
    /// Stock kernel to boot
    #[arg(long, value_name = "SERIES", default_value = "6.12", value_parser = kernels::parse)]
    kernel: &'static Kernel,
    /// Guests that are timed: only there, instead of natively and under Xen
    #[arg(long, value_enum)]
    platform: Option<Platform>,
    /// Guests whose instructions are counted: so many CPUs each
    #[arg(long, value_delimiter = ',', default_value = "2,4,8,16", value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: Vec<u32>,
    /// Calls of each kind that are timed
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Write the numbers there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables there, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// `cargo xtask bench`.
pub fn command(args: &Args) -> Result<()> {
    let mut report = Report::default();
    if !args.guests {
        report.host = Some(host::measure(args.callgrind)?);
    }
    if !args.host {
        let machine = setup::ensure_machine()?;
        for platform in Platform::USUAL {
            if args.platform.is_none_or(|only| only == platform) {
                let timed = guest::timed(&machine, args.kernel, platform, args.rounds)?;
                report.timed.push(timed);
            }
        }
        for cpus in &args.cpus {
            report
                .counted
                .push(guest::counted(&machine, args.kernel, *cpus)?);
        }
    }
    print!("{}", report.text());
    let write = |path: &PathBuf, text: String| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    if let Some(path) = &args.markdown {
        write(path, report.markdown())?;
    }
    Ok(())
}
