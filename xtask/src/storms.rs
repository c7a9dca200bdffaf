// SPDX-License-Identifier: GPL-2.0
//! Storms of calls in a guest: which ones, and what the stress tool said about each.

use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::vm::{self, Boot, Outcome, Program};
use crate::{build, guest_programs};
use anyhow::Result;
use serde::Deserialize;
use std::sync::mpsc;
use std::time::Duration;

/// Doorbells that cannot be rung from an NMI: such a storm is left out.
const NOT_FROM_NMI: &[&str] = &["ipi"];

/// Generous: emulated CPUs share few real ones, and a guest's clock may run behind.
const SLOWDOWN: u64 = 6;

/// A pattern and whether the callers have interrupts on: `("all-to-all", "off")`.
pub type Storm = (&'static str, &'static str);

/// What `run` shows.
pub const SHOWN: &[Storm] = &[("all-to-all", "on"), ("all-to-all", "off")];

/// What every change must survive.
pub const USUAL: &[Storm] = &[
    ("all-to-all", "on"),
    ("all-to-all", "off"),
    ("from-nmi", "off"),
    ("nested", "off"),
];

/// All patterns.
pub const ALL: &[Storm] = &[
    ("all-to-all", "on"),
    ("all-to-all", "off"),
    ("broadcast", "on"),
    ("broadcast", "off"),
    ("pairs", "off"),
    ("hotspot", "off"),
    ("nested", "on"),
    ("nested", "off"),
    ("from-nmi", "off"),
    ("posted", "on"),
    ("posted", "off"),
    ("mixed", "on"),
    ("mixed", "off"),
];

/// A guest full of storms.
#[derive(Clone, Copy)]
pub struct Weather {
    pub kernel: &'static Kernel,
    pub platform: Platform,
    pub cpus: u32,
    /// More arguments for the Linux kernel.
    pub append: &'static str,
    /// As in [`Boot`].
    pub x2apic_cluster: bool,
    pub storms: &'static [Storm],
    pub seconds: u64,
}

impl Weather {
    /// On four CPUs, nothing out of the ordinary.
    pub fn new(
        kernel: &'static Kernel,
        platform: Platform,
        storms: &'static [Storm],
        seconds: u64,
    ) -> Weather {
        Weather {
            kernel,
            platform,
            cpus: 4,
            append: "",
            x2apic_cluster: false,
            storms,
            seconds,
        }
    }

    /// The same in guests that live long enough: QEMU may end a PVH guest after some tens of seconds
    /// (docs/xen.md), so there each storm has its own.
    pub fn by_guest(self) -> Vec<Weather> {
        if self.platform != Platform::XenPvh {
            return vec![self];
        }
        let each = self.storms.chunks(1);
        each.map(|storms| Weather { storms, ..self }).collect()
    }
}

/// One storm as `stress guest --json` reports it.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    pub pattern: String,
    pub irqs: String,
    pub doorbell: String,
    pub calls: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub wrong_timeouts: u64,
    pub timeouts: u64,
    pub rings_per_call: f64,
    pub rerings: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    /// What the tool itself found wrong.
    pub failure: Option<String>,
}

impl Report {
    /// Whether every call was accounted for.
    pub fn clean(&self) -> bool {
        let wrong = self.lost + self.duplicated + self.wrong_timeouts;
        self.calls > 0 && wrong == 0 && self.failure.is_none()
    }
}

/// How the storms of one guest went.
pub struct Aftermath {
    pub reports: Vec<Report>,
    pub outcome: Outcome,
}

impl Aftermath {
    /// Why they count as failed.
    pub fn failure(&self) -> Option<String> {
        if let Some(failure) = self.outcome.failure() {
            return Some(failure);
        }
        let bad = self.reports.iter().filter(|report| !report.clean()).count();
        let status = self.outcome.exit_code();
        if bad == 0 && status == 0 && !self.reports.is_empty() {
            return None;
        }
        let last = crate::progress::last_lines(&self.outcome.stderr);
        let count = self.reports.len();
        Some(format!(
            "{count} storms, {bad} not clean, exit status {status}\n{last}"
        ))
    }
}

