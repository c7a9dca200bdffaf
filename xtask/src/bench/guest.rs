// SPDX-License-Identifier: GPL-2.0
//! Prices in a guest, by `xcall_bench.ko`: one boot, everything side by side.
//!
//! What needs a kernel without xcall comes first: an NMI asks every handler, so a bare ping with
//! xcall loaded is not bare.

use crate::build;
use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::vm::{self, Boot, Program};
use anyhow::{bail, Context, Result};
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What is measured: a line that `xcall_bench.ko` takes (`bench/kernel/bench_main.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// `xcall`, `smp_call_function`, `nmi-ping`.
    pub way: &'static str,
    /// xcall's; `-` with other ways.
    pub doorbell: &'static str,
    /// `call`, `send`, `drain`.
    pub what: &'static str,
    /// `one`, `all`.
    pub whom: &'static str,
    /// `idle`, `busy`.
    pub load: &'static str,
    /// `alone`, `crowd`.
    pub callers: &'static str,
    /// Calls that wait when the target looks, for `drain`.
    pub pending: u32,
    /// Calls each caller makes.
    pub rounds: u32,
    /// Whether xcall.ko is loaded.
    pub loaded: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {} {}",
            self.way,
            self.doorbell,
            self.what,
            self.whom,
            self.load,
            self.callers,
            self.pending,
            self.rounds
        )
    }
}

/// What came of a plan: nanoseconds where the guest was timed, else instructions.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub plan: Plan,
    pub min: u32,
    pub p50: u32,
    pub p99: u32,
    /// xcall's doorbells rung for each call.
    pub rings_per_call: Option<f64>,
}

/// A guest's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Guest {
    pub kernel: &'static str,
    pub platform: &'static str,
    pub cpus: u32,
    pub figures: Vec<Figures>,
}

/// xcall's doorbells on a platform, with the way of the kernel's own that is of the same kind.
fn doorbells(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Native => &["ipi", "nmi"],
        Platform::XenPv | Platform::XenPvDomu => &["ipi", "event-channel", "xen-nmi"],
        Platform::XenPvh => &["ipi", "event-channel", "nmi"],
    }
}

/// The ways to call: the kernel's before xcall is loaded, xcall's after. The bare ping again, to
/// show what others pay for xcall's NMI handler.
fn ways(platform: Platform) -> Vec<(&'static str, &'static str, bool)> {
    let mut ways = vec![
        ("smp_call_function", "-", false),
        ("nmi-ping", "-", false),
        ("nmi-ping", "-", true),
    ];
    ways.extend(
        doorbells(platform)
            .iter()
            .map(|bell| ("xcall", *bell, true)),
    );
    ways
}

/// Calls of every kind, for a guest that is timed.
fn timed_plans(platform: Platform, rounds: u32) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (way, doorbell, loaded) in ways(platform) {
        for whom in ["one", "all"] {
            for (load, callers) in [("idle", "alone"), ("busy", "alone"), ("idle", "crowd")] {
                // Three spinning CPUs on two real ones measure the host's scheduler.
                let noise = load == "busy" && whom == "all";
                if noise || (way == "nmi-ping" && callers == "crowd") {
                    continue;
                }
                plans.push(Plan {
                    way,
                    doorbell,
                    what: "call",
                    whom,
                    load,
                    callers,
                    pending: 0,
                    rounds,
                    loaded,
                });
            }
        }
    }
    plans
}

/// Rounds in a guest that counts: they are all alike.
const COUNTED_ROUNDS: u32 = 200;

/// Drains with so many calls pending.
const PENDING: [u32; 3] = [1, 2, 4];

/// Calls, sends and drains, for a guest that counts. Its targets are busy: an idle one also counts
/// its way out of the idle loop and back.
fn counted_plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (way, doorbell, loaded) in ways(Platform::Native) {
        let plan = Plan {
            way,
            doorbell,
            what: "call",
            whom: "one",
            load: "busy",
            callers: "alone",
            pending: 0,
            rounds: COUNTED_ROUNDS,
            loaded,
        };
        for what in ["call", "send"] {
            for whom in ["one", "all"] {
                plans.push(Plan { what, whom, ..plan });
            }
        }
        if way != "nmi-ping" {
            for whom in ["one", "all"] {
                plans.push(Plan {
                    whom,
                    callers: "crowd",
                    ..plan
                });
            }
        }
        if way != "nmi-ping" && doorbell != "nmi" {
            let drain = |pending| Plan {
                what: "drain",
                load: "idle",
                pending,
                ..plan
            };
            plans.extend(PENDING.map(drain));
        }
    }
    plans
}

/// Times every kind of call in one guest of four CPUs.
pub fn timed(
    machine: &Machine,
    kernel: &'static Kernel,
    platform: Platform,
    rounds: u32,
) -> Result<Guest> {
    run(
        machine,
        kernel,
        platform,
        4,
        false,
        &timed_plans(platform, rounds),
    )
}

/// Counts instructions in a guest.
pub fn counted(machine: &Machine, kernel: &'static Kernel, cpus: u32) -> Result<Guest> {
    run(
        machine,
        kernel,
        Platform::Native,
        cpus,
        true,
        &counted_plans(),
    )
}

fn run(
    machine: &Machine,
    kernel: &'static Kernel,
    platform: Platform,
    cpus: u32,
    count_instructions: bool,
    plans: &[Plan],
) -> Result<Guest> {
    let mut boot = Boot::new(kernel, platform, Program::Command(script(plans)))?;
    boot.cpus = cpus;
    boot.count_instructions = count_instructions;
    boot.modules = build::modules(&machine.tools, kernel, false)?;
    boot.modules.push(build::bench_module(kernel));
    boot.load_modules = false;
    boot.echo = false;
    boot.timeout = Some(Duration::from_secs(1500));
    let how = if count_instructions {
        "counted"
    } else {
        "timed"
    };
    eprintln!(
        "guest {} {}, {cpus} CPUs, {how} ...",
        kernel.series,
        platform.name()
    );
    let outcome = vm::boot(machine, &boot)?;
    if let Some(failure) = outcome.failure() {
        bail!("{failure}");
    }
    if outcome.exit_code() != 0 {
        bail!("bench in the guest: {}", outcome.stderr.trim());
    }
    Ok(Guest {
        kernel: kernel.series,
        platform: platform.name(),
        cpus,
        figures: parse(&outcome.stdout, plans)?,
    })
}

/// What the module must refuse, because it would wait for ever or measure something else.
const REFUSED: [&str; 8] = [
    // A CPU has one NMI pending, and one mark of a ping.
    "nmi-ping - drain one idle alone 2 10",
    "nmi-ping - call one idle crowd 0 10",
    "smp_call_function - call some idle alone 0 10",
    "smp_call_function - call one lazy alone 0 10",
    "smp_call_function - call one idle lonely 0 10",
    "smp_call_function - count one idle alone 0 10",
    "smp_call_function - drain one idle crowd 1 10",
    "smp_call_function - drain one idle alone 5 10",
];

/// A shell script that runs the plans, those without xcall.ko first. Before the samples of each it
/// says its number.
fn script(plans: &[Plan]) -> String {
    let mut text = String::from(
        "run=/sys/kernel/debug/xcall_bench/run\n\
         plan() {\n\
         \tnumber=$1; shift\n\
         \techo \"$*\" >$run || { echo \"plan $*: refused\" >&2; exit 1; }\n\
         \techo \"plan $number\"; cat $run\n\
         }\n\
         refused() {\n\
         \techo \"$*\" >$run 2>/dev/null || return 0\n\
         \techo \"plan $*: not refused\" >&2; exit 1\n\
         }\n\
         insmod /modules/xcall_bench.ko || exit\n",
    );
    for plan in REFUSED {
        let _ = writeln!(text, "refused {plan}");
    }
    for loaded in [false, true] {
        if loaded {
            // As for other guests, see KERNEL_ARGUMENTS in vm.rs.
            text += "insmod /modules/xcall.ko nmi_deadline_ms=5000 nmi_credit_ms=3000 || exit\n";
        }
        for (number, plan) in plans.iter().enumerate() {
            if plan.loaded == loaded {
                let _ = writeln!(text, "plan {number} {plan}");
            }
        }
    }
    text + "rmmod xcall_bench && rmmod xcall\n"
}

/// The figures of each plan, in the order of the plans.
fn parse(text: &str, plans: &[Plan]) -> Result<Vec<Figures>> {
    let mut all: Vec<Option<Figures>> = vec![None; plans.len()];
    for part in text.split("plan ").skip(1) {
        let mut lines = part.lines();
        let number: usize = lines.next().unwrap_or_default().trim().parse()?;
        let plan = plans.get(number).context("a plan that was not asked for")?;
        let counters = lines.next().unwrap_or_default();
        let samples: Result<Vec<u32>, _> = lines.map(|line| line.trim().parse()).collect();
        all[number] = Some(figures(*plan, counters, samples?)?);
    }
    let missing = || bail!("the guest did not run every plan");
    all.into_iter()
        .map(|one| one.map_or_else(missing, Ok))
        .collect()
}

fn figures(plan: Plan, counters: &str, mut samples: Vec<u32>) -> Result<Figures> {
    samples.sort_unstable();
    let at = |percent: usize| {
        let last = samples.len().checked_sub(1)?;
        samples.get(last * percent / 100).copied()
    };
    let words: Vec<&str> = counters.split_whitespace().collect();
    let ["calls", calls, "rings", rings] = words[..] else {
        bail!("counters: {counters:?}");
    };
    let (calls, rings): (u64, u64) = (calls.parse()?, rings.parse()?);
    let none = || format!("{plan}: no sample");
    Ok(Figures {
        plan,
        min: at(0).with_context(none)?,
        p50: at(50).with_context(none)?,
        p99: at(99).with_context(none)?,
        rings_per_call: (calls != 0).then(|| rings as f64 / calls as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_figures() {
        let plans = &counted_plans()[..1];
        let samples: String = (1..=101).rev().map(|n| format!("{n}\n")).collect();
        let text = format!("plan 0\ncalls 10 rings 4\n{samples}");
        let all = parse(&text, plans).unwrap();
        assert_eq!((all[0].min, all[0].p50, all[0].p99), (1, 51, 100));
        assert_eq!(all[0].rings_per_call, Some(0.4));
        assert!(parse("plan 0\ncalls 0 rings 0\n", plans).is_err());
        assert!(parse("", plans).is_err());
        assert!(parse("plan 7\n", plans).is_err());
    }

    #[test]
    fn the_script_is_a_shell_script() {
        let script = script(&timed_plans(Platform::XenPv, 10));
        let shell = std::process::Command::new("sh")
            .args(["-n", "-c", &script])
            .status();
        assert!(shell.unwrap().success(), "{script}");
    }
}
