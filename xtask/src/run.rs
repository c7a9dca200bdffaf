// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask run`: from a fresh machine to a table of storms, in one command.

use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::storms::{self, Weather};
use crate::{setup, table};
use anyhow::{bail, Result};

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
    for platform in platforms {
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
    Ok(())
}
