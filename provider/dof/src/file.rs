// SPDX-License-Identifier: GPL-2.0
//! The file's frame: header, section headers, where each section's data lie.

use core::fmt;

use dtrace_interface::dof::{self, Header, Section, SectionKind};
use dtrace_interface::{dif, Plain};

use crate::error::{Error, Place, Problem};
use crate::limits;
use crate::table::Table;

/// The loaded bytes and the sections in them, all checked.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    bytes: &'a [u8],
    sections: Table<'a, Section>,
}

/// Without the bytes: there may be a mebibyte of them.
impl fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, sections) = (self.bytes.len(), self.sections.len());
        write!(f, "{bytes} bytes of DOF, {sections} sections")
    }
}

/// A section and its data. Only loaded ones have data.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<'a> {
    pub place: Place,
    pub head: Section,
    pub data: &'a [u8],
}

impl fmt::Debug for Loaded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

const fn in_header(problem: Problem) -> Error {
    Error {
        place: Place::Header,
        problem,
    }
}

/// How many bytes of a file are to be copied in before [`load`](crate::load), from its first 64.
///
/// # Errors
/// The header is cut short, is not one of ours or tells a size beyond [`limits::FILE_SIZE`].
pub fn load_size(header: &[u8]) -> Result<usize, Error> {
    let size = checked_header(header)?.load_size;
    // Not beyond FILE_SIZE.
    Ok(size as usize)
}

fn checked_header(bytes: &[u8]) -> Result<Header, Error> {
    let header = Header::from_bytes(bytes).ok_or(in_header(Problem::Short {
        need: Header::SIZE as u64,
        have: bytes.len() as u64,
    }))?;
    if !header.ident.starts_with(&dof::MAGIC) {
        return Err(in_header(Problem::Magic));
    }
    let ident = |at: usize| header.ident.get(at).copied().unwrap_or(0);
    let fields = [
        (
            "data model",
            u64::from(ident(dof::IDENT_MODEL)),
            dof::MODEL_LP64.into(),
        ),
        (
            "byte order",
            ident(dof::IDENT_ENCODING).into(),
            dof::ENCODING_LITTLE.into(),
        ),
        (
            "DIF version",
            ident(dof::IDENT_DIF_VERSION).into(),
            dif::VERSION.into(),
        ),
        ("flags", header.flags.into(), 0),
        (
            "header size",
            header.header_size.into(),
            Header::SIZE as u64,
        ),
        (
            "section header size",
            header.section_size.into(),
            Section::SIZE as u64,
        ),
    ];
    for (field, value, need) in fields {
        if value != need {
            return Err(in_header(Problem::Value { field, value }));
        }
    }
    let version = ident(dof::IDENT_VERSION);
    if !matches!(version, dof::VERSION_1 | dof::VERSION_2) {
        return Err(in_header(Problem::Value {
            field: "DOF version",
            value: version.into(),
        }));
    }
    let limits = [
        (
            "integer registers",
            u64::from(ident(dof::IDENT_INTEGER_REGISTERS)),
            dif::INTEGER_REGISTERS as u64,
        ),
        (
            "tuple registers",
            ident(dof::IDENT_TUPLE_REGISTERS).into(),
            dif::TUPLE_REGISTERS as u64,
        ),
        ("sections", header.sections.into(), limits::SECTIONS.into()),
        ("bytes", header.load_size, limits::FILE_SIZE as u64),
    ];
    for (what, count, limit) in limits {
        if count > limit {
            return Err(in_header(Problem::TooMany { what, count, limit }));
        }
    }
    if header.load_size < Header::SIZE as u64 {
        return Err(in_header(Problem::Value {
            field: "load size",
            value: header.load_size,
        }));
    }
    if header.file_size < header.load_size {
        return Err(in_header(Problem::Value {
            field: "file size",
            value: header.file_size,
        }));
    }
    Ok(header)
}

/// The bytes at an offset, if they lie within.
fn slice(bytes: &[u8], offset: u64, size: u64) -> Result<&[u8], Problem> {
    let within = || {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        bytes.get(start..end)
    };
    within().ok_or(Problem::Outside {
        offset,
        size,
        have: bytes.len() as u64,
    })
}

