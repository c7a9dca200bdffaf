// SPDX-License-Identifier: GPL-2.0
//! Kernels that lack an optional API: each API of `xcall/kernel/compat.h` in turn is taken away from a
//! kernel that has it. The modules must load, say what is lost and what is used instead, lose no
//! other doorbell than those that need the API, and storm on what is left.

use crate::kernels::Kernel;
use crate::platform::Platform;
use crate::setup::Machine;
use crate::storms::Report;
use crate::vm::{self, Boot, Program};
use crate::{build, guest_programs, table};
use anyhow::{bail, ensure, Result};
use std::time::Duration;

/// An optional API, and the doorbells it takes with it.
pub struct Api {
    pub name: &'static str,
    lost_native: &'static [&'static str],
    lost_xen_pv: &'static [&'static str],
    /// What a kernel that lacks it would not export.
    symbols: &'static [&'static str],
    /// Where it is tried without `--all`: where most is lost with it.
    usual: &'static [Platform],
}

/// All of them, as in `xcall/kernel/module.mk`.
#[rustfmt::skip]
pub const APIS: &[Api] = &[
    Api { name: "NMI_IPI",           lost_native: &["nmi"], lost_xen_pv: &[],                           usual: &[Platform::Native],
          symbols: &["__SCT__apic_call_send_IPI_mask"] },
    Api { name: "NMI_HANDLER",       lost_native: &["nmi"], lost_xen_pv: &["xen-nmi"],                  usual: &[Platform::XenPv],
          symbols: &["__register_nmi_handler", "unregister_nmi_handler"] },
    Api { name: "XEN",               lost_native: &[],      lost_xen_pv: &["event-channel", "xen-nmi"], usual: &[Platform::XenPv],
          symbols: &["__SCT__xen_hypercall", "bind_evtchn_to_irqhandler", "unbind_from_irqhandler", "xen_domain_type", "xen_vcpu_id"] },
    Api { name: "XEN_EVENT_CHANNEL", lost_native: &[],      lost_xen_pv: &["event-channel"],            usual: &[],
          symbols: &["bind_evtchn_to_irqhandler", "unbind_from_irqhandler"] },
    Api { name: "XEN_NMI",           lost_native: &[],      lost_xen_pv: &["xen-nmi"],                  usual: &[],
          symbols: &[] },
    Api { name: "XEN_RESUME",        lost_native: &[],      lost_xen_pv: &[],                           usual: &[],
          symbols: &["__platform_driver_register"] },
    Api { name: "DEBUGFS",           lost_native: &[],      lost_xen_pv: &[],                           usual: &[],
          symbols: &["debugfs_create_dir", "debugfs_create_file"] },
    Api { name: "KALLSYMS",          lost_native: &[],      lost_xen_pv: &[],                           usual: &[],
          symbols: &["sprint_symbol"] },
];

/// Generous: see storms.rs.
const LIMIT: Duration = Duration::from_secs(900);

/// Lines before the storms' reports: what the modules said, and the doorbells.
const SCRIPT: &str = r#"
dmesg | sed -n 's/.*\] xcall: /log /p' | grep -v taint
[ -e /sys/kernel/debug/xcall ] && echo "debugfs there"
doorbells=$(stress guest --list-doorbells) || exit
status=0
for doorbell in $doorbells; do
	echo "doorbell $doorbell"
	for storm in all-to-all/on all-to-all/off mixed/off; do
		stress guest --pattern ${storm%/*} --irqs ${storm#*/} --doorbell $doorbell \
			--seconds 3 --json || status=$?
	done
done
exit $status
"#;

/// The header of a table of these guests.
pub const HEADER: &[&str] = &[
    "kernel",
    "platform",
    "without",
    "lost",
    "left",
    "storms",
    "calls",
    "lost calls",
    "dup",
    "wrong",
];

impl Api {
    /// Whether it is tried on `platform`; `all`: everywhere that doorbells are known.
    pub fn is_tried(&self, platform: Platform, all: bool) -> bool {
        (all && doorbells(platform).is_some()) || self.usual.contains(&platform)
    }

