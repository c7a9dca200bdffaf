// SPDX-License-Identifier: GPL-2.0
//! What came of a storm: a table for people, a JSON object for machines.

use crate::args::StormArgs;
use crate::hotplug::Done;
use anyhow::Result;
use serde::Serialize;
use xcall_stress_protocol::{text, Totals};

#[derive(Debug, Serialize)]
struct Report<'a> {
    pattern: &'static str,
    irqs: &'static str,
    targets_irqs: &'static str,
    doorbell: &'a str,
    cpus: u32,
    seconds: f64,
    calls: u64,
    ran: u64,
    lost: u64,
    duplicated: u64,
    wrong_timeouts: u64,
    timeouts: u64,
    busy: u64,
    offline: u64,
    refused: u64,
    from_nmi: u64,
    masked: u64,
    unbalanced: u64,
    rings: u64,
    rings_per_call: f64,
    rings_saved: u64,
    rerings: u64,
    escalations: u64,
    deepest: u64,
    faults: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    seed: u64,
    hotplug: Option<Hotplug>,
    first_timeout: Option<FirstTimeout<'a>>,
    failure: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Hotplug {
    cycles: u64,
    most_offline: usize,
    wrong_offline: u64,
    wrong_online: u64,
}

#[derive(Debug, Serialize)]
struct FirstTimeout<'a> {
    cpu: u32,
    silent: u32,
    caller: u32,
    function: &'a str,
    age_ns: u64,
    last_doorbell: &'a str,
}

impl<'a> Report<'a> {
    fn new(args: &StormArgs, totals: &'a Totals, hotplug: Option<&Done>) -> Self {
        let first = &totals.first_timeout;
        let per_call = totals.rings as f64 / totals.calls.max(1) as f64;
        Self {
            pattern: args.pattern.0.name(),
            irqs: args.irqs.name(),
            targets_irqs: args.targets_irqs.name(),
            doorbell: text(&totals.doorbells),
            cpus: totals.cpus,
            seconds: (totals.elapsed_ns / 1_000_000) as f64 / 1000.0,
            calls: totals.calls,
            ran: totals.calls.saturating_sub(totals.timeouts + totals.lost),
            lost: totals.lost,
            duplicated: totals.duplicated,
            wrong_timeouts: totals.wrong_timeouts,
            timeouts: totals.timeouts,
            busy: totals.busy,
            offline: totals.offline,
            refused: totals.refused,
            from_nmi: totals.from_nmi,
            masked: totals.masked,
            unbalanced: totals.unbalanced,
            rings: totals.rings,
            rings_per_call: (per_call * 1000.0).round() / 1000.0,
            rings_saved: totals.rings_saved,
            rerings: totals.rerings,
            escalations: totals.escalations,
            deepest: totals.deepest,
            faults: totals.faults,
            p50_ns: totals.p50_ns,
            p99_ns: totals.p99_ns,
            max_ns: totals.max_ns,
            seed: args.seed,
            hotplug: hotplug.map(|done| Hotplug {
                cycles: done.cycles,
                most_offline: done.most_offline,
                wrong_offline: done.wrong_offline,
                wrong_online: done.wrong_online,
            }),
            first_timeout: (totals.timeouts != 0).then(|| FirstTimeout {
                cpu: first.cpu,
                silent: first.silent,
                caller: first.caller,
                function: text(&first.function),
                age_ns: first.age_ns,
                last_doorbell: text(&first.last_doorbell),
            }),
            failure: totals
                .failure(args.pattern.0, args.mask_target.is_some())
                .or(hotplug.and_then(Done::failure)),
        }
    }
}

/// Shows what came of a storm, and of CPUs that went and came meanwhile. Returns whether every call
/// was accounted for.
pub fn show(args: &StormArgs, totals: &Totals, hotplug: Option<&Done>) -> Result<bool> {
    let report = Report::new(args, totals, hotplug);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", table(&report));
    }
    if let Some(failure) = report.failure {
        eprintln!("stress: {failure}");
    }
    Ok(report.failure.is_none())
}

fn table(report: &Report<'_>) -> String {
    let us = |ns: u64| format!("{:.1} us", ns as f64 / 1000.0);
    let mut rows = vec![
        (
            "storm",
            format!(
                "{}, {} CPUs, {:.1} s, callers' IRQs {}, targets' IRQs {}",
                report.pattern, report.cpus, report.seconds, report.irqs, report.targets_irqs
            ),
        ),
        ("doorbells", report.doorbell.to_owned()),
        ("calls", report.calls.to_string()),
        ("ran", report.ran.to_string()),
        ("lost", report.lost.to_string()),
        ("duplicated", report.duplicated.to_string()),
        ("wrong timeouts", report.wrong_timeouts.to_string()),
        ("timeouts", report.timeouts.to_string()),
        ("busy", report.busy.to_string()),
        ("refused, offline", report.offline.to_string()),
        ("rings per call", format!("{:.3}", report.rings_per_call)),
        ("rings saved", report.rings_saved.to_string()),
        ("re-rings", report.rerings.to_string()),
        ("escalations", report.escalations.to_string()),
        ("deepest nesting", report.deepest.to_string()),
        (
            "p50, p99, max",
            [report.p50_ns, report.p99_ns, report.max_ns]
                .map(us)
                .join(", "),
        ),
    ];
    for (name, count) in [
        ("refused", report.refused),
        ("made in NMIs", report.from_nmi),
        ("rings spoilt", report.faults),
        ("by masked CPU", report.masked),
        ("unbalanced", report.unbalanced),
    ] {
        if count != 0 {
            rows.push((name, count.to_string()));
        }
    }
    if let Some(hotplug) = &report.hotplug {
        rows.push((
            "hotplug",
            format!(
                "{} cycles, at most {} CPUs offline at a time",
                hotplug.cycles, hotplug.most_offline
            ),
        ));
    }
    if let Some(first) = &report.first_timeout {
        let more = match first.silent {
            0 | 1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        rows.push((
            "first timeout",
            format!(
                "CPU{} -> CPU{}{more}: {} not started in {} ms, {}",
                first.caller,
                first.cpu,
                first.function,
                first.age_ns / 1_000_000,
                match first.last_doorbell {
                    // Posted, and waited for in the storm's own way.
                    "" => "still under way".to_owned(),
                    name => format!("last doorbell {name}, withdrawn"),
                },
            ),
        ));
    }
    rows.iter()
        .map(|(name, value)| format!("{name:<16}  {value}\n"))
        .collect()
}
