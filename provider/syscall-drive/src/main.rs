// SPDX-License-Identifier: GPL-2.0
//! Every system call of the running kernel, each by a process of its own, in each ABI; and whether
//! dtrace.ko recorded just what these processes did.
//!
//! ```text
//! drive-syscalls run PROBES EXPECTED     makes the calls that `dtrace -l --json` listed in PROBES
//! drive-syscalls check PROBES EXPECTED TRACE     compares with what `dtrace --json` wrote
//! ```
//! A process makes one call and exits, so all that the trace has of it is known beforehand, to the last
//! argument: an entry, a return, and the entry of exit_group.

mod arguments;
mod cases;
mod check;
mod child;
mod low;
mod machine;
mod record;
mod special;
mod table;

use anyhow::{bail, ensure, Context, Result};
use cases::Cases;
use record::Case;
use serde::Deserialize;
use std::fs;
use table::{Abi, Call};

/// Where dtrace.ko counts returns without an entry.
const UNPAIRED: &str = "/sys/module/dtrace/parameters/returns_without_entry";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", probes, expected] => run(probes, expected),
        ["check", probes, expected, trace] => check(probes, expected, trace),
        _ => bail!("usage: drive-syscalls run PROBES EXPECTED | check PROBES EXPECTED TRACE"),
    }
}

/// The calls to make, and how many are left out on purpose, with their reasons.
fn planned(probes: &str) -> Result<(Vec<Call>, Vec<table::Left>)> {
    #[derive(Deserialize)]
    struct Probe {
        provider: String,
        module: String,
        function: String,
    }
    let text = fs::read_to_string(probes).with_context(|| probes.to_owned())?;
    let mut listed = Vec::new();
    for line in text.lines() {
        let probe: Probe = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if probe.provider == "syscall" {
            let abi = Abi::of_module(&probe.module).with_context(|| line.to_owned())?;
            listed.push((abi, probe.function));
        }
    }
    listed.dedup();
    ensure!(!listed.is_empty(), "{probes}: no probes of system calls");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = table::version(&release).with_context(|| release.clone())?;
    let left = table::not_driven()?;
    Ok((table::plan(table::calls()?, &left, kernel, &listed)?, left))
}

fn unpaired() -> Result<u64> {
    let text = fs::read_to_string(UNPAIRED).context(UNPAIRED)?;
    Ok(text.trim().parse()?)
}

fn run(probes: &str, expected: &str) -> Result<()> {
    let (calls, _) = planned(probes)?;
    child::adopt()?;
    child::faults_kill();
    let before = unpaired()?;
    let mut cases = Cases::new()?;
    for call in &calls {
        cases.one(call)?;
    }
    special::all(&mut cases)?;
    child::reap();
    let seen = unpaired()? - before;
    let made = cases.unpaired;
    ensure!(
        seen >= made,
        "{seen} returns without an entry, where {made} were made"
    );
    println!(
        "{} processes; returns without an entry: {made} of ours, {seen} in all",
        cases.all.len()
    );
    let lines: Result<Vec<String>, _> = cases.all.iter().map(serde_json::to_string).collect();
    fs::write(expected, lines?.join("\n")).with_context(|| expected.to_owned())
}

fn check(probes: &str, expected: &str, trace: &str) -> Result<()> {
    let (_, left) = planned(probes)?;
    let text = fs::read_to_string(expected).with_context(|| expected.to_owned())?;
    let cases: Vec<Case> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let trace = check::trace(&fs::read_to_string(trace).with_context(|| trace.to_owned())?)?;
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| check::difference(case, &trace))
        .collect();
    println!("{}", check::HEADING);
    let all = table::calls()?;
    for abi in Abi::ALL {
        let is_left = |call: &&Call| call.abi == abi && left.iter().any(|line| line.is(call));
        println!(
            "{}",
            check::row(abi, &cases, all.iter().filter(is_left).count())
        );
    }
    for line in &left {
        println!("not driven: {line}");
    }
    for case in cases.iter().filter(|case| case.call.is_none()) {
        println!("also: {}, {} records", case.what, case.records.len());
    }
    let records: usize = cases.iter().map(|case| case.records.len()).sum();
    println!(
        "{} processes, {records} records, {} of them wrong",
        cases.len(),
        wrong.len()
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
