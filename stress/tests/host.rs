// SPDX-License-Identifier: GPL-2.0
//! The tool on threads: storms that must be clean, and a contrast that must not.

use serde_json::Value;
use std::process::{Command, Output};

fn stress(args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(args.split_whitespace())
        .output()
        .expect("the tool runs")
}

fn storm(args: &str) -> (i32, Value) {
    // Long enough for a machine under load: nothing must time out.
    let output = stress(&format!("host --json --deadline-ms 30000 {args}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text);
    let report = report.unwrap_or_else(|e| panic!("{args}: {e}: {text} {output:?}"));
    (output.status.code().unwrap_or(-1), report)
}

fn clean(args: &str) -> Value {
    let (status, report) = storm(args);
    assert_eq!(status, 0, "{args}: {report}");
    for count in [
        "lost",
        "duplicated",
        "wrong_timeouts",
        "refused",
        "unbalanced",
    ] {
        assert_eq!(report[count], 0, "{args}: {report}");
    }
    assert!(report["calls"].as_u64() > Some(0), "{args}: {report}");
    report
}

#[test]
fn every_pattern_with_interrupts_on_and_off() {
    for pattern in [
        "all-to-all",
        "broadcast",
        "pairs",
        "hotspot",
        "nested",
        "from-nmi",
        "posted",
        "mixed",
    ] {
        for irqs in ["on", "off"] {
            clean(&format!("--pattern {pattern} --irqs {irqs} --calls 1000"));
        }
    }
}

#[test]
fn every_doorbell_alone() {
    for bell in ["polled", "masked-signal", "signal"] {
        let report = clean(&format!(
            "--pattern mixed --targets-irqs off --doorbell {bell} --calls 2000"
        ));
        assert_eq!(report["doorbell"], bell);
    }
}

#[test]
fn cpus_that_go_and_come_back() {
    for pattern in ["all-to-all", "broadcast", "posted", "mixed"] {
        let report = clean(&format!("--pattern {pattern} --hotplug 40"));
        assert_eq!(report["hotplug"]["cycles"], 40, "{report}");
        assert_eq!(report["hotplug"]["wrong_offline"], 0, "{report}");
        assert_eq!(report["hotplug"]["wrong_online"], 0, "{report}");
    }
    let to_the_end = clean("--hotplug --calls 3000 --irqs off");
    assert!(to_the_end["hotplug"]["cycles"].as_u64() > Some(0));
}

#[test]
fn spoilt_rings() {
    let report = clean("--drop 30 --calls 4000");
    assert!(report["faults"].as_u64() > Some(0), "{report}");
    clean("--pattern posted --drop 20 --delay 20 --duplicate 20 --calls 2000");
}

#[test]
fn a_masked_cpu_is_named() {
    // On a machine that stands still for all of the deadline, a caller has no time to ring the
    // second doorbell, and a CPU that is let go may answer before a caller looks: then once more.
    let named = (0..5).any(|_| {
        let (status, report) = storm("--mask-target 2 --deadline-ms 1500 --seconds 1");
        if report["masked"] == 0 {
            assert_eq!(report["failure"], "no timeout named the masked CPU");
            return false;
        }
        assert_eq!(status, 0, "{report}");
        let first = &report["first_timeout"];
        assert_eq!(first["cpu"], 2, "{report}");
        assert!(first["age_ns"].as_u64() >= Some(1_500_000_000), "{report}");
        first["last_doorbell"] == "signal"
    });
    assert!(named);
}

/// Without answering its own mailbox a waiter is not heard: the tool sees it.
#[test]
fn the_contrast_fails() {
    let contrast = "--no-self-drain --irqs off --doorbell masked-signal --deadline-ms 200";
    let (status, report) = storm(&format!("{contrast} --seconds 3"));
    assert_eq!(status, 1, "{report}");
    assert!(report["wrong_timeouts"].as_u64() > Some(0), "{report}");
    assert_eq!(report["lost"], 0, "{report}");
}

#[test]
fn usage_errors() {
    for args in [
        "host --doorbell bell",
        "host --drop 101",
        "host --cpus 1",
        "host --mask-target 9",
        "host --seconds 0",
        "host --pattern sideways",
        "host --cpus 3-1",
        "host --no-self-drain",
        "host --hotplug --mask-target 1",
        "guest --hotplug --detach",
    ] {
        let output = stress(args);
        assert_eq!(output.status.code(), Some(2), "{args}: {output:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args}"
        );
    }
}
