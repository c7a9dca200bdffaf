// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask fuzz`: the coverage-guided fuzzers (cargo-fuzz, libFuzzer), on the host.
//!
//! Needs a nightly toolchain, a C++ compiler and cargo-fuzz; the first and the last are installed where
//! they are missing. What a run found new stays in `target/fuzz/corpus`, and the next begins with it.

use crate::cache::Cache;
use crate::child::{self, Captured};
use crate::defects::{self, Edit};
use crate::{host, progress, repo, signals, table};
use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const VERSION: &str = "0.13.2";

/// The seeded defects.
const DEFECTS: &str = "provider/dif/fuzz/defects.toml";

/// A crate that has targets in its folder `fuzz`, a target, and how long its inputs may be.
struct Target {
    name: &'static str,
    krate: &'static str,
    most_bytes: u32,
    /// An example of the crate that writes inputs to begin with.
    seeds: Option<&'static str>,
}

const TARGETS: &[Target] = &[
    Target {
        name: "load",
        krate: "provider/dof",
        most_bytes: 4096,
        seeds: Some("seeds"),
    },
    Target {
        name: "validate",
        krate: "provider/dif",
        most_bytes: 1024,
        seeds: None,
    },
    Target {
        name: "interpret",
        krate: "provider/dif",
        most_bytes: 1024,
        seeds: None,
    },
];

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
    /// Show that each seeded defect makes its target crash, within the time of a run
    #[arg(long)]
    defects: bool,
    /// load (DOF), validate or interpret (DIF); of defects, those with this in their name
    #[arg(value_name = "TARGET")]
    only: Option<String>,
}

/// `cargo xtask fuzz`.
pub fn command(args: &Args) -> Result<()> {
    let only = args.only.as_deref();
    let cargo = Fuzz::ensure()?;
    match args.defects {
        true => cargo.catch_defects(only, args.seconds),
        false => cargo.run_all(only, args.seconds),
    }
}

/// cargo-fuzz, installed.
struct Fuzz {
    path: OsString,
}

