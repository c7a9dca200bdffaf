// SPDX-License-Identifier: GPL-2.0
//! Providers, their probes, and who asks for them.

#![forbid(unsafe_code)]

use super::Control;
use crate::error::Error;
use crate::machine::Machine;
use crate::registry::{Pattern, Probe, Provider, ProviderId};

impl<M: Machine> Control<M> {
    /// A provider comes.
    ///
    /// # Errors
    ///
    /// `Busy`: the name is taken. `Invalid`: it is empty or too long. No memory.
    pub fn register(
        &mut self,
        name: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<ProviderId, Error> {
        self.stays(|control| control.registry.register(name, provider))
    }

    /// A provider goes, with its probes. It must not fire them any more when it is gone itself.
    ///
    /// # Errors
    ///
    /// `Busy`: one of its probes is enabled. `NotFound`.
    pub fn unregister(&mut self, provider: ProviderId) -> Result<(), Error> {
        self.stays(|control| control.registry.unregister(provider))
    }

    /// A provider makes a probe; its number, by which it is fired. `argument` comes back in the
    /// provider's functions.
    ///
    /// # Errors
    ///
    /// `Invalid`: a part of the name is too long. `TooMany`. `NotFound`: no such provider. No memory.
    pub fn create_probe(
        &mut self,
        provider: ProviderId,
        module: &[u8],
        function: &[u8],
        name: &[u8],
        argument: u64,
    ) -> Result<u32, Error> {
        self.stays(|control| {
            let id = control.registry.next_id()?;
            control.framework.slots.make_room(id)?;
            control
                .registry
                .create(provider, [module, function, name], argument)
        })
    }

    /// The first probe from number `from` on that `pattern` matches: PROBES and PROBEMATCH.
    pub fn first_match(&self, from: u32, pattern: &Pattern<'_>) -> Option<&Probe> {
        self.registry.first_match(from, pattern)
    }

    /// A probe by its number.
    pub fn probe(&self, id: u32) -> Option<&Probe> {
        self.registry.probe(id)
    }

    /// Whether a provider of this name is there: PROVIDER.
    pub fn provider_named(&self, name: &[u8]) -> Option<ProviderId> {
        self.registry.provider_named(name)
    }

    /// The C type of an argument of a probe: PROBEARG.
    pub fn argument_type(&self, probe: u32, index: u32) -> Option<&'static str> {
        let probe = self.registry.probe(probe)?;
        let provider = self.registry.provider(probe.provider)?;
        provider.argument_type(probe.id, probe.argument, index)
    }
}
