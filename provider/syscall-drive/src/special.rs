// SPDX-License-Identifier: GPL-2.0
//! Cases beside one call each: programs of other ABIs, a signal's return, calls that are refused before
//! the kernel has seen them, and numbers that no call has.

use crate::cases::{both, exit, Cases};
use crate::child::Ended;
use crate::machine::{breakpoint, call, handler, native, How, Small, MARK};
use crate::record::Record;
use crate::table::Abi;
use anyhow::{ensure, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const EXECVE: u64 = libc::SYS_execve as u64;
const GETPID: u64 = libc::SYS_getpid as u64;
const GETPPID: u64 = libc::SYS_getppid as u64;
const PRCTL: u64 = libc::SYS_prctl as u64;
const PTRACE: u64 = libc::SYS_ptrace as u64;
const KILL: u64 = libc::SYS_kill as u64;
const SIGACTION: u64 = libc::SYS_rt_sigaction as u64;

const ENOSYS: i64 = -38;

/// `SECCOMP_RET_KILL_PROCESS`
const KILL_PROCESS: u32 = 0x8000_0000;

/// What small programs call with.
const COUNTED: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// What the small 64-bit programs exit with.
const SEVEN: [u64; 6] = [7, 2, 3, 4, 5, 6];

/// Makes all of them.
pub fn all(cases: &mut Cases) -> Result<()> {
    programs(cases)?;
    signal(cases)?;
    // include/uapi/linux/seccomp.h: the filter's answers.
    seccomp(cases, "seccomp: ERRNO", 0x0005_0001, Some(-1))?;
    seccomp(
        cases,
        "seccomp: TRACE, and nobody traces",
        0x7ff0_0000,
        Some(ENOSYS),
    )?;
    seccomp(cases, "seccomp: TRAP", 0x0003_0000, None)?;
    seccomp(cases, "seccomp: KILL_PROCESS", KILL_PROCESS, None)?;
    tracer(cases)?;
    no_call(cases)
}

/// `execve` and `execveat` that succeed, into each ABI and from each.
fn programs(cases: &mut Cases) -> Result<()> {
    let native_end = |ppid| {
        let [entry, back] = both(Abi::Vmlinux, "getppid", &COUNTED, ppid);
        vec![
            entry,
            back,
            Record::entry(Abi::Vmlinux, "exit_group", SEVEN),
        ]
    };
    let ppid = i64::from(std::process::id());
    for (name, small) in [
        ("program64", Small::Native),
        ("program32", Small::Ia32),
        ("programx32", Small::X32),
    ] {
        let path = format!("/tmp/{name}");
        fs::write(&path, small.file())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let x32_end = || {
        let [entry, back] = both(Abi::X32, "getppid", &COUNTED, ppid);
        vec![entry, back, Record::entry(Abi::X32, "exit_group", SEVEN)]
    };
    let ia32_end = || {
        let twice = both(Abi::Ia32, "getppid", &COUNTED, ppid);
        let args = [Small::path_in_ia32(), 0, 0, 4, 5, 6];
        let become_native = both(Abi::Ia32, "execve", &args, 0);
        let all = [twice.clone(), twice, become_native];
        all.into_iter()
            .flatten()
            .chain(native_end(ppid))
            .collect::<Vec<_>>()
    };
    let into =
        |cases: &mut Cases, what: &str, path: &str, abi, name: &str, number, rest: Vec<Record>| {
            let path = cases.low.give(format!("{path}\0").as_bytes())?;
            let args = match name {
                "execveat" => [0, path, 0, 0, 0, 0],
                _ => [path, 0, 0, 0, 0, 0],
            };
            let child = cases.child(|low| {
                // SAFETY: a path that is there, and no arguments.
                low.answer(0, unsafe { call(abi, number, &args, How::default()) });
            })?;
            let ended = child.end()?;
            ensure!(
                ended == Ended::Exited(7),
                "{what}: {ended:?}, {:?}",
                cases.low.answers()
            );
            let mut records = both(abi, name, &args, 0).to_vec();
            records.extend(rest);
            cases.expect(what, child.pid.into(), None, records);
            Ok(())
        };
    let native = "/tmp/program64";
    into(
        cases,
        "execve: 64-bit to ia32 to 64-bit",
        "/tmp/program32",
        Abi::Vmlinux,
        "execve",
        EXECVE,
        ia32_end(),
    )?;
    into(
        cases,
        "execve: 64-bit to x32",
        "/tmp/programx32",
        Abi::Vmlinux,
        "execve",
        EXECVE,
        x32_end(),
    )?;
    for (abi, execve, execveat) in [
        (Abi::Vmlinux, 59, 322),
        (Abi::Ia32, 11, 358),
        (Abi::X32, 520, 545),
    ] {
        let what = format!("execve by {}", abi.module());
        into(
            cases,
            &what,
            native,
            abi,
            "execve",
            execve,
            native_end(ppid),
        )?;
        let what = format!("execveat by {}", abi.module());
        into(
            cases,
            &what,
            native,
            abi,
            "execveat",
            execveat,
            native_end(ppid),
        )?;
    }
    Ok(())
}

/// A signal that is handled: rt_sigreturn returns the interrupted code's register.
fn signal(cases: &mut Cases) -> Result<()> {
    let [handler, restorer] = handler();
    // struct sigaction as the kernel has it: handler, SA_RESTORER, restorer, mask.
    let action: Vec<u8> = [handler, 0x0400_0000, restorer, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let action = cases.low.give(&action)?;
    let args = [libc::SIGTRAP as u64, action, 0, 8];
    let child = cases.child(|low| {
        // SAFETY: the handler does nothing.
        low.answer(0, unsafe { native(SIGACTION, &args) });
        breakpoint();
    })?;
    let ended = child.end()?;
    ensure!(ended == Ended::Exited(0), "rt_sigreturn: {ended:?}");
    let mut records = both(Abi::Vmlinux, "rt_sigaction", &args, 0).to_vec();
    records.extend(both(Abi::Vmlinux, "rt_sigreturn", &COUNTED, MARK));
    records.push(exit());
    cases.expect(
        "rt_sigreturn from a handler",
        child.pid.into(),
        None,
        records,
    );
    Ok(())
}

/// A filter that answers getppid, which then leaves nothing: `value` is what it returns, None if it kills.
fn seccomp(cases: &mut Cases, what: &str, answer: u32, value: Option<i64>) -> Result<()> {
    // include/uapi/linux/bpf_common.h: the number; is it getppid; the answer; or as ever.
    const fn op(code: u16, yes: u8, no: u8, value: u32) -> u64 {
        code as u64 | (yes as u64) << 16 | (no as u64) << 24 | (value as u64) << 32
    }
    let program = [
        op(0x20, 0, 0, 0),
        op(0x15, 0, 1, GETPPID as u32),
        op(6, 0, 0, answer),
        op(6, 0, 0, 0x7fff_0000),
    ];
    // Behind it, struct sock_fprog: the number of instructions, and where they are.
    let bytes = |words: &[u64]| {
        words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect::<Vec<u8>>()
    };
    let at = cases.low.give(&bytes(&program))?;
    let mut words = program.to_vec();
    words.extend([program.len() as u64, at]);
    cases.low.give(&bytes(&words))?;
    let filter = at + 8 * program.len() as u64;
    let no_new = [libc::PR_SET_NO_NEW_PRIVS as u64, 1];
    let set = [libc::PR_SET_SECCOMP as u64, 2, filter];
    let child = cases.child(|low| {
        // SAFETY: the filter is copied; getppid and getpid touch nothing.
        unsafe {
            native(PRCTL, &no_new);
            native(PRCTL, &set);
            low.answer(0, native(GETPPID, &COUNTED));
            low.answer(1, native(GETPID, &[]));
        }
    })?;
    let ended = child.end()?;
    let [first, ..] = cases.low.answers();
    let pid = i64::from(child.pid);
    let mut records = both(Abi::Vmlinux, "prctl", &no_new, 0).to_vec();
    records.extend(both(Abi::Vmlinux, "prctl", &set, 0));
    // What kills the process at once has no return.
    cases.unpaired += u64::from(answer != KILL_PROCESS);
    match value {
        Some(value) => {
            ensure!(
                (ended, first) == (Ended::Exited(0), value),
                "{what}: {ended:?}, {first}"
            );
            records.extend(both(Abi::Vmlinux, "getpid", &[], pid));
            records.push(exit());
        }
        None => ensure!(ended == Ended::Killed(libc::SIGSYS), "{what}: {ended:?}"),
    }
    cases.expect(what, pid, None, records);
    Ok(())
}

/// A tracer that refuses a call, makes another of one, and answers one itself.
fn tracer(cases: &mut Cases) -> Result<()> {
    // PTRACE_SETOPTIONS: TRACESYSGOOD, EXITKILL. The tracer's view of orig_rax: word 15 of its registers.
    const OPTIONS: u64 = 1 | 1 << 20;
    const NUMBER: u64 = 15 * 8;
    const CALL: i32 = libc::SIGTRAP | 0x80;
    let child = cases.child(|low| {
        // SAFETY: numbers only.
        unsafe {
            native(PTRACE, &[0]);
            let me = native(GETPID, &[]) as u64;
            native(KILL, &[me, libc::SIGSTOP as u64]);
            for place in 0..3 {
                low.answer(place, native(GETPPID, &COUNTED));
            }
        }
    })?;
    let stopped = child.stop()?;
    ensure!(stopped == libc::SIGSTOP, "stopped by {stopped}");
    child.trace(libc::PTRACE_SETOPTIONS, 0, OPTIONS)?;
    let next = |request| {
        child.trace(request, 0, 0)?;
        let stopped = child.stop()?;
        ensure!(stopped == CALL, "stopped by {stopped}, in no call");
        Ok(())
    };
    // Its entry, then its end.
    next(libc::PTRACE_SYSCALL)?;
    child.trace(libc::PTRACE_POKEUSER, NUMBER, u64::MAX)?;
    next(libc::PTRACE_SYSCALL)?;
    next(libc::PTRACE_SYSCALL)?;
    child.trace(libc::PTRACE_POKEUSER, NUMBER, GETPID)?;
    next(libc::PTRACE_SYSCALL)?;
    next(libc::PTRACE_SYSEMU)?;
    child.trace(libc::PTRACE_CONT, 0, 0)?;
    let ended = child.end()?;
    let pid = i64::from(child.pid);
    let answers = cases.low.answers();
    ensure!(ended == Ended::Exited(0), "ptrace: {ended:?}");
    ensure!(answers[..3] == [ENOSYS, pid, ENOSYS], "ptrace: {answers:?}");
    cases.unpaired += 2;
    let mut records = both(Abi::Vmlinux, "ptrace", &[0], 0).to_vec();
    records.extend(both(Abi::Vmlinux, "getpid", &[], pid));
    records.extend(both(
        Abi::Vmlinux,
        "kill",
        &[pid as u64, libc::SIGSTOP as u64],
        0,
    ));
    records.extend(both(Abi::Vmlinux, "getpid", &COUNTED, pid));
    records.push(exit());
    cases.expect("ptrace: refused, changed, emulated", pid, None, records);
    Ok(())
}

/// Numbers that no call has: nothing.
fn no_call(cases: &mut Cases) -> Result<()> {
    const NUMBERS: [(Abi, u64); 4] = [
        (Abi::Vmlinux, 1000),
        (Abi::Vmlinux, 1 << 20),
        (Abi::X32, 900),
        (Abi::Ia32, 1000),
    ];
    let child = cases.child(|low| {
        for (place, (abi, number)) in NUMBERS.into_iter().enumerate() {
            // SAFETY: no call.
            low.answer(place, unsafe {
                call(abi, number, &COUNTED, How::default())
            });
        }
    })?;
    let ended = child.end()?;
    let answers = cases.low.answers();
    ensure!(
        ended == Ended::Exited(0) && answers == [ENOSYS; 4],
        "no call: {ended:?}, {answers:?}"
    );
    // Of the others dtrace.ko knows that they began: they are numbers that a call may have one day.
    cases.unpaired += 1;
    cases.expect(
        "numbers that no call has",
        child.pid.into(),
        None,
        vec![exit()],
    );
    Ok(())
}
