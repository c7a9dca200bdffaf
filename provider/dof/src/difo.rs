// SPDX-License-Identifier: GPL-2.0
//! A DIF object: code and its tables.

use dtrace_interface::dif::{self, DifType, Variable};
use dtrace_interface::dof::{DifoHeader, SectionKind};
use dtrace_interface::Plain;

use crate::error::{Error, Problem};
use crate::file::{File, Loaded};
use crate::limits;
use crate::table::Table;

/// A DIF object. Its tables are whole; its code is for the crate `dif` to validate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difo<'a> {
    /// What it returns.
    pub return_type: DifType,
    /// Its code: at least one instruction.
    pub instructions: Table<'a, u32>,
    /// Its integers.
    pub integers: Table<'a, u64>,
    /// Its strings: empty, or the last byte is a NUL.
    pub strings: &'a [u8],
    /// Its variables: kind, scope and name make sense.
    pub variables: Table<'a, Variable>,
}

impl<'a> Difo<'a> {
    /// Finds the object's sections; their entries are not looked at.
    pub(crate) fn read(file: &File<'a>, section: &Loaded<'a>) -> Result<Self, Error> {
        let header: DifoHeader = section.single()?;
        let links = section.data.get(DifoHeader::SIZE..).unwrap_or(&[]);
        let links: Table<'_, u32> = Table::new(links).ok_or(section.error(Problem::CutEntry {
            size: section.head.size,
        }))?;
        if links.len() > limits::DIFO_SECTIONS {
            return Err(section.error(Problem::TooMany {
                what: "sections of a DIF object",
                count: links.len() as u64,
                limit: limits::DIFO_SECTIONS as u64,
            }));
        }
        let (mut instructions, mut integers, mut strings, mut variables) = (None, None, None, None);
        for to in links.iter() {
            let part = file
                .follow_any("link", to)
                .map_err(|problem| section.error(problem))?;
            let twice = match SectionKind::from_raw(part.head.kind) {
                Some(SectionKind::Dif) => instructions.replace(part.table()?).is_some(),
                Some(SectionKind::IntegerTable) => integers.replace(part.table()?).is_some(),
                Some(SectionKind::StringTable) => strings.replace(part.data).is_some(),
                Some(SectionKind::VariableTable) => variables.replace(part.table()?).is_some(),
                // What the compiler resolved already.
                Some(SectionKind::TypeTable | SectionKind::TranslatorTable) => continue,
                _ => {
                    return Err(section.error(Problem::WrongKind {
                        field: "link",
                        to,
                        kind: part.head.kind,
                    }));
                }
            };
            if let (true, Some(kind)) = (twice, SectionKind::from_raw(part.head.kind)) {
                return Err(section.error(Problem::Twice { kind }));
            }
        }
        let instructions: Table<'_, u32> = instructions.ok_or(section.error(Problem::Missing {
            kind: SectionKind::Dif,
        }))?;
        Ok(Self {
            return_type: header.return_type,
            instructions,
            integers: integers.unwrap_or(Table::EMPTY),
            strings: strings.unwrap_or(&[]),
            variables: variables.unwrap_or(Table::EMPTY),
        })
    }

    /// Bytes of its code and tables.
    pub fn size(&self) -> usize {
        [
            self.instructions.size(),
            self.integers.size(),
            self.strings.len(),
            self.variables.size(),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Checks what [`read`](Self::read) did not.
    pub(crate) fn check(file: &File<'a>, section: &Loaded<'a>) -> Result<(), Error> {
        let object = Self::read(file, section)?;
        check_type(object.return_type).map_err(|problem| section.error(problem))?;
        if object.instructions.is_empty() {
            return Err(section.error(Problem::Missing {
                kind: SectionKind::Dif,
            }));
        }
        for (entry, variable) in object.variables.entries() {
            check_variable(&variable, object.strings)
                .map_err(|problem| section.entry_error(entry, problem))?;
        }
        Ok(())
    }
}

fn check_type(of: DifType) -> Result<(), Problem> {
    if !matches!(of.kind, dif::TYPE_CTF | dif::TYPE_STRING) {
        return Err(Problem::Value {
            field: "kind of a type",
            value: of.kind.into(),
        });
    }
    if of.flags & !dif::TYPE_BY_REF != 0 {
        return Err(Problem::Value {
            field: "flags of a type",
            value: of.flags.into(),
        });
    }
    Ok(())
}

fn check_variable(variable: &Variable, strings: &[u8]) -> Result<(), Problem> {
    if !matches!(variable.kind, dif::KIND_ARRAY | dif::KIND_SCALAR) {
        return Err(Problem::Value {
            field: "kind of a variable",
            value: variable.kind.into(),
        });
    }
    if !matches!(
        variable.scope,
        dif::SCOPE_GLOBAL | dif::SCOPE_THREAD | dif::SCOPE_LOCAL
    ) {
        return Err(Problem::Value {
            field: "scope of a variable",
            value: variable.scope.into(),
        });
    }
    let known = dif::VARIABLE_READ | dif::VARIABLE_WRITTEN;
    if variable.flags & !known != 0 {
        return Err(Problem::Value {
            field: "flags of a variable",
            value: variable.flags.into(),
        });
    }
    if u64::from(variable.id) > u64::from(u16::MAX) {
        return Err(Problem::Value {
            field: "number of a variable",
            value: variable.id.into(),
        });
    }
    // The table ends with a NUL, so what begins within it ends within it.
    if u64::from(variable.name) >= strings.len() as u64 {
        let offset = variable.name.into();
        return Err(Problem::StringOutside {
            field: "name of a variable",
            offset,
        });
    }
    check_type(variable.variable_type)
}
