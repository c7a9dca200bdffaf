// SPDX-License-Identifier: GPL-2.0
//! The program as users run it, as far as that goes without the module.

use std::path::Path;
use std::process::{Command, Output};

fn dtrace(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_dtrace");
    Command::new(program).args(args).output().expect("it runs")
}

#[test]
fn wrong_options_are_status_2() {
    for args in [
        &[][..],
        &["-s", "x.d"],
        &["-n", "BEGIN { exit(0); }"],
        &["-n", "a", "--record", "pidd"],
        &["--no-such-option"],
    ] {
        let output = dtrace(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn without_the_module_it_says_what_to_do() {
    if Path::new(dtrace_interface::DEVICE).exists() {
        println!("SKIPPED: the module is loaded");
        return;
    }
    let output = dtrace(&["-l"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("hint: the module is not loaded: modprobe dtrace"),
        "{told}"
    );
}

#[test]
fn a_command_is_held_until_it_is_let_go() {
    use rustix::process::{kill_process, waitpid, Pid, Signal, WaitOptions};
    let program = env!("CARGO_BIN_EXE_dtrace");
    let held = [dtrace::target::HOLD, "sh", "-c", "exit 7"];
    let mut child = Command::new(program).args(held).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped());
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let nothing = dtrace(&[dtrace::target::HOLD]);
    assert_eq!(nothing.status.code(), Some(127));
}

#[test]
fn version_and_generated_files() {
    let version = dtrace(&["-V"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("dtrace 0."));
    let man = dtrace(&["--generate", "man"]);
    let man = String::from_utf8_lossy(&man.stdout);
    assert!(man.contains("copyinstr") && man.contains("bufpolicy=WORD"));
    let options = dtrace(&["-x", "help"]);
    assert_eq!(options.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&options.stdout).contains("\naggsize=SIZE"));
}