impl<'a> File<'a> {
    /// Checks the header and where loaded sections lie; bytes beyond the loaded ones do not matter.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = checked_header(bytes)?;
        let have = bytes.len() as u64;
        let bytes = usize::try_from(header.load_size)
            .ok()
            .and_then(|size| bytes.get(..size))
            .ok_or(in_header(Problem::Short {
                need: header.load_size,
                have,
            }))?;
        // At most SECTIONS of 32 bytes: no overflow.
        let size = u64::from(header.sections).saturating_mul(Section::SIZE as u64);
        let heads = slice(bytes, header.section_offset, size).map_err(in_header)?;
        let sections = Table::new(heads).ok_or(in_header(Problem::CutEntry {
            size: heads.len() as u64,
        }))?;
        let file = Self { bytes, sections };
        let mut total = 0_u64;
        for (index, head) in (0..u32::MAX).zip(sections.iter()) {
            let place = Place::Section {
                index,
                kind: head.kind,
            };
            if head.flags & dof::SECTION_LOAD != 0 {
                file.data(&head)
                    .map_err(|problem| Error { place, problem })?;
                // Sections of one file that share bytes could be as many times its size.
                total = total.saturating_add(head.size);
                if total > header.load_size {
                    return Err(Error {
                        place,
                        problem: Problem::Overlap,
                    });
                }
            }
        }
        Ok(file)
    }

    fn data(&self, head: &Section) -> Result<&'a [u8], Problem> {
        if !head.alignment.is_power_of_two() {
            return Err(Problem::Value {
                field: "alignment",
                value: head.alignment.into(),
            });
        }
        let alignment = u64::from(head.alignment);
        if head.offset & alignment.wrapping_sub(1) != 0 {
            return Err(Problem::Misaligned {
                offset: head.offset,
                alignment: head.alignment,
            });
        }
        slice(self.bytes, head.offset, head.size)
    }

    /// The loaded sections in order, with those of unknown kind.
    pub fn loaded(&self) -> impl Iterator<Item = Loaded<'a>> + Clone + 'a {
        let file = *self;
        (0..u32::MAX)
            .zip(self.sections.iter())
            .filter_map(move |(index, head)| {
                (head.flags & dof::SECTION_LOAD != 0).then_some(())?;
                let data = file.data(&head).ok()?;
                Some(Loaded {
                    place: Place::Section {
                        index,
                        kind: head.kind,
                    },
                    head,
                    data,
                })
            })
    }

    /// The section that a reference leads to, of the kind it must have.
    pub fn follow(
        &self,
        field: &'static str,
        to: u32,
        kind: SectionKind,
    ) -> Result<Loaded<'a>, Problem> {
        let found = self.follow_any(field, to)?;
        if found.head.kind != kind.raw() {
            return Err(Problem::WrongKind {
                field,
                to,
                kind: found.head.kind,
            });
        }
        Ok(found)
    }

    /// As [`follow`](Self::follow), of any kind.
    pub fn follow_any(&self, field: &'static str, to: u32) -> Result<Loaded<'a>, Problem> {
        let head = usize::try_from(to)
            .ok()
            .and_then(|index| self.sections.get(index))
            .ok_or(Problem::NoSection { field, to })?;
        if head.flags & dof::SECTION_LOAD == 0 {
            return Err(Problem::NotLoaded { field, to });
        }
        let data = self.data(&head)?;
        Ok(Loaded {
            place: Place::Section {
                index: to,
                kind: head.kind,
            },
            head,
            data,
        })
    }

    /// The section that an optional reference leads to.
    pub fn follow_option(
        &self,
        field: &'static str,
        to: u32,
        kind: SectionKind,
    ) -> Result<Option<Loaded<'a>>, Problem> {
        if to == dof::SECTION_NONE {
            return Ok(None);
        }
        self.follow(field, to, kind).map(Some)
    }

    /// A string without its NUL, from the table that a reference leads to.
    pub fn string(
        &self,
        field: &'static str,
        table: u32,
        offset: u64,
        limit: usize,
    ) -> Result<&'a [u8], Problem> {
        let table = self.follow(field, table, SectionKind::StringTable)?.data;
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|start| table.get(start..))
            .filter(|rest| !rest.is_empty())
            .ok_or(Problem::StringOutside { field, offset })?;
        let near = rest.get(..limit).unwrap_or(rest);
        match near
            .iter()
            .position(|byte| *byte == 0)
            .and_then(|end| near.get(..end))
        {
            Some(string) => Ok(string),
            None => Err(Problem::StringLong { field, limit }),
        }
    }
}

impl<'a> Loaded<'a> {
    /// A problem of the whole section.
    pub fn error(&self, problem: Problem) -> Error {
        Error {
            place: self.place,
            problem,
        }
    }

    /// A problem of one of its entries.
    pub fn entry_error(&self, entry: usize, problem: Problem) -> Error {
        let place = match self.place {
            Place::Section { index, kind } => Place::Entry { index, kind, entry },
            other => other,
        };
        Error { place, problem }
    }

    /// The one structure it holds.
    pub fn single<T: Plain>(&self) -> Result<T, Error> {
        T::from_bytes(self.data).ok_or(self.error(Problem::Short {
            need: T::SIZE as u64,
            have: self.data.len() as u64,
        }))
    }

    /// The table it holds.
    pub fn table<T: Plain>(&self) -> Result<Table<'a, T>, Error> {
        let need = T::SIZE as u32;
        if self.head.entry_size != need {
            return Err(self.error(Problem::EntrySize {
                size: self.head.entry_size,
                need,
            }));
        }
        Table::new(self.data).ok_or(self.error(Problem::CutEntry {
            size: self.head.size,
        }))
    }
}
