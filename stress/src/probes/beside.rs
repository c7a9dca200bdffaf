// SPDX-License-Identifier: GPL-2.0
//! What goes on beside the calls: CPUs that go offline and come back, and storms of cross-CPU calls.

use super::worker::Worker;
use crate::guest::Device;
use crate::hotplug::{self, Called, Done, Machine, Plan};
use crate::sysfs;
use anyhow::{bail, ensure, Context, Result};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How long CPUs stay as they are between two steps, so that calls are made.
const REST: Duration = Duration::from_millis(100);

/// How long a storm lasts.
const STORM_S: &str = "5";

/// Time limit of a storm's calls: beside all the rest on an emulated machine.
const DEADLINE_MS: &str = "20000";

/// The machine, with workers that leave a CPU before it goes and come back after it has come.
struct Workplace<'w> {
    workers: &'w [Worker],
    device: Option<Device>,
}

impl Workplace<'_> {
    fn worker(&self, cpu: u32) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.cpu == cpu)
    }
}

impl Machine for Workplace<'_> {
    fn take_offline(&self, cpu: u32) -> Result<()> {
        if let Some(worker) = self.worker(cpu) {
            worker.leave()?;
        }
        sysfs::switch(cpu, false)?;
        std::thread::sleep(REST);
        Ok(())
    }

    fn bring_online(&self, cpu: u32) -> Result<()> {
        sysfs::switch(cpu, true)?;
        if let Some(worker) = self.worker(cpu) {
            worker.come_back()?;
        }
        std::thread::sleep(REST);
        Ok(())
    }

    fn call(&self, cpu: u32) -> Result<Called> {
        if let Some(device) = &self.device {
            return device.call(cpu);
        }
        let is_online = sysfs::online()?.members().any(|online| online == cpu);
        Ok(match is_online {
            true => Called::Ran,
            false => Called::Offline,
        })
    }
}

/// Takes CPUs offline and brings them back, until `over`.
pub fn hotplug(workers: &[Worker], over: &AtomicBool) -> Result<Done> {
    let online = sysfs::online()?;
    let cpus: Vec<u32> = online.members().filter(|c| sysfs::has_switch(*c)).collect();
    let one_stays = online.members().any(|cpu| !cpus.contains(&cpu));
    ensure!(
        cpus.len() + usize::from(one_stays) >= 2,
        "--hotplug: this kernel lets none of these CPUs go offline"
    );
    let plan = Plan {
        cpus,
        one_stays,
        cycles: 0,
        seed: 1,
    };
    let machine = Workplace {
        workers,
        device: Device::open().ok(),
    };
    hotplug::run(&machine, &plan, || over.load(Relaxed))
}

/// What came of the storms.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Storms {
    pub storms: u64,
    /// Calls made in them.
    pub calls: u64,
}

/// Storms, one after the other, until `over`.
pub fn storms(over: &AtomicBool) -> Result<Storms> {
    let this = std::env::current_exe().context("this program's own path")?;
    let mut done = Storms::default();
    let mut irqs = ["on", "off"].into_iter().cycle();
    while !over.load(Relaxed) {
        let mut command = Command::new(&this);
        command.args(["guest", "--pattern", "mixed", "--json"]);
        command.args(["--seconds", STORM_S, "--deadline-ms", DEADLINE_MS]);
        command.args(["--irqs", irqs.next().unwrap_or("on")]);
        command.stdin(Stdio::null());
        let output = command.output().context("starting a storm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        // All but one CPU are away.
        if output.status.code() == Some(2) && said.contains("fewer than two") {
            std::thread::sleep(REST);
            continue;
        }
        let report = String::from_utf8_lossy(&output.stdout);
        let report: serde_json::Value = serde_json::from_str(&report)
            .with_context(|| format!("a storm failed: {}: {said}{report}", output.status))?;
        if !is_sound(&report) {
            bail!("a storm failed: {}: {said}{report}", output.status);
        }
        done.storms += 1;
        done.calls += report["calls"].as_u64().unwrap_or(0);
    }
    Ok(done)
}

/// Whether each of a storm's calls is accounted for. The engine's own counters are not asked: dtrace.ko
/// calls too, and a call of its that was under way at an edge of the storm shows there.
fn is_sound(report: &serde_json::Value) -> bool {
    let faults = ["lost", "duplicated", "wrong_timeouts", "refused"];
    faults.iter().all(|count| report[*count] == 0) && report["calls"].as_u64() > Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storms_that_are_sound() {
        let storm = |text: &str| is_sound(&serde_json::from_str(text).unwrap());
        let good =
            r#"{"calls":5,"lost":0,"duplicated":0,"wrong_timeouts":0,"refused":0,"unbalanced":1}"#;
        assert!(storm(good));
        for fault in ["lost", "duplicated", "wrong_timeouts", "refused"] {
            let bad = good.replace(&format!("\"{fault}\":0"), &format!("\"{fault}\":1"));
            assert!(!storm(&bad), "{fault}");
        }
        assert!(!storm("{}"));
        assert!(!storm(&good.replace("\"calls\":5", "\"calls\":0")));
    }
}
