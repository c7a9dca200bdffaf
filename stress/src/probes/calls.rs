// SPDX-License-Identifier: GPL-2.0
//! What workers do, system calls and exceptions, and the clauses that trace it.
//!
//! Entries carry a tag, the worker and a sequence number, in an argument that the kernel does not look at,
//! and a magic number in another. Returns have neither: they are known by the workers' user. Exceptions have
//! the tag for their stack pointer, and are known by their instruction's place.

use super::exceptions::{Exception, EXCEPTIONS};
use anyhow::Result;
use dtrace::program::{Clause, Equals};
use dtrace_interface::variable::BuiltIn;

/// System calls. The child of a fork makes the execve; fork itself returns twice and is entered once.
const SYSCALLS: [&str; 5] = ["getppid", "openat", "fork", "execve", "wait4"];

/// How many kinds of calls there are: system calls, then exceptions.
pub const CALLS: usize = SYSCALLS.len() + EXCEPTIONS.len();

/// Numbers of calls, by kind.
pub type Numbers = [u64; CALLS];

/// The kinds.
pub const GETPPID: usize = 0;
pub const OPENAT: usize = 1;
pub const FORK: usize = 2;
pub const EXECVE: usize = 3;
pub const WAIT4: usize = 4;
pub const FIRST_EXCEPTION: usize = SYSCALLS.len();

/// The calls whose returns are traced too. A getppid's would double the cost of what is to be fast.
const RETURNS: [usize; 3] = [FORK, EXECVE, WAIT4];

/// How many clauses there are: entries, then returns, then exceptions.
pub const CLAUSES: usize = CALLS + RETURNS.len();

/// How many of them are of system calls.
pub const SYSCALL_CLAUSES: usize = SYSCALLS.len() + RETURNS.len();

/// What a worker's calls have for their last argument.
pub const MAGIC: u64 = 0x7863_616c_6c2d_7072;

/// Whom workers run as: nobody else does.
pub const USER: u32 = 7863;

/// Bits of a tag that are the sequence number.
const SEQUENCE_BITS: u32 = 40;

/// A worker's sequence number with the worker.
pub fn tag(worker: u32, sequence: u64) -> u64 {
    (u64::from(worker) << SEQUENCE_BITS) | (sequence & ((1 << SEQUENCE_BITS) - 1))
}

/// The worker and its sequence number.
pub fn untag(tag: u64) -> (u32, u64) {
    (
        (tag >> SEQUENCE_BITS) as u32,
        tag & ((1 << SEQUENCE_BITS) - 1),
    )
}

/// The kind of call that a clause traces.
pub fn call_of(clause: usize) -> usize {
    match clause.checked_sub(SYSCALLS.len()) {
        Some(number) => match RETURNS.get(number) {
            Some(call) => *call,
            None => clause - RETURNS.len(),
        },
        None => clause,
    }
}

/// The exception that a clause traces, if it does.
fn exception_of(clause: usize) -> Option<&'static Exception> {
    EXCEPTIONS.get(clause.checked_sub(SYSCALL_CLAUSES)?)
}

/// Whether a clause's records carry tags.
pub fn has_tags(clause: usize) -> bool {
    !(SYSCALLS.len()..SYSCALL_CLAUSES).contains(&clause)
}

/// A clause's probe, in short.
pub fn label(clause: usize) -> String {
    if let Some(exception) = exception_of(clause) {
        return exception.name.to_owned();
    }
    let side = if has_tags(clause) { "entry" } else { "return" };
    format!("{}:{side}", SYSCALLS[call_of(clause)])
}

/// The clause of that number.
pub fn clause(number: usize) -> Result<Clause> {
    let (name, variable, value, field) = match (exception_of(number), has_tags(number)) {
        (Some(exception), _) => {
            let name = format!("idt::{}:entry", exception.vector);
            (name, BuiltIn::Arg1, exception.ip(), "arg2")
        }
        (None, true) => {
            let name = format!("syscall:vmlinux:{}", label(number));
            (name, BuiltIn::Arg5, MAGIC, "arg4")
        }
        (None, false) => {
            let name = format!("syscall:vmlinux:{}", label(number));
            (name, BuiltIn::Uid, USER.into(), "arg1")
        }
    };
    Ok(Clause {
        name: name.parse().map_err(anyhow::Error::msg)?,
        predicate: Some(Equals { variable, value }),
        record: vec![field.parse().map_err(anyhow::Error::msg)?],
        ..Clause::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        for (worker, sequence) in [(0, 0), (4095, 7), (1, (1 << SEQUENCE_BITS) - 1)] {
            assert_eq!(untag(tag(worker, sequence)), (worker, sequence));
        }
    }

    #[test]
    fn clauses_trace_each_kind() {
        let mut traced: Vec<usize> = (0..CLAUSES)
            .filter(|clause| has_tags(*clause))
            .map(call_of)
            .collect();
        traced.dedup();
        assert_eq!(traced, (0..CALLS).collect::<Vec<_>>());
        assert_eq!(call_of(SYSCALL_CLAUSES), FIRST_EXCEPTION);
    }

    #[test]
    fn clauses_have_names() {
        let labels: Vec<String> = (0..CLAUSES).map(label).collect();
        assert_eq!(labels[0], "getppid:entry");
        assert_eq!(labels[SYSCALL_CLAUSES - 1], "wait4:return");
        assert_eq!(labels[SYSCALL_CLAUSES], "int3");
        (0..CLAUSES).for_each(|number| drop(clause(number).unwrap()));
    }
}
