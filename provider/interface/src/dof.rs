// SPDX-License-Identifier: GPL-2.0
//! DOF, the file format of a program: a header, section headers, the sections' data.
//!
//! Sections name each other by index, strings lie in string tables and are named by section and
//! offset. Integers have the byte order that the header tells.

use crate::dif::DifType;

/// The first four bytes of a file.
pub const MAGIC: [u8; 4] = [0x7f, b'D', b'O', b'F'];
/// `ident[4]`: 64-bit pointers.
pub const MODEL_LP64: u8 = 2;
/// `ident[5]`: little endian.
pub const ENCODING_LITTLE: u8 = 1;
/// `ident[6]`: the first version.
pub const VERSION_1: u8 = 1;
/// `ident[6]`: the version that is written.
pub const VERSION_2: u8 = 2;

/// Index into `ident`: the data model.
pub const IDENT_MODEL: usize = 4;
/// Index into `ident`: the byte order.
pub const IDENT_ENCODING: usize = 5;
/// Index into `ident`: DOF's version.
pub const IDENT_VERSION: usize = 6;
/// Index into `ident`: DIF's version.
pub const IDENT_DIF_VERSION: usize = 7;
/// Index into `ident`: integer registers that the DIF uses.
pub const IDENT_INTEGER_REGISTERS: usize = 8;
/// Index into `ident`: tuple registers that the DIF uses.
pub const IDENT_TUPLE_REGISTERS: usize = 9;
/// Index into `ident`: the first of the bytes that are 0.
pub const IDENT_PAD: usize = 10;

/// No section.
pub const SECTION_NONE: u32 = u32::MAX;
/// No string.
pub const STRING_NONE: u32 = u32::MAX;

/// `flags` of a [`Section`]: the kernel wants it.
pub const SECTION_LOAD: u32 = 1;

numbered! {
    /// What a section holds: `DOF_SECT_*`.
    pub enum SectionKind: u32 {
        None = 0, "NONE";
        Comments = 1, "COMMENTS";
        Source = 2, "SOURCE";
        /// One [`EcbDescription`].
        EcbDescription = 3, "ECBDESC";
        /// One [`ProbeDescription`].
        ProbeDescription = 4, "PROBEDESC";
        /// [`ActionDescription`]s.
        ActionDescription = 5, "ACTDESC";
        /// A [`DifType`], then u32 indices of the object's sections.
        DifoHeader = 6, "DIFOHDR";
        /// u32 instructions.
        Dif = 7, "DIF";
        /// Strings, each ended by a NUL.
        StringTable = 8, "STRTAB";
        /// [`Variable`](crate::dif::Variable)s.
        VariableTable = 9, "VARTAB";
        RelocationTable = 10, "RELTAB";
        TypeTable = 11, "TYPTAB";
        UserRelocations = 12, "URELHDR";
        KernelRelocations = 13, "KRELHDR";
        /// [`OptionDescription`]s.
        OptionDescription = 14, "OPTDESC";
        Provider = 15, "PROVIDER";
        Probes = 16, "PROBES";
        ProbeArguments = 17, "PRARGS";
        ProbeOffsets = 18, "PROFFS";
        /// u64 integers.
        IntegerTable = 19, "INTTAB";
        Utsname = 20, "UTSNAME";
        TranslatorTable = 21, "XLTAB";
        TranslatorMembers = 22, "XLMEMBERS";
        TranslatorImport = 23, "XLIMPORT";
        TranslatorExport = 24, "XLEXPORT";
        ExportedObjects = 25, "PREXPORT";
        EnabledOffsets = 26, "PRENOFFS";
    }
}

plain! {
    /// Head of a file: `dof_hdr`.
    pub struct Header: 64 {
        /// Magic, model, encoding, versions, registers, zeros.
        0 ident: [u8; 16],
        /// 0
        16 flags: u32,
        /// Bytes of this header.
        20 header_size: u32,
        /// Bytes of a section header.
        24 section_size: u32,
        /// How many section headers there are.
        28 sections: u32,
        /// Where they lie.
        32 section_offset: u64,
        /// Bytes up to the end of the sections that the kernel wants.
        40 load_size: u64,
        /// Bytes of the file.
        48 file_size: u64,
        /// 0
        56 pad: u64,
    }
}

plain! {
    /// Head of a section: `dof_sec`.
    pub struct Section: 32 {
        /// A [`SectionKind`].
        0 kind: u32,
        /// Alignment of the data in the file: a power of two.
        4 alignment: u32,
        /// [`SECTION_LOAD`].
        8 flags: u32,
        /// Bytes of an entry if it is a table, else 0.
        12 entry_size: u32,
        /// Where the data lie.
        16 offset: u64,
        /// Their bytes.
        24 size: u64,
    }
}

plain! {
    /// A clause for one probe description: `dof_ecbdesc`.
    pub struct EcbDescription: 24 {
        /// Section of the probe description.
        0 probes: u32,
        /// Section of the predicate's DIF object, or [`SECTION_NONE`].
        4 predicate: u32,
        /// Section of the actions, or [`SECTION_NONE`].
        8 actions: u32,
        /// 0
        12 pad: u32,
        /// The client's argument.
        16 user_argument: u64,
    }
}

plain! {
    /// Which probes: `dof_probedesc`.
    pub struct ProbeDescription: 24 {
        /// Section of the strings.
        0 strings: u32,
        /// Offset of the provider's pattern.
        4 provider: u32,
        /// Offset of the module's pattern.
        8 module: u32,
        /// Offset of the function's pattern.
        12 function: u32,
        /// Offset of the name's pattern.
        16 name: u32,
        /// Number of the probe, or 0.
        20 id: u32,
    }
}

plain! {
    /// An action: `dof_actdesc`.
    pub struct ActionDescription: 32 {
        /// Section of its DIF object, or [`SECTION_NONE`].
        0 difo: u32,
        /// Section of its format string, or [`SECTION_NONE`].
        4 strings: u32,
        /// An [`ActionKind`](crate::action::ActionKind).
        8 kind: u32,
        /// If it aggregates: how many actions before it are its key.
        12 tuple: u32,
        /// Argument; with a format: its offset in `strings`.
        16 argument: u64,
        /// The client's argument.
        24 user_argument: u64,
    }
}

plain! {
    /// Head of a DIF object: `dof_difohdr` without its links, which are u32 and follow.
    pub struct DifoHeader: 8 {
        /// What it returns.
        0 return_type: DifType,
    }
}

plain! {
    /// An option: `dof_optdesc`.
    pub struct OptionDescription: 16 {
        /// An [`OptionId`](crate::options::OptionId).
        0 option: u32,
        /// Section of the string if it is one, else [`SECTION_NONE`].
        4 strings: u32,
        /// The value.
        8 value: u64,
    }
}