    fn lost(&self, platform: Platform) -> &'static [&'static str] {
        match platform {
            Platform::Native => self.lost_native,
            _ => self.lost_xen_pv,
        }
    }

    /// Boots a guest without it; the row of the table.
    pub fn run(
        &self,
        machine: &Machine,
        kernel: &'static Kernel,
        platform: Platform,
    ) -> Result<Vec<String>> {
        let mut boot = Boot::new(kernel, platform, Program::Command(SCRIPT.to_owned()))?;
        boot.modules = build::modules_without(&machine.tools, kernel, self.name)?;
        let wanted = build::undefined_symbols(&machine.tools, &boot.modules)?;
        if let Some(symbol) = self.symbols.iter().find(|s| wanted.contains(**s)) {
            bail!(
                "the modules want {symbol}, which a kernel without {} lacks",
                self.name
            );
        }
        boot.copies.extend(guest_programs::all()?);
        boot.echo = false;
        boot.timeout = Some(LIMIT);
        let outcome = vm::boot(machine, &boot)?;
        if let Some(failure) = outcome.failure() {
            bail!("{failure}");
        }
        let said = Said::new(&outcome.stdout);
        self.judge(platform, &said, outcome.exit_code())
            .map_err(|error| error.context(format!("{}{}", outcome.stdout, outcome.stderr)))?;
        let sum = |count: fn(&Report) -> u64| said.reports.iter().map(count).sum::<u64>();
        let row = vec![
            kernel.series.to_owned(),
            platform.name().to_owned(),
            self.name.to_owned(),
            list(self.lost(platform)),
            list(&said.doorbells),
            said.reports.len().to_string(),
            sum(|report| report.calls).to_string(),
            sum(|report| report.lost).to_string(),
            sum(|report| report.duplicated).to_string(),
            sum(|report| report.wrong_timeouts).to_string(),
        ];
        for line in said.log {
            eprintln!("  xcall: {line}");
        }
        print!("{}", table::render(HEADER, std::slice::from_ref(&row)));
        Ok(row)
    }

    fn judge(&self, platform: Platform, said: &Said<'_>, status: u8) -> Result<()> {
        let name = self.name;
        let missing = format!("this kernel has no {name}: ");
        let named = said.log.iter().any(|line| line.starts_with(&missing));
        ensure!(named, "the log does not say that {name} is missing");
        let lost = self.lost(platform);
        for bell in lost {
            let start = format!("without doorbell {bell}: ");
            let named = said.log.iter().any(|line| line.starts_with(&start));
            ensure!(named, "the log does not say why {bell} is lost");
        }
        let all = doorbells(platform).unwrap_or_default().iter();
        let left: Vec<&str> = all.filter(|bell| !lost.contains(bell)).copied().collect();
        ensure!(
            said.doorbells == left,
            "left are {}, not {}",
            list(&said.doorbells),
            list(&left)
        );
        ensure!(
            said.debugfs != (name == "DEBUGFS"),
            "debugfs: there is {}",
            if said.debugfs { "a folder" } else { "none" }
        );
        let clean = said.reports.iter().filter(|report| report.clean()).count();
        let count = said.reports.len();
        ensure!(
            count > 0 && clean == count && status == 0,
            "{clean} of {count} storms clean, exit status {status}"
        );
        Ok(())
    }
}

/// The doorbells of a platform when nothing is missing, weakest first.
fn doorbells(platform: Platform) -> Option<&'static [&'static str]> {
    match platform.name() {
        "native" => Some(&["ipi", "nmi"]),
        "xen-pv" => Some(&["ipi", "event-channel", "xen-nmi"]),
        _ => None,
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "-".to_owned(),
        names => names.join(", "),
    }
}

/// What a guest's script printed.
struct Said<'o> {
    log: Vec<&'o str>,
    doorbells: Vec<&'o str>,
    debugfs: bool,
    reports: Vec<Report>,
}

impl<'o> Said<'o> {
    fn new(stdout: &'o str) -> Self {
        let of = |word: &'static str| {
            let lines = stdout.lines();
            lines.filter_map(move |line| line.strip_prefix(word))
        };
        let reports = stdout.lines().filter(|line| line.starts_with('{'));
        Self {
            log: of("log ").collect(),
            doorbells: of("doorbell ").collect(),
            debugfs: of("debugfs there").next().is_some(),
            reports: reports
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makefile_knows_the_same() {
        let text = include_str!("../../xcall/kernel/module.mk");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("xcall-apis := "));
        let mut there: Vec<&str> = line.unwrap().split_whitespace().collect();
        let mut here: Vec<&str> = APIS.iter().map(|api| api.name).collect();
        there.sort_unstable();
        here.sort_unstable();
        assert_eq!(there, here);
    }

    const NMI_HANDLER: &Api = &APIS[1];

    fn judge(stdout: &str) -> Result<()> {
        NMI_HANDLER.judge(Platform::Native, &Said::new(stdout), 0)
    }

    #[test]
    fn what_must_be_said() {
        let report =
            r#"{"pattern":"mixed","irqs":"on","doorbell":"ipi","calls":5,"lost":0,"duplicated":0,
            "wrong_timeouts":0,"timeouts":0,"rings_per_call":1.0,"rerings":0,"p50_ns":1,"p99_ns":1,
            "max_ns":1,"failure":null}"#
                .replace('\n', "");
        let good = format!(
            "log this kernel has no NMI_HANDLER: lost x\nlog without doorbell nmi: y\n\
             debugfs there\ndoorbell ipi\n{report}\n"
        );
        judge(&good).unwrap();
        for (what, instead) in [
            ("no NMI_HANDLER", "no NMI"),
            ("doorbell nmi", "doorbell ipi"),
            ("debugfs there", ""),
            ("doorbell ipi\n", "doorbell ipi\ndoorbell nmi\n"),
            (r#""lost":0"#, r#""lost":1"#),
            (report.as_str(), ""),
        ] {
            assert!(judge(&good.replace(what, instead)).is_err(), "{what}");
        }
    }
}
