// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask test`: every check, cheap ones first, each timed; what CI runs.

use crate::kernels::{self, Kernel, KERNELS};
use crate::platform::Platform;
use crate::scenario::Scenario;
use crate::setup::{self, Machine};
use crate::storms::{self, Weather};
use crate::vm::Outcome;
use crate::{
    build, child, defects, install, loom, machines, package, repo, scenario, signals, table,
    without,
};
use anyhow::{bail, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Time limit of one model.
const MODEL_LIMIT: Duration = Duration::from_secs(600);

/// Time limit of the host tests.
const TESTS_LIMIT: &str = "1800";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// A few minutes: no seeded defects, one kernel, one guest, short storms
    #[arg(long, conflicts_with = "all")]
    quick: bool,
    /// Every pattern of storm, long ones, every scenario on every kernel, Xen PVH, and
    /// machines with other CPUs and kernel arguments
    #[arg(long)]
    all: bool,
    /// Only the steps that have this in their name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// `cargo xtask test`. Every step runs, whatever became of those before it.
pub fn command(args: &Args) -> Result<u8> {
    let mut steps = Steps::new(args.only.clone());
    steps.run("format", format)?;
    steps.run("clippy", clippy)?;
    steps.run("host tests", host_tests)?;
    steps.run("documentation", documentation)?;
    steps.run("loom", || loom::check(None, MODEL_LIMIT))?;
    if !args.quick {
        steps.run("loom defects", || defects::check(None, MODEL_LIMIT))?;
    }

    let kernels: &[Kernel] = if args.quick { &KERNELS[..1] } else { KERNELS };
    let mut machine = None;
    steps.run("setup", || {
        machine = Some(setup::ensure_machine()?);
        Ok(())
    })?;
    let machine = || {
        machine
            .as_ref()
            .context("setup failed, or was left out by --only")
    };
    let wanted = |built: &&Kernel| kernels.iter().any(|kernel| kernel.series == built.series);
    let built: Vec<&'static Kernel> = kernels::all().filter(wanted).collect();
    for kernel in &built {
        let name = kernel.name();
        steps.run(&format!("clippy {name}"), || {
            build::clippy(&machine()?.tools, kernel)
        })?;
        steps.run(&format!("build {name}"), || {
            build::modules(&machine()?.tools, kernel, false).map(|_| ())
        })?;
        steps.run(&format!("sample {name}"), || {
            build::sample_alone(&machine()?.tools, kernel)
        })?;
    }
    steps.run("one object", || {
        let without_rust = built.iter().copied().filter(|kernel| !kernel.rust);
        build::one_object(&machine()?.tools, without_rust)
    })?;
    if !args.quick {
        steps.run("package", || package::check(&machine()?.tools))?;
        for kernel in kernels {
            let name = format!("package {}", kernel.name());
            steps.run(&name, || install::check_package(machine()?, kernel))?;
        }
        // Kbuild does the same for all of them; the builds above say how it goes with each.
        let by_hand = kernels
            .iter()
            .take(if args.all { kernels.len() } else { 1 });
        for kernel in by_hand {
            let name = format!("make install {}", kernel.name());
            steps.run(&name, || install::check_make_install(machine()?, kernel))?;
        }
    }
    let scenarios = scenario::all()?;
    let mut left = Vec::new();
    for kernel in kernels {
        for platform in Platform::ALL {
            if !is_wanted(kernel, platform, args) {
                continue;
            }
            let (storms, seconds) = match (args.quick, args.all) {
                (true, _) => (storms::USUAL, 2),
                (_, true) => (storms::ALL, 10),
                _ => (storms::USUAL, 5),
            };
            let weather = Weather::new(kernel, platform, storms, seconds);
            let series = kernel.series;
            let name = format!("guest {series} {}", platform.name());
            steps.run(&name, || {
                let mut guests = weather.by_guest().into_iter();
                guests.try_for_each(|weather| guest(machine()?, &weather).map(drop))
            })?;
            let everything = args.all || args.only.is_some();
            // Each takes a guest of its own; the first kernel stands for the others here.
            let wanted = everything || series == KERNELS[0].series;
            for scenario in scenarios
                .iter()
                .filter(|scenario| wanted && scenario.is_for(platform, everything))
            {
                let name = format!("{} {series} {}", scenario.name, platform.name());
                steps.run(&name, || {
                    scenario.run(machine()?, kernel, platform, "", args.all)
                })?;
                for variant in variants(scenario, platform, everything) {
                    let name = format!("{} {variant} {series} native", scenario.name);
                    steps.run(&name, || {
                        scenario.run(machine()?, kernel, platform, variant, args.all)
                    })?;
                }
            }
            let tried =
                |api: &&without::Api| wanted && !args.quick && api.is_tried(platform, everything);
            for api in without::APIS.iter().filter(tried) {
                let name = format!("without {} {series} {}", api.name, platform.name());
                steps.run(&name, || {
                    left.push(api.run(machine()?, kernel, platform)?);
                    Ok(())
                })?;
            }
        }
    }
    if args.all || args.only.is_some() {
        let kernel = &KERNELS[0];
        for unusual in machines::UNUSUAL {
            steps.run(&unusual.step(kernel), || unusual.run(machine()?, kernel))?;
        }
    }
    if !left.is_empty() {
        println!();
        print!("{}", table::render(without::HEADER, &left));
    }
    Ok(steps.close())
}

/// The variants of a scenario that are run there: natively, none but with `--all` or when steps are named.
fn variants(scenario: &Scenario, platform: Platform, everything: bool) -> &[String] {
    match everything && platform == Platform::Native {
        true => &scenario.variants,
        false => &[],
    }
}

/// Whether that kernel is stormed there.
fn is_wanted(kernel: &Kernel, platform: Platform, args: &Args) -> bool {
    let first = kernel.series == KERNELS[0].series;
    match platform {
        Platform::Native => !args.quick,
        Platform::XenPv => true,
        Platform::XenPvDomu => first && !args.quick,
        Platform::XenPvh => first && args.all,
    }
}

/// The steps run so far.
pub(crate) struct Steps {
    only: Option<String>,
    rows: Vec<Vec<String>>,
    failed: Vec<Failure>,
}

/// A step that failed, and why.
struct Failure {
    step: String,
    why: String,
}

impl Steps {
    pub(crate) fn new(only: Option<String>) -> Steps {
        Steps {
            only,
            rows: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Runs a step; an error only when the user interrupts.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        // Guests and builds stand on setup, so --only never leaves it out for them.
        let wanted = |only: &String| name.contains(only.as_str()) || name == "setup";
        if !self.only.as_ref().is_none_or(wanted) {
            return Ok(());
        }
        eprintln!("== {name}");
        let start = Instant::now();
        let result = step();
        signals::check()?;
        let word = match &result {
            Ok(()) => "passed",
            Err(_) => "FAILED",
        };
        if let Err(error) = result {
            let why = format!("{error:#}");
            eprintln!("{name}: {why}");
            self.failed.push(Failure {
                step: name.to_owned(),
                why,
            });
        }
        let seconds = format!("{:.0}", start.elapsed().as_secs_f64());
        self.rows
            .push(vec![name.to_owned(), word.to_owned(), seconds]);
        Ok(())
    }

    /// Prints the summary, what failed last: the end of a log is what is kept of it. The exit
    /// status.
    pub(crate) fn close(self) -> u8 {
        println!();
        print!(
            "{}",
            table::render(&["step", "result", "seconds"], &self.rows)
        );
        let failed = self.failed.len();
        println!("{} passed, {failed} failed", self.rows.len() - failed);
        for Failure { step, why } in &self.failed {
            println!("\nFAILED {step}:\n{}", why.trim_end());
        }
        u8::from(failed > 0)
    }
}

fn step(label: &str, command: &mut Command) -> Result<()> {
    command.current_dir(repo::root());
    let log = repo::logs().join(format!("test-{}.log", label.replace(' ', "-")));
    crate::progress::run(label, command, &log)?;
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = child::command(env!("CARGO"));
    cargo.args(arguments);
    cargo
}

/// Also of the sources that are in no package: those that only Kbuild compiles.
fn format() -> Result<()> {
    let mut files = Vec::new();
    rust_files(&repo::root(), &mut files)?;
    let mut rustfmt = child::command("rustfmt");
    rustfmt.args(["--check", "--edition", "2021"]).args(files);
    step("rustfmt", &mut rustfmt)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "vendor" {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn clippy() -> Result<()> {
    let host = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    step("clippy of the workspace", &mut cargo(&host))?;
    let mut models = loom::cargo(&repo::root(), &repo::target().join("loom"), "clippy");
    models.args(["--locked", "--package", "loom-tests", "--package", "xcall"]);
    models.args(["--", "-D", "warnings"]);
    step("clippy of the models", &mut models)
}

fn host_tests() -> Result<()> {
    // A lock-up is what these tests look for: it must end.
    let mut tests = child::command("timeout");
    tests.args([
        TESTS_LIMIT,
        env!("CARGO"),
        "test",
        "--locked",
        "--workspace",
    ]);
    step("cargo test", &mut tests)
}

fn documentation() -> Result<()> {
    let mut doc = cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("cargo doc", &mut doc)
}

/// Storms a guest.
pub(crate) fn guest(machine: &Machine, weather: &Weather) -> Result<Outcome> {
    let aftermath = storms::storm(machine, weather)?;
    print!(
        "{}",
        table::render(storms::HEADER, &storms::rows(weather, &aftermath))
    );
    match aftermath.failure() {
        Some(failure) => bail!("{failure}"),
        None => Ok(aftermath.outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_others() {
        let mut steps = Steps::new(None);
        steps.run("one", || bail!("no")).unwrap();
        steps.run("two", || Ok(())).unwrap();
        let failed: Vec<&str> = steps.failed.iter().map(|f| f.step.as_str()).collect();
        assert_eq!(failed, ["one"]);
        assert_eq!(steps.rows.len(), 2);
        assert_eq!(steps.close(), 1);
    }

    #[test]
    fn every_kernel_is_stormed_natively_and_as_dom0_and_the_first_as_guests_of_one() {
        let stormed = |quick, all| {
            let args = Args {
                quick,
                all,
                only: None,
            };
            let pairs = KERNELS.iter().flat_map(|k| Platform::ALL.map(|p| (k, p)));
            let wanted = pairs.filter(|(kernel, platform)| is_wanted(kernel, *platform, &args));
            wanted.count()
        };
        assert_eq!(stormed(false, false), 2 * KERNELS.len() + 1);
        assert_eq!(stormed(false, true), 2 * KERNELS.len() + 2);
        assert_eq!(stormed(true, false), KERNELS.len());
    }

    #[test]
    fn only_keeps_setup() {
        let mut steps = Steps::new(Some("guest".to_owned()));
        for name in ["format", "setup", "guest 6.12 native"] {
            steps.run(name, || Ok(())).unwrap();
        }
        assert_eq!(steps.rows.len(), 2);
    }
}