/// Boots the guest and storms with every doorbell it has. Each report is shown as it comes.
pub fn storm(machine: &Machine, weather: &Weather) -> Result<Aftermath> {
    let Weather {
        kernel, platform, ..
    } = *weather;
    let mut boot = Boot::new(kernel, platform, Program::Command(script(weather)))?;
    boot.cpus = weather.cpus;
    boot.append = weather.append.to_owned();
    boot.x2apic_cluster = weather.x2apic_cluster;
    boot.modules = build::modules(&machine.tools, boot.kernel, false)?;
    boot.copies.extend(guest_programs::all()?);
    boot.echo = false;
    // Four doorbells at most, and the boot.
    let storms = 4 * weather.storms.len() as u64;
    let start = if platform.has_dom0() { 600 } else { 180 };
    let limit = start + storms * weather.seconds * SLOWDOWN;
    boot.timeout = Some(Duration::from_secs(limit));

    eprintln!("guest {} {} ...", kernel.series, platform.name());
    let (sender, lines) = mpsc::channel();
    boot.lines = Some(sender);
    let shower = std::thread::spawn(move || {
        for line in lines {
            if let Ok(report) = serde_json::from_str::<Report>(&line) {
                eprintln!("  {}", sentence(&report));
            }
        }
    });
    let outcome = vm::boot(machine, &boot);
    drop(boot);
    let _ = shower.join();
    let outcome = outcome?;
    let reports = reports(&outcome);
    Ok(Aftermath { reports, outcome })
}

/// What the tool reported there, from the beginning of its output on.
pub fn reports(outcome: &Outcome) -> Vec<Report> {
    let reports = serde_json::Deserializer::from_str(&outcome.stdout).into_iter();
    reports.map_while(Result::ok).collect()
}

fn sentence(report: &Report) -> String {
    let Report {
        doorbell,
        pattern,
        irqs,
        calls,
        lost,
        duplicated,
        wrong_timeouts,
        ..
    } = report;
    format!(
        "{doorbell}, {pattern}, IRQs {irqs}: {calls} calls, {lost} lost, \
         {duplicated} duplicated, {wrong_timeouts} wrong timeouts"
    )
}

/// Shell lines that run the storms one after the other, a JSON object each.
fn script(weather: &Weather) -> String {
    let storms: Vec<String> = weather
        .storms
        .iter()
        .map(|(pattern, irqs)| format!("{pattern}/{irqs}"))
        .collect();
    let skipped: Vec<String> = NOT_FROM_NMI
        .iter()
        .map(|doorbell| format!("from-nmi/{doorbell}"))
        .collect();
    format!(
        r#"
doorbells=$(stress guest --list-doorbells) || exit
[ -n "$doorbells" ] || {{ echo "stress lists no doorbell" >&2; exit 1; }}
status=0
for doorbell in $doorbells; do
	for storm in {storms}; do
		pattern=${{storm%/*}} irqs=${{storm#*/}}
		case $pattern/$doorbell in {skipped}) continue ;; esac
		stress guest --pattern $pattern --irqs $irqs --doorbell $doorbell \
			--seconds {seconds} --json || status=$?
	done
done
exit $status
"#,
        storms = storms.join(" "),
        skipped = skipped.join(" | "),
        seconds = weather.seconds,
    )
}

/// The header of a table of storms.
pub const HEADER: &[&str] = &[
    "kernel",
    "platform",
    "doorbell",
    "pattern",
    "IRQs",
    "calls",
    "lost",
    "dup",
    "wrong",
    "timeouts",
    "rings/call",
    "re-rings",
    "p50 us",
    "p99 us",
    "max us",
];

/// Its rows for one guest.
pub fn rows(weather: &Weather, aftermath: &Aftermath) -> Vec<Vec<String>> {
    let microseconds = |ns: u64| format!("{:.1}", ns as f64 / 1000.0);
    let row = |report: &Report| {
        vec![
            weather.kernel.series.to_owned(),
            weather.platform.name().to_owned(),
            report.doorbell.clone(),
            report.pattern.clone(),
            report.irqs.clone(),
            report.calls.to_string(),
            report.lost.to_string(),
            report.duplicated.to_string(),
            report.wrong_timeouts.to_string(),
            report.timeouts.to_string(),
            format!("{:.2}", report.rings_per_call),
            report.rerings.to_string(),
            microseconds(report.p50_ns),
            microseconds(report.p99_ns),
            microseconds(report.max_ns),
        ]
    };
    aftermath.reports.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(calls: u64, lost: u64) -> Report {
        let text = format!(
            r#"{{"pattern":"pairs","irqs":"off","doorbell":"nmi","calls":{calls},"lost":{lost},
            "duplicated":0,"wrong_timeouts":0,"timeouts":0,"rings_per_call":0.5,"rerings":0,
            "p50_ns":1,"p99_ns":2,"max_ns":3,"failure":null,"more":[1]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_storm_without_calls_or_with_a_lost_one_is_not_clean() {
        assert!(report(10, 0).clean());
        assert!(!report(0, 0).clean());
        assert!(!report(10, 1).clean());
    }

    #[test]
    fn the_script_is_a_shell_script() {
        let weather = Weather::new(&crate::kernels::KERNELS[0], Platform::Native, ALL, 1);
        let script = script(&weather);
        let shell = std::process::Command::new("sh")
            .args(["-n", "-c", &script])
            .status();
        assert!(shell.unwrap().success(), "{script}");
    }
}