impl Fuzz {
    fn ensure() -> Result<Fuzz> {
        let cache = Cache::open()?;
        ensure!(
            host::find_program("c++").is_some(),
            "c++: not found, and libFuzzer is compiled with it\nhint: apt-get install g++"
        );
        let mut asked = child::command("rustup");
        asked.args(["run", "nightly", "rustc", "--version"]);
        if !succeeds(&asked)? {
            let mut install = child::command("rustup");
            install.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
            progress::run("nightly toolchain", &mut install, &cache.log("nightly"))?;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        if host::find_program("cargo-fuzz").is_some() {
            return Ok(Fuzz { path });
        }
        let _lock = cache.lock()?;
        let root = cache.entry(format!("cargo-fuzz/{VERSION}"), |root| {
            let mut install = child::command("cargo");
            install.args([
                "install",
                "--locked",
                "--version",
                VERSION,
                "cargo-fuzz",
                "--root",
            ]);
            install.arg(root);
            progress::run("cargo-fuzz", &mut install, &cache.log("cargo-fuzz")).map(drop)
        })?;
        let mut folders = vec![root.join("bin")];
        folders.extend(std::env::split_paths(&path));
        let path = std::env::join_paths(folders)?;
        Ok(Fuzz { path })
    }

    /// A run of `target` in the tree at `root`.
    fn command(&self, root: &Path, target: &Target, corpus: &Path, seconds: u64) -> Command {
        let mut cargo = child::command("rustup");
        // What the cargo that runs us left for its own children.
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        cargo.args(["run", "nightly", "cargo", "fuzz", "run", target.name]);
        cargo.arg(corpus).arg("--");
        cargo.arg(format!("-max_total_time={seconds}"));
        cargo.arg(format!("-max_len={}", target.most_bytes));
        cargo.arg(format!("-artifact_prefix={}/", found(target).display()));
        // An input takes microseconds; a machine may be busy.
        cargo.args(["-timeout=60", "-print_final_stats=1"]);
        cargo.current_dir(root.join(target.krate));
        cargo.env("PATH", &self.path);
        cargo.env("CARGO_TARGET_DIR", folder());
        cargo
    }

    fn run_all(&self, only: Option<&str>, seconds: u64) -> Result<()> {
        let mut rows = Vec::new();
        for target in TARGETS {
            if only.is_some_and(|only| only != target.name) {
                continue;
            }
            let corpus = folder().join("corpus").join(target.name);
            fs::create_dir_all(&corpus)?;
            fs::create_dir_all(found(target))?;
            plant(target, &corpus)?;
            let mut run = self.command(&repo::root(), target, &corpus, seconds);
            let log = repo::logs().join(format!("fuzz-{}.log", target.name));
            let label = format!("fuzz {}", target.name);
            let output = progress::run(&label, &mut run, &log)?;
            rows.push(Figures::of(&output).row(target.name));
        }
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        ensure!(
            !rows.is_empty(),
            "no such target; there are {}",
            names.join(", ")
        );
        print!("{}", table::render(Figures::HEADER, &rows));
        Ok(())
    }

    fn catch_defects(&self, only: Option<&str>, seconds: u64) -> Result<()> {
        let text = fs::read_to_string(repo::root().join(DEFECTS))?;
        let list: List = toml::from_str(&text).with_context(|| DEFECTS.to_owned())?;
        let work = folder().join("defects");
        let mut rows = Vec::new();
        let mut missed = 0;
        for defect in &list.defect {
            if only.is_some_and(|only| !defect.name.contains(only)) {
                continue;
            }
            let said = self.catch(defect, &work, seconds);
            signals::check()?;
            let said = said.with_context(|| defect.name.clone())?;
            missed += u32::from(said.is_none());
            let word = match &said {
                Some(_) => "CAUGHT",
                None => "MISSED",
            };
            eprintln!(
                "{word} {} by {}: {}",
                defect.name, defect.target, defect.why
            );
            rows.push(vec![
                defect.name.clone(),
                word.to_owned(),
                defect.target.clone(),
                said.unwrap_or_else(|| format!("no crash in {seconds} s")),
            ]);
        }
        ensure!(!rows.is_empty(), "{DEFECTS}: no defect of that name");
        print!(
            "{}",
            table::render(&["defect", "result", "by", "which said"], &rows)
        );
        match missed {
            0 => Ok(()),
            _ => bail!("{missed} defects were not caught"),
        }
    }

    /// What the target said as it crashed; None: it did not.
    fn catch(&self, defect: &Defect, work: &Path, seconds: u64) -> Result<Option<String>> {
        let target = TARGETS.iter().find(|target| target.name == defect.target);
        let target = target.context("no such target")?;
        defects::seed(work, &defect.edit())?;
        let corpus = folder().join("none");
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(found(target))?;
        let mut run = self.command(work, target, &corpus, seconds);
        // The copy's output is its own, and what crashes it is of no use later.
        run.env("CARGO_TARGET_DIR", folder().join("copy"));
        run.arg(format!("-artifact_prefix={}/", corpus.display()));
        run.arg("-verbosity=0");
        let limit = Duration::from_secs(seconds.saturating_add(1800));
        let Captured { status, output } = child::capture(&run, limit)?;
        let status = status.context("it did not end")?;
        fs::remove_dir_all(&corpus)?;
        let said = crash(&output);
        match (status.success(), said) {
            (true, _) => Ok(None),
            (false, Some(said)) => Ok(Some(said)),
            (false, None) => bail!("{status}\n{}", progress::last_lines(&output)),
        }
    }
}

/// Where cargo builds the targets, and what they find is kept.
fn folder() -> PathBuf {
    repo::target().join("fuzz")
}

/// Where the inputs go that crash a target.
fn found(target: &Target) -> PathBuf {
    folder().join("artifacts").join(target.name)
}

/// Writes inputs to begin with.
fn plant(target: &Target, corpus: &Path) -> Result<()> {
    let Some(seeds) = target.seeds else {
        return Ok(());
    };
    let mut cargo = child::command(env!("CARGO"));
    cargo.args(["run", "--locked", "--example", seeds, "--"]);
    cargo
        .arg(corpus)
        .current_dir(repo::root().join(target.krate));
    let log = repo::logs().join(format!("seeds-{}.log", target.name));
    progress::run(&format!("seeds of {}", target.name), &mut cargo, &log)?;
    Ok(())
}

fn succeeds(command: &Command) -> Result<bool> {
    let Captured { status, .. } = child::capture(command, Duration::from_secs(60))?;
    Ok(status.is_some_and(|status| status.success()))
}

/// What Rust or a sanitizer said, if a target crashed.
fn crash(output: &str) -> Option<String> {
    let mut lines = output.lines();
    let first = lines.find(|line| line.contains("panicked at") || line.contains("==ERROR: "))?;
    let said = match first.contains("panicked at") {
        true => lines.next().unwrap_or(first),
        false => first,
    };
    Some(said.trim().chars().take(90).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    defect: Vec<Defect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defect {
    name: String,
    why: String,
    target: String,
    file: PathBuf,
    find: String,
    replace: String,
}

impl Defect {
    fn edit(&self) -> Edit {
        Edit {
            file: self.file.clone(),
            find: self.find.clone(),
            replace: self.replace.clone(),
        }
    }
}

/// What libFuzzer says at the end of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: u64,
    seconds: u64,
    edges: u64,
    features: u64,
    corpus: u64,
}

impl Figures {
    const HEADER: &'static [&'static str] = &[
        "target",
        "runs",
        "seconds",
        "edges",
        "features",
        "inputs kept",
        "crashes",
    ];

    fn of(output: &str) -> Figures {
        let mut figures = Figures::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1)?.split('/').next()?.parse().ok()
            };
            if line.starts_with('#') && line.contains(" cov: ") {
                figures.edges = after("cov:").unwrap_or(figures.edges);
                figures.features = after("ft:").unwrap_or(figures.features);
                figures.corpus = after("corp:").unwrap_or(figures.corpus);
            }
            if line.starts_with("Done ") {
                figures.runs = after("Done").unwrap_or(0);
                figures.seconds = after("in").unwrap_or(0);
            }
        }
        figures
    }

    /// Of a run that ended well.
    fn row(&self, name: &str) -> Vec<String> {
        let figures = [
            self.runs,
            self.seconds,
            self.edges,
            self.features,
            self.corpus,
            0,
        ];
        let figures = figures.iter().map(u64::to_string);
        std::iter::once(name.to_owned()).chain(figures).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_last_ones() {
        let output = "\
#2 INITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb
#9 NEW    cov: 2080 ft: 6106 corp: 1622/92Kb lim: 149 exec/s: 5892 rss: 418Mb
Done 241599 runs in 41 second(s)
";
        let figures = Figures {
            runs: 241_599,
            seconds: 41,
            edges: 2080,
            features: 6106,
            corpus: 1622,
        };
        assert_eq!(Figures::of(output), figures);
    }

    #[test]
    fn a_crash_is_told_in_its_own_words() {
        let output = "thread '<unnamed>' panicked at fuzz_targets/x.rs:5:1:\nvalidation took 0\n";
        assert_eq!(crash(output).unwrap(), "validation took 0");
        let output = "==1==ERROR: AddressSanitizer: heap-buffer-overflow on\n";
        assert!(crash(output).unwrap().contains("overflow"));
        for none in ["Done 5 runs in 1 second(s)\n", "ERROR: no such directory\n"] {
            assert_eq!(crash(none), None);
        }
    }

    #[test]
    fn the_list_is_well_formed() {
        let text = fs::read_to_string(repo::root().join(DEFECTS)).unwrap();
        let list: List = toml::from_str(&text).unwrap();
        for defect in &list.defect {
            assert!(TARGETS.iter().any(|target| target.name == defect.target));
            let text = fs::read_to_string(repo::root().join(&defect.file)).unwrap();
            let fits = defects::apply(&text, &defect.edit());
            assert!(fits.is_ok(), "{}: {}", defect.name, fits.unwrap_err());
        }
    }
}
