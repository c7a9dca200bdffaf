// SPDX-License-Identifier: GPL-2.0
//! `-l`: probes, a line each.

use super::{json, line};
use crate::device::Probe;
use std::io::{self, Write};

/// A table of probes.
///
/// # Errors
/// The writer's.
pub fn text(probes: &[Probe], out: &mut dyn Write) -> io::Result<()> {
    let row = |id: &str, [provider, module, function, name]: [&str; 4], out: &mut dyn Write| {
        line(
            &format!("{id:>5} {provider:>10} {module:>17} {function:>33} {name}"),
            out,
        )
    };
    let heading = ["PROVIDER", "MODULE", "FUNCTION", "NAME"];
    row("ID", heading, out)?;
    for Probe { id, name } in probes {
        let parts = [&name.provider, &name.module, &name.function, &name.name];
        row(&id.to_string(), parts.map(String::as_str), out)?;
    }
    Ok(())
}

/// An object for each probe.
///
/// # Errors
/// The writer's.
pub fn json(probes: &[Probe], out: &mut dyn Write) -> io::Result<()> {
    probes.iter().try_for_each(|probe| json::probe(probe, out))
}
