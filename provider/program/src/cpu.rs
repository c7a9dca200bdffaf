// SPDX-License-Identifier: GPL-2.0
//! What a CPU has for its programs.

use dif::{Progress, Tuple};
use dtrace_provider::memory::{List, OutOfMemory, Owned};
use dtrace_provider::Surroundings;

/// Bytes that a clause's programs may allocate.
const SCRATCH: usize = 16 << 10;

/// Words of clause-local variables.
pub(crate) const LOCALS: usize = 1 << 10;

/// What a CPU has for its programs, one firing at a time; `E` is what they see of the machine.
pub struct Cpu<E> {
    /// What programs see of the machine.
    pub machine: E,
    pub(crate) scratch: List<u8>,
    pub(crate) locals: List<u64>,
    /// How many of them a program may have written.
    pub(crate) used_locals: usize,
    pub(crate) tuple: Owned<Tuple>,
    /// What the clause's programs so far left for the next one.
    pub(crate) progress: Progress,
    /// The clock, read once in a firing.
    pub(crate) timestamp: Option<u64>,
}

impl<E> Cpu<E> {
    /// Task context.
    pub fn new(machine: E) -> Result<Self, OutOfMemory> {
        Ok(Self {
            machine,
            scratch: List::zeroed(SCRATCH)?,
            locals: List::try_made(LOCALS, |_| Ok::<_, OutOfMemory>(0))?,
            used_locals: 0,
            tuple: Owned::new(Tuple::default())?,
            progress: Progress::default(),
            timestamp: None,
        })
    }

    /// A firing begins: what its programs may touch is whole.
    pub(crate) fn begin_firing(&mut self) {
        self.progress = Progress::default();
    }

    /// The clauses of a consumer begin: their variables are as if never written.
    pub(crate) fn begin(&mut self) {
        if let Some(used) = self.locals.get_mut(..self.used_locals) {
            used.fill(0);
        }
        self.used_locals = 0;
        self.timestamp = None;
    }

    /// A clause begins: scratch is free.
    pub(crate) fn begin_clause(&mut self) {
        self.progress = self.progress.next_clause();
    }
}

impl<E: Surroundings> Surroundings for Cpu<E> {
    fn process(&self) -> u32 {
        self.machine.process()
    }

    fn kernel_stack(&mut self, frames: usize) -> &[u64] {
        self.machine.kernel_stack(frames)
    }

    fn user_stack(&mut self, frames: usize) -> &[u64] {
        self.machine.user_stack(frames)
    }
}
