// SPDX-License-Identifier: GPL-2.0
//! Providers and their probes: names, numbers, matching. Control side.

#![forbid(unsafe_code)]

use crate::error::Error;
use crate::glob;
use crate::memory::{List, Shared};
use dtrace_interface::probe::{FUNCTION_LEN, MODULE_LEN, NAME_LEN, PROVIDER_LEN};

/// Probes are numbered from 1 to this.
pub const MAX_PROBES: u32 = crate::slots::CAPACITY as u32 - 1;

/// Who makes probes. Its functions run in a task, with the control side's lock held.
pub trait Provider: Send + Sync {
    /// The first ECB of a probe has come: it is to call `fire` from now on.
    ///
    /// # Errors
    ///
    /// Why it cannot; the enabling is then refused.
    fn enable(&self, probe: u32, argument: u64) -> Result<(), Error>;

    /// The last ECB of a probe is about to go. Firings that are under way are waited for afterwards;
    /// later ones find nothing and are harmless.
    fn disable(&self, probe: u32, argument: u64);

    /// The C type of `args[index]`, for PROBEARG; None if there is none.
    fn argument_type(&self, probe: u32, argument: u64, index: u32) -> Option<&'static str> {
        let _ = (probe, argument, index);
        None
    }
}

/// A probe's name.
pub struct ProbeName {
    /// Provider, module, function and name, one after the other.
    text: List<u8>,
    ends: [usize; 4],
}

impl ProbeName {
    fn new(parts: [&[u8]; 4]) -> Result<Self, Error> {
        const LENGTHS: [usize; 4] = [PROVIDER_LEN, MODULE_LEN, FUNCTION_LEN, NAME_LEN];
        let mut text = List::new();
        let mut ends = [0; 4];
        text.reserve(parts.iter().map(|part| part.len()).sum())?;
        for ((part, length), end) in parts.iter().zip(LENGTHS).zip(&mut ends) {
            // With its NUL it fits the field of a description.
            if part.len() >= length || part.contains(&0) {
                return Err(Error::Invalid);
            }
            for byte in *part {
                text.push(*byte)?;
            }
            *end = text.len();
        }
        Ok(Self { text, ends })
    }

    fn part(&self, number: usize) -> &[u8] {
        let from = number
            .checked_sub(1)
            .and_then(|n| self.ends.get(n).copied());
        let end = self.ends.get(number).copied().unwrap_or(0);
        self.text.get(from.unwrap_or(0)..end).unwrap_or_default()
    }

    /// The provider. Any context, as the others.
    pub fn provider(&self) -> &[u8] {
        self.part(0)
    }

    /// The module.
    pub fn module(&self) -> &[u8] {
        self.part(1)
    }

    /// The function.
    pub fn function(&self) -> &[u8] {
        self.part(2)
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        self.part(3)
    }
}

/// Which probes: four globs, of which an empty one matches all; or a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pattern<'a> {
    /// The one probe of this number, unless 0. The globs have to match as well.
    pub id: u32,
    /// The provider's.
    pub provider: &'a [u8],
    /// The module's.
    pub module: &'a [u8],
    /// The function's.
    pub function: &'a [u8],
    /// The name's.
    pub name: &'a [u8],
}

impl Pattern<'_> {
    /// Whether a probe is meant. The name is looked at first: it tells most apart.
    pub fn matches(&self, probe: &Probe) -> bool {
        (self.id == 0 || self.id == probe.id)
            && glob::matches(self.name, probe.name.name())
            && glob::matches(self.provider, probe.name.provider())
            && glob::matches(self.function, probe.name.function())
            && glob::matches(self.module, probe.name.module())
    }
}

/// A provider's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderId(usize);

/// A probe.
pub struct Probe {
    /// Its number, from 1. Never used again.
    pub id: u32,
    /// Its name.
    pub name: Shared<ProbeName>,
    /// What its provider calls it.
    pub argument: u64,
    pub(crate) provider: ProviderId,
    /// ECBs of it, of all consumers.
    pub(crate) ecbs: usize,
}

struct Registered {
    name: List<u8>,
    provider: &'static dyn Provider,
}

/// All of them.
pub(crate) struct Registry {
    providers: List<Option<Registered>>,
    /// By number less one; None: gone.
    probes: List<Option<Probe>>,
}

impl Registry {
    pub(crate) const fn new() -> Self {
        Self {
            providers: List::new(),
            probes: List::new(),
        }
    }

    pub(crate) fn register(
        &mut self,
        name: &[u8],
        provider: &'static dyn Provider,
    ) -> Result<ProviderId, Error> {
        if name.is_empty() || name.len() >= PROVIDER_LEN {
            return Err(Error::Invalid);
        }
        if self.provider_named(name).is_some() {
            return Err(Error::Busy);
        }
        let id = ProviderId(self.providers.len());
        let name = List::copied(name)?;
        self.providers.push(Some(Registered { name, provider }))?;
        Ok(id)
    }

