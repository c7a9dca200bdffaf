// SPDX-License-Identifier: GPL-2.0
//! Every process that makes calls, and what each is to leave in the trace: all of it, in its order.

use crate::arguments::{self, Manner, CLONE_ARGS};
use crate::child::{Child, Ended};
use crate::low::Low;
use crate::machine::{call, How};
use crate::record::{Case, Fate, Record};
use crate::table::{Abi, Call};
use anyhow::{bail, ensure, Context, Result};

const ENOSYS: i64 = -38;

/// Where nothing is: a frame of a signal that lies there cannot be read.
const BAD_STACK: u64 = 16;

/// Makes processes, and keeps what is expected of them.
pub struct Cases {
    /// What all of them share.
    pub low: Low,
    cpus: usize,
    /// Of the last process.
    cpu: usize,
    /// So far.
    pub all: Vec<Case>,
    /// Returns without an entry that they have made: their own, and what was refused.
    pub unpaired: u64,
}

/// How every process ends.
pub fn exit() -> Record {
    Record::entry(Abi::Vmlinux, "exit_group", [0; 6])
}

/// The two records of a call.
pub fn both(abi: Abi, name: &str, args: &[u64], value: i64) -> [Record; 2] {
    let mut all = [0; 6];
    for (arg, given) in all.iter_mut().zip(args) {
        *arg = *given;
    }
    [
        Record::entry(abi, name, all),
        Record::returned(abi, name, value),
    ]
}

impl Cases {
    /// None yet.
    pub fn new() -> Result<Self> {
        let cpus = std::thread::available_parallelism()?.get();
        let low = Low::new()?;
        Ok(Self {
            low,
            cpus,
            cpu: 0,
            all: Vec::new(),
            unpaired: 0,
        })
    }

    /// A process on the next CPU, see [`Child::new`].
    pub fn child(&mut self, body: impl FnOnce(&Low)) -> Result<Child> {
        self.cpu = (self.cpu + 1) % self.cpus;
        // It comes out of a call that it never went into.
        self.unpaired += 1;
        Child::new(self.cpu, &self.low, body)
    }

    /// What a process on the last one's CPU leaves.
    pub fn expect(
        &mut self,
        what: &str,
        pid: i64,
        call: Option<(Abi, Fate)>,
        records: Vec<Record>,
    ) {
        let (what, cpu) = (what.to_owned(), self.cpu as i64);
        self.all.push(Case {
            what,
            pid,
            cpu,
            call,
            records,
        });
    }

    /// A process that makes one call.
    pub fn one(&mut self, wanted: &Call) -> Result<()> {
        let what = format!("{}:{}", wanted.abi.module(), wanted.name);
        self.try_one(&what, wanted).context(what)
    }

    fn try_one(&mut self, what: &str, wanted: &Call) -> Result<()> {
        let Call {
            abi, name, number, ..
        } = *wanted;
        let mut clone_args = [0_u8; CLONE_ARGS];
        // The signal at its end is the fifth word (struct clone_args).
        clone_args[32..40].copy_from_slice(&(libc::SIGCHLD as u64).to_ne_bytes());
        let given = self.low.give(&clone_args)?;
        let (manner, args) = arguments::of(wanted, given);
        let how = How {
            stack: if matches!(manner, Manner::Kills(_)) {
                BAD_STACK
            } else {
                0
            },
            child_ends: manner == Manner::Twice,
        };
        let child = self.child(|low| {
            // SAFETY: arguments that the kernel refuses, in a process that does nothing after it.
            low.answer(0, unsafe { call(abi, number, &args, how) });
        })?;
        if let Manner::Waits(_) = manner {
            child.sleep()?;
            child.kill();
        }
        let ended = child.end()?;
        let entry = Record::entry(abi, name, args);
        let returned = |value| Record::returned(abi, name, value);
        let [value, ..] = self.low.answers();
        let fate = match value {
            ENOSYS => Fate::Empty,
            -4095..0 => Fate::Refused,
            _ => Fate::Done,
        };
        let (fate, records) = match (manner, ended) {
            (Manner::Ends, Ended::Exited(status)) if status == (args[0] & 0xff) as i32 => {
                (Fate::Ended, vec![entry])
            }
            (Manner::Waits(value), Ended::Killed(libc::SIGKILL))
            | (Manner::Kills(value), Ended::Killed(_)) => {
                (Fate::Ended, vec![entry, returned(value)])
            }
            (Manner::Plain | Manner::Twice | Manner::Kills(_), Ended::Exited(0)) => {
                (fate, vec![entry, returned(value), exit()])
            }
            other => bail!("it ended otherwise than it should: {other:?}, {value:#x}"),
        };
        if manner == Manner::Twice {
            ensure!(fate == Fate::Done, "no process: {value}");
            self.unpaired += 1;
            self.expect(&format!("{what}, its child"), value, None, vec![exit()]);
        }
        self.expect(what, child.pid.into(), Some((abi, fate)), records);
        Ok(())
    }
}
