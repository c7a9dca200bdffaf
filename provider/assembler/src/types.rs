// SPDX-License-Identifier: GPL-2.0
//! Types as text.

use std::fmt;

use dtrace_interface::dif::{self, DifType};

use crate::operand::number;

/// CTF's kind of a structure.
const CTF_STRUCT: u8 = 6;

/// Memory of so many bytes, by reference.
fn bytes(size: u32) -> DifType {
    DifType {
        kind: dif::TYPE_CTF,
        ctf_kind: CTF_STRUCT,
        flags: dif::TYPE_BY_REF,
        pad: 0,
        size,
    }
}

/// The type of a text; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<DifType> {
    let text = text.trim();
    match text {
        "int8" => return Some(DifType::integer(1)),
        "int16" => return Some(DifType::integer(2)),
        "int32" => return Some(DifType::integer(4)),
        "int64" => return Some(DifType::integer(8)),
        "string" => return Some(DifType::string(0)),
        _ => {}
    }
    let (name, list) = text.strip_suffix(')')?.split_once('(')?;
    let list: Option<Vec<u64>> = list.split(',').map(|one| number(one.trim())).collect();
    match (name.trim(), list?.as_slice()) {
        ("string", [size]) => Some(DifType::string(u32::try_from(*size).ok()?)),
        ("bytes", [size]) => Some(bytes(u32::try_from(*size).ok()?)),
        ("type", [kind, ctf_kind, flags, size]) => Some(DifType {
            kind: u8::try_from(*kind).ok()?,
            ctf_kind: u8::try_from(*ctf_kind).ok()?,
            flags: u8::try_from(*flags).ok()?,
            pad: 0,
            size: u32::try_from(*size).ok()?,
        }),
        _ => None,
    }
}

/// A type's text.
pub(crate) struct Text(pub DifType);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DifType {
            kind,
            ctf_kind,
            flags,
            size,
            ..
        } = self.0;
        // What makes no difference is not shown.
        let shown = DifType { pad: 0, ..self.0 };
        if shown == DifType::integer(size) && matches!(size, 1 | 2 | 4 | 8) {
            write!(f, "int{}", size * 8)
        } else if shown == DifType::string(0) {
            f.write_str("string")
        } else if shown == DifType::string(size) {
            write!(f, "string({size})")
        } else if shown == bytes(size) {
            write!(f, "bytes({size})")
        } else {
            write!(f, "type({kind}, {ctf_kind}, {flags}, {size})")
        }
    }
}
