// SPDX-License-Identifier: GPL-2.0
//! Why a file is refused: where, and what is wrong there.

use core::fmt;

use dtrace_interface::dof::{SectionKind, SECTION_NONE};

/// A file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file's header or the file as a whole.
    Header,
    /// A section.
    Section {
        /// Its index.
        index: u32,
        /// What it says it holds.
        kind: u32,
    },
    /// An entry of a table.
    Entry {
        /// The section's index.
        index: u32,
        /// What it says it holds.
        kind: u32,
        /// The entry's index.
        entry: usize,
    },
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Does not begin as DOF does.
    Magic,
    /// A field has a value that makes no sense or that we do not know.
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The end is missing.
    Short {
        /// Bytes it should have.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// More than a limit allows.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A section's data do not lie within the file.
    Outside {
        /// Where they begin.
        offset: u64,
        /// Their bytes.
        size: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A section's data do not lie where its alignment wants.
    Misaligned {
        /// Where they begin.
        offset: u64,
        /// The alignment.
        alignment: u32,
    },
    /// Sections have more bytes in all than the file.
    Overlap,
    /// Entries of a table have another size than ours.
    EntrySize {
        /// Their bytes.
        size: u32,
        /// Ours.
        need: u32,
    },
    /// The size of a table is no multiple of its entries'.
    CutEntry {
        /// The table's bytes.
        size: u64,
    },
    /// A kind of section that we do not serve.
    Unsupported,
    /// A kind of section that nobody knows.
    UnknownKind,
    /// A reference to a section that does not exist.
    NoSection {
        /// The reference.
        field: &'static str,
        /// Where it leads.
        to: u32,
    },
    /// A reference to a section that is not loaded.
    NotLoaded {
        /// The reference.
        field: &'static str,
        /// Where it leads.
        to: u32,
    },
    /// A reference to a section that holds something else.
    WrongKind {
        /// The reference.
        field: &'static str,
        /// Where it leads.
        to: u32,
        /// What is there.
        kind: u32,
    },
    /// A string begins beyond its table's end.
    StringOutside {
        /// Which.
        field: &'static str,
        /// Where it should begin.
        offset: u64,
    },
    /// A string is too long.
    StringLong {
        /// Which.
        field: &'static str,
        /// Bytes it may have, its NUL included.
        limit: usize,
    },
    /// A string table does not end with a NUL.
    NoNul,
    /// A DIF object has two sections of a kind.
    Twice {
        /// The kind.
        kind: SectionKind,
    },
    /// A DIF object lacks a section.
    Missing {
        /// The kind.
        kind: SectionKind,
    },
}

impl core::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// A kind of section, by name if it has one.
struct Kind(u32);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SectionKind::from_raw(self.0) {
            Some(kind) => f.write_str(kind.name()),
            None => write!(f, "kind {}", self.0),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header => f.write_str("DOF header"),
            Self::Section { index, kind } => write!(f, "DOF section {index} ({})", Kind(kind)),
            Self::Entry { index, kind, entry } => {
                write!(f, "DOF section {index} ({}), entry {entry}", Kind(kind))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic => f.write_str("not DOF"),
            Self::Value { field, value } => write!(f, "{field} is {value}, which is not supported"),
            Self::Short { need, have } => write!(f, "needs {need} bytes, has {have}"),
            Self::TooMany { what, count, limit } => {
                write!(f, "{count} {what}, at most {limit} are supported")
            }
            Self::Outside { offset, size, have } => {
                write!(
                    f,
                    "{size} bytes at offset {offset} do not lie within {have} bytes"
                )
            }
            Self::Misaligned { offset, alignment } => {
                write!(
                    f,
                    "offset {offset} is no multiple of its alignment, {alignment}"
                )
            }
            Self::Overlap => f.write_str("sections overlap"),
            Self::EntrySize { size, need } => write!(f, "entries of {size} bytes, not {need}"),
            Self::CutEntry { size } => write!(f, "the last entry is cut short at {size} bytes"),
            Self::Unsupported => f.write_str("sections of this kind are not supported"),
            Self::UnknownKind => f.write_str("no such kind of section"),
            Self::NoSection {
                field,
                to: SECTION_NONE,
            } => write!(f, "{field}: is missing"),
            Self::NoSection { field, to } => write!(f, "{field}: there is no section {to}"),
            Self::NotLoaded { field, to } => write!(f, "{field}: section {to} is not loaded"),
            Self::WrongKind { field, to, kind } => {
                write!(f, "{field}: section {to} is of {}", Kind(kind))
            }
            Self::StringOutside { field, offset } => {
                write!(
                    f,
                    "{field}: string offset {offset} is beyond the table's end"
                )
            }
            Self::StringLong { field, limit } => {
                write!(f, "{field}: longer than {} bytes", limit.saturating_sub(1))
            }
            Self::NoNul => f.write_str("does not end with a NUL"),
            Self::Twice { kind } => write!(f, "two {} sections", kind.name()),
            Self::Missing { kind } => write!(f, "no {} section", kind.name()),
        }
    }
}
