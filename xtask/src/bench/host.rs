// SPDX-License-Identifier: GPL-2.0
//! Prices on the host, as the program `xcall-bench` counts them.

use crate::{child, progress, repo};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Instructions, and how many of them are atomic read-modify-writes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Count {
    pub instructions: u64,
    pub locked: u64,
}

/// One call over one transport.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Price {
    pub name: String,
    pub send: Count,
    pub drain: Count,
    /// Both together as callgrind counts them, its loop included.
    #[serde(default)]
    pub callgrind: Option<u64>,
}

/// A machine of some size.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Size {
    pub cpus: u32,
    pub memory: u64,
    pub table_memory: u64,
    pub call: Count,
    pub broadcast: Count,
    pub idle_drain: Count,
    pub table_idle_drain: Count,
    pub drains: Vec<Drain>,
}

/// An answer that finds calls.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Drain {
    pub pending: u32,
    pub count: Count,
}

/// All that the host counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Prices {
    pub transports: Vec<Price>,
    pub sizes: Vec<Size>,
}

/// Calls of the longer of two runs under callgrind; the shorter makes half as many, and the
/// difference is the calls'.
const REPEATS: u64 = 20_000;

/// Builds the program and counts.
pub fn measure(callgrind: bool) -> Result<Prices> {
    let program = build()?;
    let log = repo::logs().join("bench-host.log");
    let output = progress::run("calls on the host", &mut child::command(&program), &log)?;
    let json = output.find('{').context("xcall-bench: no JSON")?;
    let mut prices: Prices = serde_json::from_str(&output[json..])?;
    if callgrind {
        for (at, price) in prices.transports.iter_mut().enumerate() {
            let long = under_callgrind(&program, at, REPEATS)?;
            let short = under_callgrind(&program, at, REPEATS / 2)?;
            price.callgrind = Some((long - short) / (REPEATS / 2));
        }
    }
    Ok(prices)
}

fn build() -> Result<PathBuf> {
    let mut cargo = child::command(env!("CARGO"));
    cargo.args(["build", "--locked", "--release", "--package", "xcall-bench"]);
    cargo.current_dir(repo::root());
    progress::run(
        "xcall-bench",
        &mut cargo,
        &repo::logs().join("xcall-bench.log"),
    )?;
    Ok(repo::target().join("release/xcall-bench"))
}

/// Instructions of a whole run of the program.
fn under_callgrind(program: &Path, transport: usize, times: u64) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("out");
    let mut valgrind = child::command("valgrind");
    valgrind.arg("--tool=callgrind");
    valgrind.arg(format!("--callgrind-out-file={}", file.display()));
    valgrind.arg(program).arg("repeat");
    valgrind.args([transport.to_string(), times.to_string()]);
    let log = repo::logs().join("callgrind.log");
    let label = format!("callgrind, transport {transport}, {times} calls");
    progress::run(&label, &mut valgrind, &log)?;
    total(&fs::read_to_string(file)?)
}

/// `totals: 12345` of a callgrind file.
fn total(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.context("callgrind: no totals")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found() {
        assert_eq!(total("events: Ir\nfn=x\n1 2\n\ntotals: 42\n").unwrap(), 42);
        assert!(total("events: Ir\n").is_err());
    }
}
