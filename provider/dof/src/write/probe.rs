// SPDX-License-Identifier: GPL-2.0
//! A description of probes that is owned.

use std::str::FromStr;
use std::string::{String, ToString};

use super::WriteError;
use crate::ProbePattern;

/// Which probes: four patterns, an empty one matches all.
///
/// As in D, parts that are left out are left out in front: `read:entry` is a function and a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSpec {
    /// The one probe of this number, or 0.
    pub id: u32,
    /// Pattern for the provider.
    pub provider: String,
    /// Pattern for the module.
    pub module: String,
    /// Pattern for the function.
    pub function: String,
    /// Pattern for the name.
    pub name: String,
}

impl FromStr for ProbeSpec {
    type Err = WriteError;

    fn from_str(text: &str) -> Result<Self, WriteError> {
        let mut parts = text.rsplit(':');
        let mut part = || parts.next().unwrap_or_default().trim().to_string();
        let (name, function, module, provider) = (part(), part(), part(), part());
        if parts.next().is_some() {
            return Err(WriteError::Probe);
        }
        Ok(Self {
            id: 0,
            provider,
            module,
            function,
            name,
        })
    }
}

impl PartialEq<ProbeSpec> for ProbePattern<'_> {
    fn eq(&self, spec: &ProbeSpec) -> bool {
        (
            self.id,
            self.provider,
            self.module,
            self.function,
            self.name,
        ) == (
            spec.id,
            spec.provider.as_bytes(),
            spec.module.as_bytes(),
            spec.function.as_bytes(),
            spec.name.as_bytes(),
        )
    }
}
