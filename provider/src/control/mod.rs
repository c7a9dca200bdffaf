// SPDX-License-Identifier: GPL-2.0
//! The control side: providers, consumers, what ioctls ask for. A module keeps it behind one lock.
//!
//! All of it is called in a task that may sleep, with that lock held and CPUs not held
//! ([`Machine::hold_cpus`]): functions here hold them themselves where they must.
//!
//! | file | ioctls |
//! |---|---|
//! | `probes` | PROVIDER, PROBES, PROBEMATCH, PROBEARG; providers come and go |
//! | `consumers` | open, close; options: DOFGET |
//! | `enabling` | ENABLE |
//! | `tracing` | GO, STOP, STATUS |
//! | `snapshots` | BUFSNAP, AGGSNAP |
//! | `descriptions` | EPROBE, AGGDESC, FORMAT |
//! | `accounting` | ACCOUNTING |
//! | `state`, `buffers` | what a consumer has on this side |

#![forbid(unsafe_code)]

mod accounting;
mod buffers;
mod consumers;
mod descriptions;
mod enabling;
mod probes;
mod snapshots;
mod state;
mod tracing;

pub use descriptions::EnabledProbe;
pub use snapshots::Snapshot;

use crate::error::Error;
use crate::framework::{Framework, BEGIN, END, ERROR};
use crate::machine::Machine;
use crate::memory::{usage, List, Shared, Usage, Writer};
use crate::registry::{Provider, Registry};
use state::State;

/// A consumer's number. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u64);

/// The control side.
pub struct Control<M: Machine> {
    framework: Shared<Framework<M>>,
    registry: Registry,
    states: List<State<M>>,
    next_consumer: u64,
    writer: Writer,
    /// What stays when no consumer is left.
    staying: Usage,
}

/// The provider `dtrace`: its probes are fired by the framework.
struct Own;

impl Provider for Own {
    fn enable(&self, _: u32, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn disable(&self, _: u32, _: u64) {}
}

static OWN: Own = Own;

impl<M: Machine> Control<M> {
    /// A framework for CPUs numbered below `cpus`, with the probes BEGIN, END and ERROR.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(machine: M, cpus: usize) -> Result<Self, Error> {
        let before = usage();
        let framework = Shared::new(Framework::new(machine, cpus)?)?;
        let mut control = Self {
            framework,
            registry: Registry::new(),
            states: List::new(),
            next_consumer: 1,
            writer: Writer(()),
            staying: usage().since(before),
        };
        let own = control.register(b"dtrace", &OWN)?;
        for (name, id) in [
            (b"BEGIN".as_slice(), BEGIN),
            (b"END", END),
            (b"ERROR", ERROR),
        ] {
            let made = control.create_probe(own, b"", b"", name, 0)?;
            if made != id {
                return Err(Error::Invalid);
            }
        }
        Ok(control)
    }

    /// Runs `f`, whose memory is no consumer's.
    fn stays<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        let before = usage();
        let result = f(self);
        self.staying = self.staying.plus(usage().since(before));
        result
    }

    /// Memory that consumers hold: all but the framework's own, its providers' and its probes'. None when
    /// there is no consumer.
    pub fn held(&self) -> Usage {
        usage().since(self.staying)
    }

    /// What probes reach. A module keeps its own owner of it for its probes.
    pub fn framework(&self) -> &Shared<Framework<M>> {
        &self.framework
    }

    fn at(&self, consumer: ConsumerId) -> Result<usize, Error> {
        let found = self.states.iter().position(|state| state.id == consumer.0);
        found.ok_or(Error::NotFound)
    }

    fn state(&self, consumer: ConsumerId) -> Result<&State<M>, Error> {
        self.states.get(self.at(consumer)?).ok_or(Error::NotFound)
    }

    fn state_mut(&mut self, consumer: ConsumerId) -> Result<&mut State<M>, Error> {
        let at = self.at(consumer)?;
        self.states.get_mut(at).ok_or(Error::NotFound)
    }
}

impl<M: Machine> Drop for Control<M> {
    fn drop(&mut self) {
        while let Some(id) = self.states.last().map(|state| state.id) {
            self.close(ConsumerId(id));
        }
    }
}
