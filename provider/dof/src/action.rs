// SPDX-License-Identifier: GPL-2.0
//! What a clause does.

use dtrace_interface::action::ActionKind;
use dtrace_interface::dof::{self, ActionDescription, SectionKind};

use crate::difo::Difo;
use crate::error::{Error, Problem};
use crate::file::{File, Loaded};
use crate::limits;
use crate::table::Table;

/// An action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// Its kind; not [`ActionKind::None`].
    pub kind: ActionKind,
    /// What computes its value.
    pub difo: Option<Difo<'a>>,
    /// Its format string, without NUL. Only kinds that [have one](ActionKind::has_format).
    pub format: Option<&'a [u8]>,
    /// If it aggregates: how many actions before it are its key; there are as many.
    pub tuple: u32,
    /// Its argument; 0 if it has a format.
    pub argument: u64,
    /// The client's argument.
    pub user_argument: u64,
}

/// A clause's actions.
#[derive(Clone, Copy, Debug)]
pub struct Actions<'a> {
    file: File<'a>,
    section: Option<Loaded<'a>>,
    table: Table<'a, ActionDescription>,
}

impl<'a> Actions<'a> {
    pub(crate) fn none(file: &File<'a>) -> Self {
        Self {
            file: *file,
            section: None,
            table: Table::EMPTY,
        }
    }

    pub(crate) fn read(file: &File<'a>, section: &Loaded<'a>) -> Result<Self, Error> {
        Ok(Self {
            file: *file,
            section: Some(*section),
            table: section.table()?,
        })
    }

    pub(crate) fn check(file: &File<'a>, section: &Loaded<'a>) -> Result<(), Error> {
        for (entry, raw) in section.table()?.entries() {
            read_action(file, entry, &raw)
                .map_err(|problem| section.entry_error(entry, problem))?;
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none: the clause only records that its probe fired.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Action<'a>> + Clone + 'a {
        let (file, section) = (self.file, self.section);
        // check() and the check of every object were passed by all of them.
        self.table.entries().filter_map(move |(entry, raw)| {
            section?;
            read_action(&file, entry, &raw).ok()
        })
    }
}

fn read_action<'a>(
    file: &File<'a>,
    entry: usize,
    raw: &ActionDescription,
) -> Result<Action<'a>, Problem> {
    let kind = u16::try_from(raw.kind)
        .ok()
        .and_then(ActionKind::from_raw)
        .filter(|kind| *kind != ActionKind::None)
        .ok_or(Problem::Value {
            field: "kind of an action",
            value: raw.kind.into(),
        })?;
    let difo = match file.follow_option("DIF object", raw.difo, SectionKind::DifoHeader)? {
        // An object that is wrong is named as such when its section is checked.
        Some(section) => Some(Difo::read(file, &section).map_err(|error| error.problem)?),
        None => None,
    };
    let has_format = kind.has_format() && raw.strings != dof::SECTION_NONE;
    let format = has_format
        .then(|| file.string("format", raw.strings, raw.argument, limits::FORMAT))
        .transpose()?;
    if kind.is_aggregation() && u64::from(raw.tuple) > entry as u64 {
        return Err(Problem::TooMany {
            what: "keys",
            count: raw.tuple.into(),
            limit: entry as u64,
        });
    }
    Ok(Action {
        kind,
        difo,
        format,
        tuple: if kind.is_aggregation() { raw.tuple } else { 0 },
        argument: if has_format { 0 } else { raw.argument },
        user_argument: raw.user_argument,
    })
}
