// SPDX-License-Identifier: GPL-2.0
//! Each thing that can be wrong is refused, by name.

mod common;

use dof::limits;
use dtrace_interface::dof::{Header, Section, SectionKind, SECTION_NONE};
use dtrace_interface::Plain;

/// The sample as a file whose parts can be changed.
struct File(Vec<u8>);

impl File {
    fn new() -> Self {
        Self(common::sample().to_bytes().unwrap())
    }

    fn header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::from_bytes(&self.0).unwrap();
        change(&mut header);
        header.to_bytes(&mut self.0).unwrap();
        self
    }

    /// The index of the first section of a kind.
    fn find(&self, kind: SectionKind) -> usize {
        let head = |index: usize| Section::from_bytes(&self.0[64 + index * 32..]).unwrap();
        (0..).find(|index| head(*index).kind == kind.raw()).unwrap()
    }

    fn head(mut self, kind: SectionKind, change: impl FnOnce(&mut Section)) -> Self {
        let at = 64 + self.find(kind) * 32;
        let mut head = Section::from_bytes(&self.0[at..]).unwrap();
        change(&mut head);
        head.to_bytes(&mut self.0[at..]).unwrap();
        self
    }

    /// Writes into the data of the first section of a kind.
    fn data<T: Plain>(mut self, kind: SectionKind, offset: usize, value: T) -> Self {
        let head = Section::from_bytes(&self.0[64 + self.find(kind) * 32..]).unwrap();
        value
            .to_bytes(&mut self.0[head.offset as usize + offset..])
            .unwrap();
        self
    }

    fn why(&self) -> String {
        dof::load(&self.0)
            .expect_err("it should be refused")
            .to_string()
    }

    #[track_caller]
    fn refused(self, why: &str) {
        assert_eq!(self.why(), why);
    }
}

#[test]
fn headers() {
    let file = || File::new();
    file()
        .header(|h| h.ident[1] = b'E')
        .refused("DOF header: not DOF");
    for (at, value, why) in [
        (4, 1, "data model is 1, which is not supported"),
        (5, 2, "byte order is 2, which is not supported"),
        (6, 3, "DOF version is 3, which is not supported"),
        (7, 1, "DIF version is 1, which is not supported"),
        (8, 9, "9 integer registers, at most 8 are supported"),
        (9, 255, "255 tuple registers, at most 8 are supported"),
    ] {
        file()
            .header(|h| h.ident[at] = value)
            .refused(&format!("DOF header: {why}"));
    }
    file()
        .header(|h| h.flags = 4)
        .refused("DOF header: flags is 4, which is not supported");
    file()
        .header(|h| h.header_size = 60)
        .refused("DOF header: header size is 60, which is not supported");
    file()
        .header(|h| h.section_size = 40)
        .refused("DOF header: section header size is 40, which is not supported");
    file()
        .header(|h| h.load_size = 63)
        .refused("DOF header: load size is 63, which is not supported");
    let have = file().0.len();
    file().header(|h| h.file_size -= 1).refused(&format!(
        "DOF header: file size is {}, which is not supported",
        have - 1
    ));
    let sections = u64::from(limits::SECTIONS) + 1;
    file()
        .header(|h| h.sections = sections as u32)
        .refused(&format!(
            "DOF header: {sections} sections, at most {} are supported",
            limits::SECTIONS
        ));
    let bytes = limits::FILE_SIZE as u64 + 1;
    file()
        .header(|h| (h.load_size, h.file_size) = (bytes, bytes))
        .refused(&format!(
            "DOF header: {bytes} bytes, at most {} are supported",
            limits::FILE_SIZE
        ));
    file()
        .header(|h| (h.load_size, h.file_size) = (9000, 9000))
        .refused(&format!("DOF header: needs 9000 bytes, has {have}"));
    let offset = u64::MAX - 8;
    file()
        .header(|h| h.section_offset = offset)
        .refused(&format!(
            "DOF header: 576 bytes at offset {offset} do not lie within {have} bytes"
        ));
    assert_eq!(
        dof::load_size(&[0x7f]).unwrap_err().to_string(),
        "DOF header: needs 64 bytes, has 1"
    );
}

