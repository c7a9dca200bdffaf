// SPDX-License-Identifier: GPL-2.0
//! The price of a call on the host, in instructions and in atomic read-modify-writes, as JSON.
//! `cargo xtask bench --host` runs this and makes tables of it.

mod growth;
mod list;
mod machine;
mod step;
mod transports;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Prices of calls on the host, as JSON.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Send and drain over one transport, so many times, and do not count: for callgrind
    Repeat {
        /// Its place in the list
        transport: usize,
        /// How often
        times: u64,
    },
}

/// All that is counted.
#[derive(Serialize)]
struct Prices {
    transports: Vec<transports::Price>,
    sizes: Vec<growth::Size>,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Some(Command::Repeat { transport, times }) => {
            let mut all = transports::all();
            let transport = all.get_mut(transport).context("no such transport")?;
            (0..times).for_each(|_| (transport.round)());
        }
        None => {
            let prices = Prices {
                transports: transports::all().iter_mut().map(|t| t.price()).collect(),
                sizes: growth::CPUS
                    .iter()
                    .map(|cpus| growth::size(*cpus))
                    .collect(),
            };
            println!("{}", serde_json::to_string_pretty(&prices)?);
        }
    }
    Ok(())
}
