// SPDX-License-Identifier: GPL-2.0
//! A firing as its programs see it: the probe, and behind it the machine.

use dif::{BuiltIn, Environment, FaultKind};
use dtrace_provider::Site;

/// Where the error number of a return lies among its probe's arguments: a probe has two others at
/// most then, and user space can see it there too.
const ERRNO: usize = 9;

/// The environment of a program in a firing.
pub(crate) struct Firing<'a, E, V> {
    pub(crate) site: &'a Site<'a, V>,
    pub(crate) machine: &'a mut E,
    pub(crate) timestamp: &'a mut Option<u64>,
}

impl<E, V> Firing<'_, E, V> {
    fn argument(&self, index: u64) -> Result<u64, FaultKind> {
        let index = usize::try_from(index).map_err(|_| FaultKind::IllegalOperation)?;
        let found = self.site.args.get(index).copied();
        found.ok_or(FaultKind::IllegalOperation)
    }
}

impl<E: Environment, V> Environment for Firing<'_, E, V> {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        self.machine.kernel(address, into)
    }

    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        self.machine.user(address, into)
    }

    fn number(&mut self, builtin: BuiltIn, index: u64) -> Result<u64, FaultKind> {
        let first = BuiltIn::Arg0.raw();
        match builtin {
            BuiltIn::Args => self.argument(index),
            BuiltIn::Epid => Ok(self.site.epid.into()),
            BuiltIn::Id => Ok(self.site.probe.into()),
            BuiltIn::Errno => self.argument(ERRNO as u64),
            BuiltIn::Timestamp => match *self.timestamp {
                Some(ns) => Ok(ns),
                None => {
                    let ns = self.machine.number(builtin, index)?;
                    *self.timestamp = Some(ns);
                    Ok(ns)
                }
            },
            other if (first..=BuiltIn::Arg9.raw()).contains(&other.raw()) => {
                self.argument((other.raw() - first).into())
            }
            other => self.machine.number(other, index),
        }
    }

    fn text(&mut self, builtin: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        let name = self.site.name;
        let text = match builtin {
            BuiltIn::Probeprov => name.provider(),
            BuiltIn::Probemod => name.module(),
            BuiltIn::Probefunc => name.function(),
            BuiltIn::Probename => name.name(),
            other => return self.machine.text(other, into),
        };
        for (to, from) in into.iter_mut().zip(text) {
            *to = *from;
        }
        Ok(text.len().min(into.len()))
    }

    fn thread(&mut self) -> u64 {
        self.machine.thread()
    }

    fn progeny_of(&mut self, pid: u64) -> Result<bool, FaultKind> {
        self.machine.progeny_of(pid)
    }

    fn random(&mut self) -> u64 {
        self.machine.random()
    }
}
