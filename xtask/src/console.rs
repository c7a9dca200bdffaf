// SPDX-License-Identifier: GPL-2.0
//! What a kernel or a hypervisor says when something is wrong.

/// A line that starts so (after time stamp and facility) is a complaint.
const STARTS: &[&str] = &[
    "BUG",
    "INFO: ",
    "Oops",
    "WARNING: ",
    "------------[ cut here",
];

/// A line that has this anywhere is a complaint.
const ANYWHERE: &[&str] = &[
    // Crashes.
    "Kernel panic",
    "kernel BUG at",
    "general protection fault",
    "unable to handle",
    "Unable to handle",
    "double fault",
    "stack guard page was hit",
    "segfault at",
    // NMIs that nobody owned, or that took too long.
    "Uhhuh",
    "NMI received for unknown reason",
    "unknown NMI",
    "Dazed and confused",
    "NMI handler",
    // Stalls and lock-ups.
    "soft lockup",
    "hard LOCKUP",
    "hard lockup",
    "detected stall",
    "detected stalls",
    "rcu: INFO: ",
    "blocked for more than",
    "nobody cared",
    // Lock debugging and other sanity checks.
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "scheduling while atomic",
    "sleeping function called",
    "refcount_t: ",
    "corruption",
    "UBSAN: ",
    "unchecked MSR access error",
    "No irq handler for vector",
    // Modules that do not fit.
    "Unknown symbol",
    "Unknown rela relocation",
    "disagrees about version",
    // dtrace.ko's own.
    "dtrace: leaked",
    // Xen.
    "Panic on CPU",
    "crashed",
];

/// Whether a console or dmesg line is a complaint.
pub fn is_complaint(line: &str) -> bool {
    let message = message(line);
    STARTS.iter().any(|start| message.starts_with(start))
        || ANYWHERE.iter().any(|text| message.contains(text))
}

/// The complaints in `text`, less those that have one of `ignored` in them, each once.
pub fn complaints(text: &str, ignored: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| is_complaint(line)) {
        let message = message(line).trim_end().to_owned();
        let ignore = ignored.iter().any(|text| message.contains(text.as_str()));
        if !ignore && !found.contains(&message) {
            found.push(message);
        }
    }
    found
}

/// A line without its time stamp (`[    1.234567] `, also with a CPU or thread: `[ 1.2][  T1]`).
fn message(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some((stamp, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let stamp_like = |c: char| c.is_ascii_digit() || ". TC".contains(c);
        if !stamp.chars().all(stamp_like) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_seen() {
        for line in [
            "[   12.345678] WARNING: CPU: 1 PID: 77 at kernel/smp.c:807 smp_call+0x1/0x2",
            "[   12.345678][  T77] BUG: unable to handle page fault for address: 0",
            "[    5.000000] Kernel panic - not syncing: sysrq triggered crash",
            "[    5.0] Uhhuh. NMI received for unknown reason 20 on CPU 0.",
            "[    5.0] INFO: NMI handler (f+0x0/0x10) took too long to run: 1.2 msecs",
            "[    5.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    5.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s!",
            "(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.",
            "(XEN) Panic on CPU 0:",
            "[    5.0] xcall: Unknown symbol foo (err -2)",
        ] {
            assert!(is_complaint(line), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not() {
        for line in [
            "[    0.000000] Linux version 6.12.1 (debian) #1 SMP PREEMPT_DYNAMIC",
            "[    0.100000] x86/fpu: Enabled xstate features 0x207",
            "[    1.000000] xcall: loading out-of-tree module taints kernel.",
            "[    1.000000] xcall: doorbells: nmi, ipi",
            "[    0.1] Debug: INFO: is in the middle",
            "",
        ] {
            assert!(!is_complaint(line), "{line}");
        }
    }

    #[test]
    fn each_complaint_counts_once_and_can_be_ignored() {
        let text = "[ 1.0] BUG: a\n[ 2.0] BUG: a\n[ 3.0] Uhhuh. NMI\n";
        assert_eq!(complaints(text, &[]), ["BUG: a", "Uhhuh. NMI"]);
        assert_eq!(complaints(text, &["Uhhuh".to_owned()]), ["BUG: a"]);
    }
}