    pub(crate) fn provider_named(&self, name: &[u8]) -> Option<ProviderId> {
        let found = self.providers.iter().position(|registered| {
            registered
                .as_ref()
                .is_some_and(|registered| *registered.name == *name)
        });
        found.map(ProviderId)
    }

    pub(crate) fn provider(&self, id: ProviderId) -> Option<&'static dyn Provider> {
        Some(self.providers.get(id.0)?.as_ref()?.provider)
    }

    /// Takes a provider and its probes out.
    pub(crate) fn unregister(&mut self, id: ProviderId) -> Result<(), Error> {
        self.providers
            .get(id.0)
            .and_then(Option::as_ref)
            .ok_or(Error::NotFound)?;
        let of_it = |probe: &&Probe| probe.provider == id;
        if self.probes().filter(of_it).any(|probe| probe.ecbs != 0) {
            return Err(Error::Busy);
        }
        for place in &mut self.probes {
            if place.as_ref().is_some_and(|probe| probe.provider == id) {
                *place = None;
            }
        }
        if let Some(place) = self.providers.get_mut(id.0) {
            *place = None;
        }
        Ok(())
    }

    /// The number the next probe gets.
    pub(crate) fn next_id(&self) -> Result<u32, Error> {
        let id = u32::try_from(self.probes.len()).unwrap_or(u32::MAX);
        if id >= MAX_PROBES {
            return Err(Error::TooMany("probes"));
        }
        Ok(id + 1)
    }

    pub(crate) fn create(
        &mut self,
        provider: ProviderId,
        [module, function, name]: [&[u8]; 3],
        argument: u64,
    ) -> Result<u32, Error> {
        let registered = self.providers.get(provider.0).and_then(Option::as_ref);
        let registered = registered.ok_or(Error::NotFound)?;
        let id = self.next_id()?;
        let name = ProbeName::new([&registered.name, module, function, name])?;
        self.probes.push(Some(Probe {
            id,
            name: Shared::new(name)?,
            argument,
            provider,
            ecbs: 0,
        }))?;
        Ok(id)
    }

    pub(crate) fn probe(&self, id: u32) -> Option<&Probe> {
        let at = (id as usize).checked_sub(1)?;
        self.probes.get(at)?.as_ref()
    }

    pub(crate) fn probe_mut(&mut self, id: u32) -> Option<&mut Probe> {
        let at = (id as usize).checked_sub(1)?;
        self.probes.get_mut(at)?.as_mut()
    }

    fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().flatten()
    }

    /// The first probe from number `from` on that `pattern` matches.
    pub(crate) fn first_match(&self, from: u32, pattern: &Pattern<'_>) -> Option<&Probe> {
        let from = match pattern.id {
            0 => from,
            id => from.max(id),
        };
        let start = (from as usize).saturating_sub(1);
        let rest = self.probes.get(start..)?;
        rest.iter().flatten().find(|probe| pattern.matches(probe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Provider for Nobody {
        fn enable(&self, _: u32, _: u64) -> Result<(), Error> {
            Ok(())
        }
        fn disable(&self, _: u32, _: u64) {}
    }

    fn matched(registry: &Registry, pattern: Pattern<'_>) -> Vec<u32> {
        let mut from = 1;
        let mut ids = Vec::new();
        while let Some(probe) = registry.first_match(from, &pattern) {
            ids.push(probe.id);
            from = probe.id + 1;
        }
        ids
    }

    #[test]
    fn probes_are_matched_in_the_order_of_their_numbers() {
        let mut registry = Registry::new();
        let id = registry.register(b"syscall", &Nobody).unwrap();
        for call in ["read", "write", "readv"] {
            for name in ["entry", "return"] {
                let parts = [b"vmlinux".as_slice(), call.as_bytes(), name.as_bytes()];
                registry.create(id, parts, 0).unwrap();
            }
        }
        assert_eq!(matched(&registry, Pattern::default()), [1, 2, 3, 4, 5, 6]);
        let reads = Pattern {
            function: b"read*",
            name: b"entry",
            ..Pattern::default()
        };
        assert_eq!(matched(&registry, reads), [1, 5]);
        let one = Pattern {
            id: 4,
            ..Pattern::default()
        };
        assert_eq!(matched(&registry, one), [4]);
        let none = Pattern { id: 4, ..reads };
        assert_eq!(matched(&registry, none), [0; 0]);

        assert_eq!(registry.register(b"syscall", &Nobody), Err(Error::Busy));
        registry.unregister(id).unwrap();
        assert_eq!(matched(&registry, Pattern::default()), [0; 0]);
        assert_eq!(registry.next_id(), Ok(7), "numbers are never used again");
    }

    #[test]
    fn a_name_too_long_for_its_field_is_refused() {
        let mut registry = Registry::new();
        let id = registry.register(b"p", &Nobody).unwrap();
        let long = [b'x'; FUNCTION_LEN];
        let parts = |function| [b"".as_slice(), function, b"n".as_slice()];
        assert_eq!(registry.create(id, parts(&long), 0), Err(Error::Invalid));
        assert_eq!(registry.create(id, parts(&long[1..]), 0), Ok(1));
    }
}
