// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask loom`: the model checks, a process each.

use crate::child::{self, Captured};
use crate::{defects, parallel, repo, signals, table};
use anyhow::{bail, ensure, Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PACKAGE: &str = "loom-tests";

/// Options of `cargo xtask loom`.
#[derive(clap::Args)]
pub struct Args {
    /// Show that each seeded defect is caught, instead of checking the engine as it is
    #[arg(long)]
    defects: bool,
    /// Only the models (or defects) that have this in their name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Time limit of one model
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

/// `cargo xtask loom`.
pub fn command(args: &Args) -> Result<()> {
    let limit = Duration::from_secs(args.timeout);
    let only = args.only.as_deref();
    match args.defects {
        true => defects::check(only, limit),
        false => check(only, limit),
    }
}

/// Runs the models; fails if one does.
pub fn check(only: Option<&str>, limit: Duration) -> Result<()> {
    let binary = build(&repo::root(), &repo::target().join("loom"))?;
    let mut names = list(&binary)?;
    names.retain(|name| only.is_none_or(|only| name.contains(only)));
    ensure!(
        !names.is_empty(),
        "loom: no model has {:?} in its name",
        only.unwrap_or("")
    );
    let count = names.len();
    let results = parallel::map(names, |name| {
        let start = Instant::now();
        let result = run(&binary, &name, limit)?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{:<5} {name} ({seconds:.1} s)", result.word());
        Ok((name, result, seconds))
    });
    signals::check()?;
    let results = results.into_iter().collect::<Result<Vec<_>>>()?;

    let mut rows = Vec::new();
    let mut failures = String::new();
    for (name, result, seconds) in &results {
        let said = match result {
            Verdict::Pass(said) => said.clone(),
            Verdict::Fail { first, output } => {
                let last = crate::progress::last_lines(output);
                failures += &format!("\n{name}: {first}\n{last}\n");
                first.clone()
            }
            Verdict::TimedOut => format!("no end after {} s", limit.as_secs()),
        };
        let word = result.word().to_owned();
        rows.push(vec![name.clone(), word, format!("{seconds:.1}"), said]);
    }
    print!(
        "{}",
        table::render(&["model", "result", "seconds", "bound"], &rows)
    );
    let failed = results
        .iter()
        .filter(|(_, result, _)| !result.passed())
        .count();
    if failed > 0 {
        eprintln!("{failures}");
        bail!("loom: {failed} of {count} models failed");
    }
    println!("{count} models passed");
    Ok(())
}

/// How one model ended.
pub enum Verdict {
    /// With what it said: its bound and executions.
    Pass(String),
    /// With its first panic.
    Fail {
        first: String,
        output: String,
    },
    TimedOut,
}

impl Verdict {
    /// Whether the model holds.
    pub fn passed(&self) -> bool {
        matches!(self, Verdict::Pass(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Verdict::Pass(_) => "PASS",
            Verdict::Fail { .. } => "FAIL",
            Verdict::TimedOut => "TIME",
        }
    }
}

/// Builds the models of the workspace at `workspace`; the program that runs them.
pub fn build(workspace: &Path, target: &Path) -> Result<PathBuf> {
    let mut cargo = cargo(workspace, target, "build");
    cargo.args(["--package", PACKAGE]);
    crate::progress::run(
        "loom models",
        &mut cargo,
        &repo::logs().join("loom-build.log"),
    )?;
    Ok(program(target))
}

/// Where cargo puts the models' program.
pub fn program(target: &Path) -> PathBuf {
    target.join("debug").join(PACKAGE)
}

/// cargo for code under `--cfg loom`: optimised, but with its assertions.
pub fn cargo(workspace: &Path, target: &Path, command: &str) -> Command {
    let mut cargo = child::command(env!("CARGO"));
    cargo.arg(command).arg("--target-dir").arg(target);
    cargo.env("RUSTFLAGS", "--cfg loom");
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "2");
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    cargo.current_dir(workspace);
    cargo
}

/// The models' names.
pub fn list(binary: &Path) -> Result<Vec<String>> {
    let output = child::command(binary).arg("--list").output();
    let output = output.with_context(|| format!("cannot start {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// Runs one model.
pub fn run(binary: &Path, model: &str, limit: Duration) -> Result<Verdict> {
    let mut command = child::command(binary);
    command.arg(model);
    let Captured { status, output } = child::capture(&command, limit)?;
    Ok(match status {
        None => Verdict::TimedOut,
        Some(status) if status.success() => {
            let said = output.lines().last().unwrap_or_default();
            let said = said.strip_prefix(&format!("{model}: ")).unwrap_or(said);
            Verdict::Pass(said.to_owned())
        }
        Some(status) => Verdict::Fail {
            first: first_panic(&output).unwrap_or_else(|| status.to_string()),
            output,
        },
    })
}

/// The message of the first panic in `output`.
pub fn first_panic(output: &str) -> Option<String> {
    let mut lines = output.lines();
    lines.find(|line| line.contains("panicked at "))?;
    let message = lines.next()?.trim();
    Some(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_is_found() {
        let output = "\
x
thread 'main' panicked at a.rs:1:2:
call lost
note: run with `RUST_BACKTRACE=1`
thread 'main' panicked at b.rs:1:2:
other
";
        assert_eq!(first_panic(output).as_deref(), Some("call lost"));
        assert_eq!(first_panic("fine"), None);
    }
}
