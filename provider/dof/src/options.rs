// SPDX-License-Identifier: GPL-2.0
//! Options that a program sets, and the file that tells a client those in force.

use dtrace_interface::dof::{self, Header, OptionDescription, Section, SectionKind};
use dtrace_interface::options::{self, OptionId};
use dtrace_interface::{dif, Plain};

use crate::error::{Error, Problem};
use crate::file::Loaded;

/// An option that a program sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSetting {
    /// Which.
    pub option: OptionId,
    /// Its value; may be [`UNSET`](options::UNSET).
    pub value: u64,
}

impl OptionSetting {
    fn read(raw: &OptionDescription) -> Result<Self, Problem> {
        let option = OptionId::from_raw(raw.option).ok_or(Problem::Value {
            field: "option",
            value: raw.option.into(),
        })?;
        // No option has a string.
        if raw.strings != dof::SECTION_NONE {
            return Err(Problem::Value {
                field: "string table",
                value: raw.strings.into(),
            });
        }
        Ok(Self {
            option,
            value: raw.value,
        })
    }

    pub(crate) fn check(section: &Loaded<'_>) -> Result<(), Error> {
        for (entry, raw) in section.table()?.entries() {
            Self::read(&raw).map_err(|problem| section.entry_error(entry, problem))?;
        }
        Ok(())
    }

    pub(crate) fn all<'a>(section: &Loaded<'a>) -> impl Iterator<Item = Self> + Clone + 'a {
        // check() was passed by all of them.
        let table = section.table().unwrap_or(crate::Table::EMPTY);
        table.iter().filter_map(|raw| Self::read(&raw).ok())
    }
}

/// Bytes of [`options_image`].
pub const OPTIONS_IMAGE_SIZE: usize =
    Header::SIZE + Section::SIZE + options::COUNT * OptionDescription::SIZE;

/// The file that answers DOFGET: the value of every option, by number.
pub fn options_image(values: &[u64; options::COUNT]) -> [u8; OPTIONS_IMAGE_SIZE] {
    let mut image = [0; OPTIONS_IMAGE_SIZE];
    let data = Header::SIZE + Section::SIZE;
    let section = Section {
        kind: SectionKind::OptionDescription.raw(),
        alignment: 8,
        flags: dof::SECTION_LOAD,
        entry_size: OptionDescription::SIZE as u32,
        offset: data as u64,
        size: (OPTIONS_IMAGE_SIZE - data) as u64,
    };
    // The parts have room by the size above; if not, an option would read as 0.
    let _ = header(1, OPTIONS_IMAGE_SIZE as u64).to_bytes(&mut image);
    let _ = image
        .get_mut(Header::SIZE..)
        .and_then(|at| section.to_bytes(at));
    let entries = image.get_mut(data..).unwrap_or_default();
    let entries = entries.chunks_exact_mut(OptionDescription::SIZE);
    for ((option, value), at) in (0..u32::MAX).zip(values).zip(entries) {
        let strings = dof::SECTION_NONE;
        let _ = OptionDescription {
            option,
            strings,
            value: *value,
        }
        .to_bytes(at);
    }
    image
}

/// The header of a file whose section headers follow it and of which all is loaded.
pub(crate) fn header(sections: u32, size: u64) -> Header {
    let [m0, m1, m2, m3] = dof::MAGIC;
    let ident = [
        m0,
        m1,
        m2,
        m3,
        dof::MODEL_LP64,
        dof::ENCODING_LITTLE,
        dof::VERSION_2,
        dif::VERSION as u8,
        dif::INTEGER_REGISTERS as u8,
        dif::TUPLE_REGISTERS as u8,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    Header {
        ident,
        flags: 0,
        header_size: Header::SIZE as u32,
        section_size: Section::SIZE as u32,
        sections,
        section_offset: Header::SIZE as u64,
        load_size: size,
        file_size: size,
        pad: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_holds_every_option() {
        let mut values = [options::UNSET; options::COUNT];
        values[3] = 7;
        let image = options_image(&values);
        let description = crate::load(&image).unwrap();
        assert!(description.ecbs().next().is_none());
        let settings: std::vec::Vec<_> = description.options().collect();
        assert_eq!(settings.len(), options::COUNT);
        for (index, setting) in settings.iter().enumerate() {
            assert_eq!(setting.option.raw() as usize, index);
            assert_eq!(setting.value, values[index]);
        }
    }
}
