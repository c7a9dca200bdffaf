// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask run`: from a fresh machine to a table of storms, and to the system calls, page faults and
//! breakpoints of a Xen guest traced while one goes on, in one command.

use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::setup::{self, Machine};
use crate::storms::{self, Weather};
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs, table};
use anyhow::{bail, Result};
use std::time::Duration;

/// A workload traced under a storm of calls.
const TRACE: &str = include_str!("../guest/trace.sh");

/// Options of `cargo xtask run`.
#[derive(clap::Args)]
pub struct Args {
    /// Stock kernel to boot
    #[arg(long, value_name = "SERIES", default_value = "6.12", value_parser = kernels::parse)]
    kernel: &'static Kernel,
    /// Only there, instead of natively and under Xen
    #[arg(long, value_enum)]
    platform: Option<Platform>,
    /// Virtual CPUs of each guest
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
    /// Length of each storm
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
}

/// `cargo xtask run`.
pub fn command(args: &Args) -> Result<()> {
    let machine = setup::ensure_machine()?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let platforms = match args.platform {
        Some(only) => vec![only],
        None => Platform::USUAL.to_vec(),
    };
    for &platform in &platforms {
        let weather = Weather {
            cpus: args.cpus,
            ..Weather::new(args.kernel, platform, storms::SHOWN, args.seconds)
        };
        let aftermath = storms::storm(&machine, &weather)?;
        rows.extend(storms::rows(&weather, &aftermath));
        if let Some(failure) = aftermath.failure() {
            failures.push(format!(
                "{} {}: {failure}",
                args.kernel.series,
                platform.name()
            ));
        }
    }
    print!("{}", table::render(storms::HEADER, &rows));
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    println!("every call ran exactly once");
    match platforms.last() {
        Some(&platform) => trace(&machine, args, platform),
        None => Ok(()),
    }
}

/// Shows the system calls and exceptions of a workload, traced on all CPUs while they call each other.
fn trace(machine: &Machine, args: &Args, platform: Platform) -> Result<()> {
    let script = format!("set -- {}\n{TRACE}", args.seconds);
    let mut boot = Boot::new(args.kernel, platform, Program::Command(script))?;
    boot.cpus = args.cpus;
    boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
    boot.copies.extend(guest_programs::all()?);
    boot.echo = false;
    boot.timeout = Some(Duration::from_secs(600));
    let (series, name) = (args.kernel.series, platform.name());
    eprintln!("guest {series} {name}, traced ...");
    let outcome = vm::boot(machine, &boot)?;
    let heading = format!(
        "\nsystem calls and exceptions, {series} {name}, {} CPUs:",
        args.cpus
    );
    let storm = storms::reports(&outcome);
    let shown = outcome.stdout.lines().filter(|line| !line.starts_with('{'));
    println!("{heading}\n{}", shown.collect::<Vec<_>>().join("\n"));
    outcome.ended_with(0)?;
    match storm.first() {
        Some(storm) if storm.clean() => {
            println!("and {} calls meanwhile, none lost", storm.calls);
            Ok(())
        }
        _ => bail!("the storm beside it was not clean\n{}", outcome.stdout),
    }
}
