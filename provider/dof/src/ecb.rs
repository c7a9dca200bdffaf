// SPDX-License-Identifier: GPL-2.0
//! A clause for one description of probes.

use dtrace_interface::dof::{EcbDescription, SectionKind};

use crate::action::Actions;
use crate::difo::Difo;
use crate::error::Error;
use crate::file::{File, Loaded};
use crate::probe::ProbePattern;

/// A clause for one description of probes: an enabling control block is made of it for every
/// probe that matches.
#[derive(Clone, Copy, Debug)]
pub struct Ecb<'a> {
    /// Which probes.
    pub probe: ProbePattern<'a>,
    /// Condition under which it acts.
    pub predicate: Option<Difo<'a>>,
    /// What it does.
    pub actions: Actions<'a>,
    /// The client's argument.
    pub user_argument: u64,
}

impl<'a> Ecb<'a> {
    pub(crate) fn read(file: &File<'a>, section: &Loaded<'a>) -> Result<Self, Error> {
        let raw: EcbDescription = section.single()?;
        let here = |problem| section.error(problem);
        let probe = file
            .follow(
                "probe description",
                raw.probes,
                SectionKind::ProbeDescription,
            )
            .map_err(here)?;
        let predicate = file
            .follow_option("predicate", raw.predicate, SectionKind::DifoHeader)
            .map_err(here)?;
        let actions = file
            .follow_option("actions", raw.actions, SectionKind::ActionDescription)
            .map_err(here)?;
        Ok(Self {
            probe: ProbePattern::read(file, &probe)?,
            predicate: predicate
                .map(|section| Difo::read(file, &section))
                .transpose()?,
            actions: match actions {
                Some(section) => Actions::read(file, &section)?,
                None => Actions::none(file),
            },
            user_argument: raw.user_argument,
        })
    }
}
