// SPDX-License-Identifier: GPL-2.0
//! `cargo xtask soak`: one guest, storms of every kind for an hour or so, and what memory became of it.
//!
//! Rounds of mixed storms on every doorbell in turn, then one on all of them. Memory is read after the
//! first round, when all that is made once is there, and after each other: what the kernel holds for
//! itself must not grow.

use crate::kernels::{self, Kernel};
use crate::platform::Platform;
use crate::setup::{self, Machine};
use crate::storms::Report;
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs, table};
use anyhow::{ensure, Context, Result};
use std::sync::mpsc;
use std::time::Duration;

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub struct Args {
    /// Stock kernel to boot
    #[arg(long, value_name = "SERIES", default_value = "6.12", value_parser = kernels::parse)]
    kernel: &'static Kernel,
    /// Where it runs
    #[arg(long, value_enum)]
    platform: Platform,
    /// Virtual CPUs
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
}

/// The kernel's own memory may differ by so much between rounds: caches that fill and empty.
const SLACK_KIB: u64 = 4096;

/// Each round prints `memory KIB`: slabs, per-CPU memory, vmalloc, stacks and page tables.
const SCRIPT: &str = r#"
memory() {
	awk '/^(Slab|Percpu|VmallocUsed|KernelStack|PageTables):/ { sum += $2 } END { print "memory", sum }' \
		/proc/meminfo
}
doorbells=$(stress guest --list-doorbells) || exit
end=$(($(cut -d. -f1 /proc/uptime) + minutes * 60)) seed=0 status=0
while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do
	for doorbell in $doorbells all; do
		for irqs in on off; do
			seed=$((seed + 1))
			only="--doorbell $doorbell"
			[ $doorbell = all ] && only=
			stress guest --pattern mixed --irqs $irqs $only --seconds 30 --seed $seed --json || status=$?
		done
	done
	echo 1 >/proc/sys/vm/drop_caches
	memory
done
exit $status
"#;

/// `cargo xtask soak`.
pub fn command(args: &Args) -> Result<()> {
    let machine = setup::ensure_machine()?;
    let mut boot = boot(&machine, args)?;
    let (sender, lines) = mpsc::channel();
    boot.lines = Some(sender);
    let progress = std::thread::spawn(move || {
        let mut sum = Sum::default();
        for line in lines {
            sum.take(&line);
            if line.starts_with("memory") {
                eprintln!("  {}", sum.sentence());
            }
        }
    });
    let outcome = vm::boot(&machine, &boot);
    drop(boot);
    let _ = progress.join();
    let outcome = outcome?;
    let mut sum = Sum::default();
    outcome.stdout.lines().for_each(|line| sum.take(line));
    print!("{}", table::render(HEADER, &[sum.row(args)]));
    outcome.ended_with(0)?;
    sum.judge()
}

fn boot(machine: &Machine, args: &Args) -> Result<Boot> {
    let script = format!("minutes={}\n{SCRIPT}", args.minutes);
    let mut boot = Boot::new(args.kernel, args.platform, Program::Command(script))?;
    boot.cpus = args.cpus;
    boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
    boot.copies.extend(guest_programs::all()?);
    boot.echo = false;
    // A guest's clock may run behind, and its last round goes on to its end.
    boot.timeout = Some(Duration::from_secs(1800 + args.minutes * 60 * 3));
    Ok(boot)
}

const HEADER: &[&str] = &[
    "kernel",
    "platform",
    "minutes",
    "storms",
    "calls",
    "lost",
    "dup",
    "wrong",
    "timeouts",
    "re-rings",
    "memory first KiB",
    "least",
    "most",
    "last",
];

/// What the guest said, added up.
#[derive(Default)]
struct Sum {
    storms: u64,
    unclean: u64,
    calls: u64,
    lost: u64,
    duplicated: u64,
    wrong_timeouts: u64,
    timeouts: u64,
    rerings: u64,
    memory_kib: Vec<u64>,
}

impl Sum {
    fn take(&mut self, line: &str) {
        if let Some(kib) = line.strip_prefix("memory ") {
            self.memory_kib.extend(kib.parse::<u64>());
        } else if let Ok(report) = serde_json::from_str::<Report>(line) {
            self.storms += 1;
            self.unclean += u64::from(!report.clean());
            self.calls += report.calls;
            self.lost += report.lost;
            self.duplicated += report.duplicated;
            self.wrong_timeouts += report.wrong_timeouts;
            self.timeouts += report.timeouts;
            self.rerings += report.rerings;
        }
    }

    fn sentence(&self) -> String {
        let Sum {
            storms,
            calls,
            lost,
            duplicated,
            wrong_timeouts,
            ..
        } = self;
        let kib = self.memory_kib.last().unwrap_or(&0);
        format!(
            "{storms} storms, {calls} calls, {lost} lost, {duplicated} duplicated, \
             {wrong_timeouts} wrong timeouts, {kib} KiB"
        )
    }

    fn row(&self, args: &Args) -> Vec<String> {
        let kib = |kib: Option<&u64>| kib.map_or("-".to_owned(), u64::to_string);
        let memory = self.memory_kib.iter();
        let mut row = vec![
            args.kernel.series.to_owned(),
            args.platform.name().to_owned(),
            args.minutes.to_string(),
        ];
        let counts = [
            self.storms,
            self.calls,
            self.lost,
            self.duplicated,
            self.wrong_timeouts,
            self.timeouts,
            self.rerings,
        ];
        row.extend(counts.map(|count| count.to_string()));
        row.push(kib(self.memory_kib.first()));
        row.push(kib(memory.clone().min()));
        row.push(kib(memory.max()));
        row.push(kib(self.memory_kib.last()));
        row
    }

    fn judge(&self) -> Result<()> {
        let Sum {
            storms, unclean, ..
        } = self;
        ensure!(*storms > 0, "no storm");
        ensure!(*unclean == 0, "{unclean} of {storms} storms not clean");
        let first = self.memory_kib.first().context("no round was ended")?;
        let last = self.memory_kib.last().context("no round was ended")?;
        let grown = last.saturating_sub(*first);
        ensure!(
            grown <= SLACK_KIB,
            "the kernel's memory grew by {grown} KiB"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Sum {
        let mut sum = Sum::default();
        lines.iter().for_each(|line| sum.take(line));
        sum
    }

    fn storm(lost: u64) -> String {
        format!(
            r#"{{"pattern":"mixed","irqs":"off","doorbell":"nmi","calls":9,"lost":{lost},
            "duplicated":0,"wrong_timeouts":0,"timeouts":0,"rings_per_call":0.5,"rerings":1,
            "p50_ns":1,"p99_ns":2,"max_ns":3,"failure":null}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn what_is_lost_or_grows_is_seen() {
        let (clean, lossy) = (storm(0), storm(1));
        let sum = after(&[&clean, &clean, "memory 100", &clean, "memory 4000"]);
        assert_eq!((sum.storms, sum.calls), (3, 27));
        assert!(sum.judge().is_ok());
        assert!(after(&[&clean, &lossy, "memory 100"]).judge().is_err());
        assert!(after(&[&clean, "memory 100", "memory 5000"])
            .judge()
            .is_err());
        assert!(after(&["memory 100"]).judge().is_err());
        assert!(after(&[&clean]).judge().is_err());
    }
}
