// SPDX-License-Identifier: GPL-2.0
//! What is done with each kind of section.

use dtrace_interface::dof::SectionKind;

use crate::action::Actions;
use crate::difo::Difo;
use crate::ecb::Ecb;
use crate::error::{Error, Problem};
use crate::file::{File, Loaded};
use crate::options::OptionSetting;
use crate::probe::ProbePattern;

/// Checks a section, whoever refers to it.
pub(crate) fn section<'a>(file: &File<'a>, section: &Loaded<'a>) -> Result<(), Error> {
    let Some(kind) = SectionKind::from_raw(section.head.kind) else {
        return Err(section.error(Problem::UnknownKind));
    };
    match kind {
        SectionKind::EcbDescription => Ecb::read(file, section).map(|_| ()),
        SectionKind::ProbeDescription => ProbePattern::read(file, section).map(|_| ()),
        SectionKind::ActionDescription => Actions::check(file, section),
        SectionKind::DifoHeader => Difo::check(file, section),
        SectionKind::OptionDescription => OptionSetting::check(section),
        SectionKind::StringTable => match section.data.last() {
            Some(0) | None => Ok(()),
            Some(_) => Err(section.error(Problem::NoNul)),
        },
        // Read through the objects they belong to.
        SectionKind::Dif | SectionKind::IntegerTable | SectionKind::VariableTable => Ok(()),
        // Notes of the compiler. Translators are compiled into the DIF; opcodes that would look
        // them up are refused with it.
        SectionKind::None
        | SectionKind::Comments
        | SectionKind::Source
        | SectionKind::Utsname
        | SectionKind::TypeTable
        | SectionKind::TranslatorTable
        | SectionKind::TranslatorMembers
        | SectionKind::TranslatorImport
        | SectionKind::TranslatorExport => Ok(()),
        // Would change the code, or make probes.
        SectionKind::RelocationTable
        | SectionKind::UserRelocations
        | SectionKind::KernelRelocations
        | SectionKind::Provider
        | SectionKind::Probes
        | SectionKind::ProbeArguments
        | SectionKind::ProbeOffsets
        | SectionKind::ExportedObjects
        | SectionKind::EnabledOffsets => Err(section.error(Problem::Unsupported)),
    }
}