#[test]
fn sections() {
    use SectionKind as Kind;
    let file = || File::new();
    file()
        .head(Kind::IntegerTable, |s| s.alignment = 3)
        .refused("DOF section 4 (INTTAB): alignment is 3, which is not supported");
    file()
        .head(Kind::IntegerTable, |s| s.offset = 644)
        .refused("DOF section 4 (INTTAB): offset 644 is no multiple of its alignment, 8");
    let have = file().0.len();
    file()
        .head(Kind::IntegerTable, |s| (s.offset, s.size) = (8, u64::MAX))
        .refused(&format!(
            "DOF section 4 (INTTAB): {} bytes at offset 8 do not lie within {have} bytes",
            u64::MAX
        ));
    file()
        .head(Kind::StringTable, |s| (s.offset, s.size) = (0, have as u64))
        .refused("DOF section 1 (DIF): sections overlap");
    file()
        .head(Kind::IntegerTable, |s| s.entry_size = 4)
        .refused("DOF section 4 (INTTAB): entries of 4 bytes, not 8");
    file()
        .head(Kind::IntegerTable, |s| s.size -= 1)
        .refused("DOF section 4 (INTTAB): the last entry is cut short at 15 bytes");
    for kind in [
        Kind::KernelRelocations,
        Kind::UserRelocations,
        Kind::Provider,
        Kind::Probes,
    ] {
        file()
            .head(Kind::OptionDescription, |s| s.kind = kind.raw())
            .refused(&format!(
                "DOF section 17 ({}): sections of this kind are not supported",
                kind.name()
            ));
    }
    file()
        .head(Kind::OptionDescription, |s| s.kind = 99)
        .refused("DOF section 17 (kind 99): no such kind of section");
    // What is not loaded is not looked at.
    let unloaded = file().head(Kind::OptionDescription, |s| {
        (s.kind, s.flags, s.offset) = (Kind::Utsname.raw(), 0, u64::MAX);
    });
    assert_eq!(dof::load(&unloaded.0).unwrap().options().count(), 0);
    file()
        .head(Kind::StringTable, |s| s.size -= 1)
        .refused("DOF section 0 (STRTAB): does not end with a NUL");
}

#[test]
fn references() {
    use SectionKind as Kind;
    let file = || File::new();
    let ecb = file().find(Kind::EcbDescription);
    let here = |why: &str| format!("DOF section {ecb} (ECBDESC): {why}");
    let refer = |offset, to: u32| file().data(Kind::EcbDescription, offset, to);
    refer(0, 99).refused(&here("probe description: there is no section 99"));
    refer(0, SECTION_NONE).refused(&here("probe description: is missing"));
    refer(0, 0).refused(&here("probe description: section 0 is of STRTAB"));
    refer(4, 0).refused(&here("predicate: section 0 is of STRTAB"));
    refer(8, 1).refused(&here("actions: section 1 is of DIF"));
    file()
        .head(Kind::ActionDescription, |s| s.flags = 0)
        .refused(&here("actions: section 10 is not loaded"));
    file()
        .head(Kind::EcbDescription, |s| s.size = 20)
        .refused(&here("needs 24 bytes, has 20"));
}

#[test]
fn probes() {
    use SectionKind as Kind;
    let file = || File::new();
    let probe = file().find(Kind::ProbeDescription);
    let here = |why: &str| format!("DOF section {probe} (PROBEDESC): {why}");
    file()
        .data(Kind::ProbeDescription, 16, 7000_u32)
        .refused(&here("name: string offset 7000 is beyond the table's end"));
    let end = Section::from_bytes(&file().0[64..]).unwrap().size;
    file()
        .data(Kind::ProbeDescription, 4, end as u32)
        .refused(&here(&format!(
            "provider: string offset {end} is beyond the table's end"
        )));
    file()
        .data(Kind::ProbeDescription, 0, 1_u32)
        .refused(&here("provider: section 1 is of DIF"));
}

#[test]
fn actions() {
    use SectionKind as Kind;
    let file = || File::new();
    let index = file().find(Kind::ActionDescription);
    let here = |entry, why: &str| format!("DOF section {index} (ACTDESC), entry {entry}: {why}");
    for kind in [0, 7, 0x300, 0x1_0001_u32] {
        file().data(Kind::ActionDescription, 8, kind).refused(&here(
            0,
            &format!("kind of an action is {kind}, which is not supported"),
        ));
    }
    file()
        .data(Kind::ActionDescription, 32 + 12, 2_u32)
        .refused(&here(1, "2 keys, at most 1 are supported"));
    file()
        .data(Kind::ActionDescription, 64 + 16, 1_u64 << 32)
        .refused(&here(
            2,
            "format: string offset 4294967296 is beyond the table's end",
        ));
    file()
        .data(Kind::ActionDescription, 0, 0_u32)
        .refused(&here(0, "DIF object: section 0 is of STRTAB"));
}

