// SPDX-License-Identifier: GPL-2.0
//! The calls that workers make, and the clauses that trace them.
//!
//! Entries carry a tag, the worker and a sequence number, in an argument that the kernel does not look at,
//! and a magic number in another. Returns have neither: they are known by the workers' user.

use anyhow::Result;
use dtrace::program::{Clause, Equals};
use dtrace_interface::variable::BuiltIn;

/// The calls. The child of a fork makes the execve; fork itself returns twice and is entered once.
pub const CALLS: [&str; 5] = ["getppid", "openat", "fork", "execve", "wait4"];

/// Places in [`CALLS`].
pub const GETPPID: usize = 0;
pub const OPENAT: usize = 1;
pub const FORK: usize = 2;
pub const EXECVE: usize = 3;
pub const WAIT4: usize = 4;

/// The calls whose returns are traced too. A getppid's would double the cost of what is to be fast.
const RETURNS: [usize; 3] = [FORK, EXECVE, WAIT4];

/// How many clauses an enabling has: entries in the order of [`CALLS`], then returns.
pub const CLAUSES: usize = CALLS.len() + RETURNS.len();

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

/// The call that a clause traces.
pub fn call_of(clause: usize) -> usize {
    match clause.checked_sub(CALLS.len()) {
        Some(number) => RETURNS[number],
        None => clause,
    }
}

/// Whether a clause's records carry tags.
pub fn has_tags(clause: usize) -> bool {
    clause < CALLS.len()
}

/// A clause's probe, in short.
pub fn label(clause: usize) -> String {
    let side = if has_tags(clause) { "entry" } else { "return" };
    format!("{}:{side}", CALLS[call_of(clause)])
}

/// The clause of that number.
pub fn clause(number: usize) -> Result<Clause> {
    let name = format!("syscall:vmlinux:{}", label(number));
    let (variable, value, field) = match has_tags(number) {
        true => (BuiltIn::Arg5, MAGIC, "arg4"),
        false => (BuiltIn::Uid, USER.into(), "arg1"),
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
    fn clauses_have_names() {
        let labels: Vec<String> = (0..CLAUSES).map(label).collect();
        assert_eq!(labels[0], "getppid:entry");
        assert_eq!(labels[CLAUSES - 1], "wait4:return");
        (0..CLAUSES).for_each(|number| drop(clause(number).unwrap()));
    }
}
