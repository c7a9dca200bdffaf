// SPDX-License-Identifier: GPL-2.0
//! Sections as they are collected, and the file they make.

use std::collections::HashMap;
use std::vec;
use std::vec::Vec;

use dtrace_interface::dof::{self, Header, Section, SectionKind};
use dtrace_interface::Plain;

use super::{Object, WriteError};
use crate::options::header;

/// Bytes of a value.
fn bytes_of<T: Plain>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; T::SIZE];
    value.to_bytes(&mut bytes).expect("there is room");
    bytes
}

/// Bytes of a table.
pub(super) fn table<T: Plain>(entries: &[T]) -> Vec<u8> {
    entries.iter().flat_map(bytes_of).collect()
}

/// The string table that all but DIF objects share. It is the first section.
#[derive(Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

impl Strings {
    /// The section's index.
    pub const SECTION: u32 = 0;

    /// The offset of a string, which is put in if it is new.
    pub fn offset(&mut self, field: &'static str, text: &str) -> Result<u32, WriteError> {
        if text.contains('\0') {
            return Err(WriteError::Nul { field });
        }
        if let Some(offset) = self.offsets.get(text.as_bytes()) {
            return Ok(*offset);
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        self.offsets.insert(text.into(), offset);
        Ok(offset)
    }
}

/// Sections by index; the first is [`Strings`].
pub(super) struct Sections {
    sections: Vec<(Section, Vec<u8>)>,
    objects: Vec<(Object, u32)>,
}

impl Sections {
    pub fn new() -> Self {
        let mut new = Self {
            sections: Vec::new(),
            objects: Vec::new(),
        };
        new.add(SectionKind::StringTable, 1, 0, Vec::new());
        new
    }

    /// Adds a section and gives its index.
    pub fn add(
        &mut self,
        kind: SectionKind,
        alignment: u32,
        entry_size: usize,
        data: Vec<u8>,
    ) -> u32 {
        let head = Section {
            kind: kind.raw(),
            alignment,
            flags: dof::SECTION_LOAD,
            entry_size: entry_size as u32,
            offset: 0,
            size: 0,
        };
        self.sections.push((head, data));
        self.sections.len() as u32 - 1
    }

    /// Adds a table and gives its index.
    pub fn add_table<T: Plain>(&mut self, kind: SectionKind, alignment: u32, entries: &[T]) -> u32 {
        self.add(kind, alignment, T::SIZE, table(entries))
    }

    /// Adds an object's sections, unless an equal one is there, and gives its header's index.
    pub fn add_object(&mut self, object: &Object) -> u32 {
        if let Some((_, index)) = self.objects.iter().find(|(old, _)| old == object) {
            return *index;
        }
        let mut links = vec![self.add_table(SectionKind::Dif, 4, &object.instructions)];
        if !object.integers.is_empty() {
            links.push(self.add_table(SectionKind::IntegerTable, 8, &object.integers));
        }
        if !object.strings.is_empty() {
            links.push(self.add(SectionKind::StringTable, 1, 0, object.strings.clone()));
        }
        if !object.variables.is_empty() {
            links.push(self.add_table(SectionKind::VariableTable, 4, &object.variables));
        }
        let mut data = bytes_of(&object.return_type);
        data.extend(table(&links));
        let index = self.add(SectionKind::DifoHeader, 4, 0, data);
        self.objects.push((object.clone(), index));
        index
    }

    /// The file: header, section headers, data.
    pub fn into_file(mut self, strings: Strings) -> Vec<u8> {
        if let Some((_, data)) = self.sections.first_mut() {
            *data = strings.bytes;
        }
        let heads = Header::SIZE + self.sections.len() * Section::SIZE;
        let mut end = heads;
        for (head, data) in &mut self.sections {
            end = end.next_multiple_of(head.alignment as usize);
            head.offset = end as u64;
            head.size = data.len() as u64;
            end += data.len();
        }
        let mut file = bytes_of(&header(self.sections.len() as u32, end as u64));
        for (head, _) in &self.sections {
            file.extend(bytes_of(head));
        }
        for (head, data) in &self.sections {
            file.resize(head.offset as usize, 0);
            file.extend(data);
        }
        file
    }
}
