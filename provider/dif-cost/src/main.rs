// SPDX-License-Identifier: GPL-2.0
//! `dtrace-dif-cost CLASS N COMMAND...` runs a command while each getppid of others runs a DIF program with
//! N instructions of a class. From the command's cost with two numbers follows that of an instruction.
//! Fails unless the program ran, each time without an error.

use dif_assembler::assemble;
use dof::{ActionSpec, ProbeSpec, Program};
use dtrace_interface::accounting::Accounting;
use dtrace_interface::action::ActionKind;
use dtrace_interface::{ioctl, probe, Plain, CPU_ALL, DEVICE};
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};

/// A class's name, what its programs begin with, and the instruction.
const CLASSES: &[[&str; 3]] = &[
    ["arithmetic", "setx 1, %r1", "add %r1, %r1, %r1"],
    ["comparison", "setx 1, %r1", "cmp %r1, %r0"],
    ["argument", "setx 1, %r1", "ldgs arg0, %r1"],
    ["global", ".global n: int64\nsetx 1, %r1", "ldgs 0x500, %r1"],
    ["load", "ldgs curthread, %r2", "ldx [%r2], %r1"],
    [
        "string",
        "sets \"dtrace:::BEGIN\", %r2; sets \"dtrace:::ERROR\", %r3; setx 1, %r1",
        "scmp %r2, %r3",
    ],
];

fn ask(file: &File, what: &str, request: u32, bytes: &mut [u8]) {
    let at = bytes.as_mut_ptr() as u64;
    // SAFETY: as many bytes as the request's structure has: ENABLE's says how many itself.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), request as _, at) };
    assert!(answer >= 0, "{what}: {}", Error::last_os_error());
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (class, count) = (word(), word().parse().unwrap_or(0_usize));
    let command = word();
    let Some([_, before, instruction]) = CLASSES.iter().find(|[name, ..]| *name == class) else {
        let names: Vec<_> = CLASSES.iter().map(|[name, ..]| *name).collect();
        panic!("usage: dtrace-dif-cost {} N COMMAND...", names.join("|"));
    };
    let text = format!(
        "{before}\n{}ret %r1",
        format!("{instruction}\n").repeat(count)
    );
    let object = assemble(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let getppid = ProbeSpec {
        provider: "syscall".to_owned(),
        module: "vmlinux".to_owned(),
        function: "getppid".to_owned(),
        name: "entry".to_owned(),
        ..ProbeSpec::default()
    };
    let trace = ActionSpec::new(ActionKind::DifExpression).difo(object);
    let program = Program::new().clause([getppid], None, [trace]);
    let mut program = program.to_bytes().expect("a program in order");

    let file = File::options().read(true).write(true).open(DEVICE);
    let file = file.unwrap_or_else(|error| panic!("{DEVICE}: {error}"));
    ask(&file, "ENABLE", ioctl::ENABLE, &mut program);
    ask(&file, "GO", ioctl::GO, &mut [0; 4]);
    let status = Command::new(&command).args(words).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
    ask(&file, "STOP", ioctl::STOP, &mut [0; 4]);
    let mut bytes = [0; Accounting::SIZE];
    let wish = Accounting {
        size: Accounting::SIZE as u32,
        cpu: CPU_ALL,
        epid: probe::EPID_NONE,
        ..Accounting::ZERO
    };
    wish.to_bytes(&mut bytes);
    ask(&file, "ACCOUNTING", ioctl::ACCOUNTING, &mut bytes);
    let done = Accounting::from_bytes(&bytes).expect("it is as large");
    if done.records == 0 || done.errors != 0 {
        eprintln!("dtrace-dif-cost: {done:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
