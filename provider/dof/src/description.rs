// SPDX-License-Identifier: GPL-2.0
//! A program that was checked.

use dtrace_interface::dof::SectionKind;

use crate::check;
use crate::difo::Difo;
use crate::ecb::Ecb;
use crate::error::{Error, Place, Problem};
use crate::file::File;
use crate::limits;
use crate::options::OptionSetting;

/// A program whose every section was checked. Reading it costs little and cannot fail.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    file: File<'a>,
}

/// Checks a file: its first [`load_size`](crate::load_size) bytes, or more.
///
/// # Errors
/// What is wrong, and where.
pub fn load(bytes: &[u8]) -> Result<Description<'_>, Error> {
    let file = File::new(bytes)?;
    let mut objects = Count::new("bytes of DIF objects", limits::FILE_SIZE);
    for section in file.loaded() {
        // First: it bounds the time that objects with shared tables take.
        if section.head.kind == SectionKind::DifoHeader.raw() {
            objects.add(Difo::read(&file, &section)?.size())?;
        }
        check::section(&file, &section)?;
    }
    let description = Description { file };
    let mut ecbs = Count::new("ECB descriptions", limits::ECBS);
    let mut actions = Count::new("actions", limits::ACTIONS);
    let mut used = Count::new("bytes of DIF objects in use", limits::OBJECTS_SIZE);
    for ecb in description.ecbs() {
        ecbs.add(1)?;
        actions.add(ecb.actions.len())?;
        let of_actions = ecb.actions.iter().filter_map(|action| action.difo);
        for object in ecb.predicate.into_iter().chain(of_actions) {
            used.add(object.size())?;
        }
    }
    Ok(description)
}

/// A sum that may not go beyond a limit.
struct Count {
    what: &'static str,
    count: usize,
    limit: usize,
}

impl Count {
    fn new(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            count: 0,
            limit,
        }
    }

    fn add(&mut self, more: usize) -> Result<(), Error> {
        self.count = self.count.saturating_add(more);
        if self.count <= self.limit {
            return Ok(());
        }
        let (what, count, limit) = (self.what, self.count as u64, self.limit as u64);
        Err(Error {
            place: Place::Header,
            problem: Problem::TooMany { what, count, limit },
        })
    }
}

impl<'a> Description<'a> {
    /// Clauses in the program's order, one for each description of probes.
    pub fn ecbs(&self) -> impl Iterator<Item = Ecb<'a>> + Clone + 'a {
        let file = self.file;
        // All of them could be read when they were checked.
        self.file
            .loaded()
            .filter(|section| section.head.kind == SectionKind::EcbDescription.raw())
            .filter_map(move |section| Ecb::read(&file, &section).ok())
    }

    /// Options in the program's order; the last setting of an option holds.
    pub fn options(&self) -> impl Iterator<Item = OptionSetting> + Clone + 'a {
        self.file
            .loaded()
            .filter(|section| section.head.kind == SectionKind::OptionDescription.raw())
            .flat_map(|section| OptionSetting::all(&section))
    }
}