#[test]
fn objects() {
    use SectionKind as Kind;
    let file = || File::new();
    // The first object has code only; its header's one link is to section 1.
    let index = file().find(Kind::DifoHeader);
    let here = |why: &str| format!("DOF section {index} (DIFOHDR): {why}");
    let link = |to: u32| file().data(Kind::DifoHeader, 8, to);
    link(77).refused(&here("link: there is no section 77"));
    link(index as u32).refused(&here(&format!("link: section {index} is of DIFOHDR")));
    link(0).refused(&here("no DIF section"));
    file()
        .head(Kind::DifoHeader, |s| s.size = 11)
        .refused(&here("the last entry is cut short at 11 bytes"));
    file()
        .head(Kind::DifoHeader, |s| s.size = 4)
        .refused(&here("needs 8 bytes, has 4"));
    file()
        .head(Kind::Dif, |s| s.size = 0)
        .refused(&here("no DIF section"));
    file()
        .data(Kind::DifoHeader, 0, 2_u8)
        .refused(&here("kind of a type is 2, which is not supported"));
    file()
        .data(Kind::DifoHeader, 2, 2_u8)
        .refused(&here("flags of a type is 2, which is not supported"));
    let many = 8 + 4 * (limits::DIFO_SECTIONS as u64 + 1);
    file()
        .head(Kind::DifoHeader, |s| (s.offset, s.size) = (64, many))
        .refused(&here(
            "17 sections of a DIF object, at most 16 are supported",
        ));
    // Links 1 and 1: the second is the second object's first data, put there.
    let mut twice = file().head(Kind::DifoHeader, |s| s.size = 16);
    let at = Section::from_bytes(&twice.0[64 + index * 32..])
        .unwrap()
        .offset as usize;
    twice.0[at + 12..at + 16].copy_from_slice(&1_u32.to_le_bytes());
    twice.refused(&here("two DIF sections"));
}

#[test]
fn variables() {
    use SectionKind as Kind;
    let object = "DOF section 7 (DIFOHDR), entry 0: ";
    for (offset, byte, why) in [
        (
            0,
            7,
            "name of a variable: string offset 7 is beyond the table's end",
        ),
        (
            6,
            1,
            "number of a variable is 66816, which is not supported",
        ),
        (8, 2, "kind of a variable is 2, which is not supported"),
        (9, 3, "scope of a variable is 3, which is not supported"),
        (10, 4, "flags of a variable is 4, which is not supported"),
        (12, 9, "kind of a type is 9, which is not supported"),
    ] {
        File::new()
            .data::<u8>(Kind::VariableTable, offset, byte)
            .refused(&format!("{object}{why}"));
    }
}

#[test]
fn options() {
    use SectionKind as Kind;
    File::new()
        .data(Kind::OptionDescription, 16, 30_u32)
        .refused("DOF section 17 (OPTDESC), entry 1: option is 30, which is not supported");
    File::new()
        .data(Kind::OptionDescription, 4, 0_u32)
        .refused("DOF section 17 (OPTDESC), entry 0: string table is 0, which is not supported");
}

#[test]
fn counts() {
    use dof::{ActionSpec, ProbeSpec, Program};
    use dtrace_interface::action::ActionKind;
    use dtrace_interface::options::OptionId;
    let probes = |count| vec![ProbeSpec::default(); count];
    let refused = |program: Program| program.to_bytes().unwrap_err().to_string();

    let program = |count| Program::new().clause(probes(count), None, []);
    assert!(program(limits::ECBS).to_bytes().is_ok());
    assert_eq!(
        refused(program(limits::ECBS + 1)),
        "DOF header: 4097 ECB descriptions, at most 4096 are supported"
    );

    let actions = |count| vec![ActionSpec::new(ActionKind::Count); count];
    let program = |count| Program::new().clause(probes(128), None, actions(count));
    assert!(program(128).to_bytes().is_ok());
    assert!(refused(program(129)).ends_with("actions, at most 16384 are supported"));

    // One object of 64 KiB, used by 129 ECBs, is more than 8 MiB.
    let mut object = common::built_in(0x116);
    object.integers = vec![0; 8191];
    let program = |count| Program::new().clause(probes(count), Some(object.clone()), []);
    assert!(program(128).to_bytes().is_ok());
    assert!(refused(program(129)).contains("bytes of DIF objects in use"));

    // Two headers of one object of more than half a file.
    object.integers = vec![0; limits::FILE_SIZE / 8 - 4096];
    let file = Program::new()
        .clause(probes(1), Some(object), [])
        .option(OptionId::Quiet, 1);
    let file = File(file.to_bytes().unwrap());
    let at = 64 + file.find(SectionKind::DifoHeader) * 32;
    let header = Section::from_bytes(&file.0[at..]).unwrap();
    let twice = file.head(SectionKind::OptionDescription, |s| *s = header);
    assert!(
        twice
            .why()
            .contains("bytes of DIF objects, at most 1048576"),
        "{}",
        twice.why()
    );
}
