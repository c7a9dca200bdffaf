// SPDX-License-Identifier: GPL-2.0
//! Which probes a clause is for.

use dtrace_interface::{dof, probe};

use crate::error::Error;
use crate::file::{File, Loaded};

/// Four patterns, without NUL; an empty one matches all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePattern<'a> {
    /// The one probe of this number, or 0: those that match.
    pub id: u32,
    /// Pattern for the provider.
    pub provider: &'a [u8],
    /// Pattern for the module.
    pub module: &'a [u8],
    /// Pattern for the function.
    pub function: &'a [u8],
    /// Pattern for the name.
    pub name: &'a [u8],
}

impl<'a> ProbePattern<'a> {
    pub(crate) fn read(file: &File<'a>, section: &Loaded<'a>) -> Result<Self, Error> {
        let raw: dof::ProbeDescription = section.single()?;
        let string = |field, offset: u32, limit| {
            file.string(field, raw.strings, offset.into(), limit)
                .map_err(|problem| section.error(problem))
        };
        Ok(Self {
            id: raw.id,
            provider: string("provider", raw.provider, probe::PROVIDER_LEN)?,
            module: string("module", raw.module, probe::MODULE_LEN)?,
            function: string("function", raw.function, probe::FUNCTION_LEN)?,
            name: string("name", raw.name, probe::NAME_LEN)?,
        })
    }
}
