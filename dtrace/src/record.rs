// SPDX-License-Identifier: GPL-2.0
//! What is in a record: the kernel's description of it checked once, its parts read by that.

use crate::device::EnabledProbe;
use crate::fields::{Field, Holds, Source};
use dtrace_interface::action::ActionKind;
use dtrace_interface::record::RecordDescription;
use std::borrow::Cow;
use std::fmt;

/// The layout of an enabled probe's records, with which reading one stays inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    size: usize,
    parts: Vec<RecordDescription>,
}

/// Why a description of records is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLayout {
    /// It is for another number than was asked for.
    Number,
    /// A record would not even hold its number.
    Size(u32),
    /// This part is not inside the record.
    Part(usize),
}

impl fmt::Display for BadLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("the kernel describes another record than was asked for"),
            Self::Size(size) => write!(f, "the kernel describes a record of {size} bytes"),
            Self::Part(part) => write!(f, "part {part} of a record lies outside it"),
        }
    }
}

impl std::error::Error for BadLayout {}

impl Layout {
    /// Checks a description: `epid` is what was asked for.
    ///
    /// # Errors
    /// If records by it would not hold together.
    pub fn check(epid: u32, said: &EnabledProbe) -> Result<Self, BadLayout> {
        if said.epid != epid {
            return Err(BadLayout::Number);
        }
        Self::of(said.size, &said.records)
    }

    /// Checks a record's size and the places of its parts.
    ///
    /// # Errors
    /// If records by it would not hold together.
    pub fn of(size: u32, parts: &[RecordDescription]) -> Result<Self, BadLayout> {
        if size < 4 {
            return Err(BadLayout::Size(size));
        }
        for (number, part) in parts.iter().enumerate() {
            let end = part.offset.checked_add(part.size);
            if end.is_none_or(|end| end > size) {
                return Err(BadLayout::Part(number));
            }
        }
        Ok(Self {
            size: size as usize,
            parts: parts.to_vec(),
        })
    }

    /// A record's bytes, its number included.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The parts.
    pub fn parts(&self) -> &[RecordDescription] {
        &self.parts
    }

    /// The bytes of each part of a record.
    pub fn split<'a>(
        &'a self,
        record: &'a [u8],
    ) -> impl Iterator<Item = (&'a RecordDescription, &'a [u8])> {
        self.parts.iter().map(|part| {
            let from = part.offset as usize;
            let bytes = record.get(from..from + part.size as usize);
            (part, bytes.unwrap_or_default())
        })
    }
}

/// A recorded value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A number with a sign.
    Signed(i64),
    /// One without.
    Unsigned(u64),
    /// An address.
    Address(u64),
    /// Characters.
    Text(String),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// Return addresses, the innermost first.
    Stack(Vec<u64>),
}

impl Value {
    /// Reads a part: by the field that was asked for, else by its size and action alone.
    pub fn read(part: &RecordDescription, bytes: &[u8], field: Option<&Field>) -> Self {
        match ActionKind::from_raw(part.action) {
            Some(ActionKind::Stack) => return Self::Stack(addresses(bytes)),
            // The first word is the process.
            Some(ActionKind::Ustack) => {
                return Self::Stack(addresses(bytes.get(8..).unwrap_or_default()))
            }
            Some(ActionKind::Tracemem) => return Self::Bytes(bytes.to_vec()),
            Some(ActionKind::Exit) => return Self::Signed(signed(bytes).unwrap_or(0)),
            _ => {}
        }
        let holds = match field.map(|field| field.source) {
            Some(Source::Variable(variable)) => Some(variable.holds),
            Some(Source::UserString(_)) => Some(Holds::Text),
            Some(Source::UserRegister(_)) => Some(Holds::Address),
            Some(Source::CpuNumber) => Some(Holds::Unsigned(4)),
            _ => None,
        };
        let number = match holds {
            Some(Holds::Text) => return Self::Text(text(bytes).into_owned()),
            Some(Holds::Unsigned(_) | Holds::Time) => unsigned(bytes).map(Self::Unsigned),
            Some(Holds::Address) => unsigned(bytes).map(Self::Address),
            Some(Holds::Signed(_)) | None => signed(bytes).map(Self::Signed),
        };
        number.unwrap_or_else(|| unknown(bytes))
    }

    /// It as a number.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Signed(value) => Some(*value),
            Self::Unsigned(value) | Self::Address(value) => Some(*value as i64),
            _ => None,
        }
    }
}

/// Values of no known type: text if they look like it, as DTrace shows them.
fn unknown(bytes: &[u8]) -> Value {
    let end = bytes.iter().position(|byte| *byte == 0);
    let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match text.iter().all(printable) && (!text.is_empty() || rest.iter().all(|b| *b == 0)) {
        true => Value::Text(String::from_utf8_lossy(text).into_owned()),
        false => Value::Bytes(bytes.to_vec()),
    }
}

/// A string up to its zero. What is not UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
}

fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        1 => u64::from(bytes[0]),
        2 => u64::from(u16::from_ne_bytes(bytes.try_into().ok()?)),
        4 => u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
        8 => u64::from_ne_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn signed(bytes: &[u8]) -> Option<i64> {
    let value = unsigned(bytes)?;
    Some(match bytes.len() {
        1 => i64::from(value as i8),
        2 => i64::from(value as i16),
        4 => i64::from(value as i32),
        _ => value as i64,
    })
}

/// Words up to a zero.
fn addresses(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.chunks_exact(8).filter_map(unsigned);
    words.take_while(|address| *address != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtrace_interface::Plain;

    fn part(offset: u32, size: u32) -> RecordDescription {
        RecordDescription {
            action: ActionKind::DifExpression.raw(),
            size,
            offset,
            ..RecordDescription::ZERO
        }
    }

    fn value(bytes: &[u8], field: &str) -> Value {
        let field: Option<Field> = field.parse().ok();
        Value::read(&part(0, bytes.len() as u32), bytes, field.as_ref())
    }

    #[test]
    fn a_layout_holds_together_or_is_refused() {
        let said = |size, parts: &[RecordDescription]| EnabledProbe {
            epid: 3,
            size,
            records: parts.to_vec(),
            ..EnabledProbe::default()
        };
        assert!(Layout::check(3, &said(16, &[part(8, 8)])).is_ok());
        assert_eq!(Layout::check(4, &said(16, &[])), Err(BadLayout::Number));
        assert_eq!(Layout::check(3, &said(3, &[])), Err(BadLayout::Size(3)));
        for wrong in [
            part(8, 9),
            part(17, 0),
            part(u32::MAX, 8),
            part(8, u32::MAX),
        ] {
            let checked = Layout::check(3, &said(16, &[part(4, 4), wrong]));
            assert_eq!(checked, Err(BadLayout::Part(1)), "{wrong:?}");
        }
    }

    #[test]
    fn a_short_record_has_empty_parts() {
        let layout = Layout::of(16, &[part(8, 8)]).unwrap();
        let parts: Vec<usize> = layout.split(&[0; 12]).map(|(_, b)| b.len()).collect();
        assert_eq!(parts, [0]);
    }

    #[test]
    fn values_by_field() {
        let minus_one = [0xff; 4];
        assert_eq!(value(&minus_one, "pid"), Value::Signed(-1));
        assert_eq!(value(&minus_one, "uid"), Value::Unsigned(0xffff_ffff));
        assert_eq!(value(&[0xff; 8], "arg0"), Value::Signed(-1));
        assert_eq!(value(&[0xff; 8], "caller"), Value::Address(u64::MAX));
        assert_eq!(value(b"init\0x", "execname"), Value::Text("init".into()));
        assert_eq!(value(b"init", "execname"), Value::Text("init".into()));
    }

    #[test]
    fn values_without_a_field() {
        assert_eq!(value(&[1, 0], ""), Value::Signed(1));
        assert_eq!(value(b"abc\0\0\0", ""), Value::Text("abc".into()));
        assert_eq!(value(b"\x01bc", ""), Value::Bytes(b"\x01bc".to_vec()));
        assert_eq!(value(&[], "pid"), Value::Text(String::new()));
    }

    #[test]
    fn stacks_end_at_a_zero() {
        let bytes: Vec<u8> = [7_u64, 8, 0, 9]
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        let mut stack = part(0, 32);
        stack.action = ActionKind::Stack.raw();
        assert_eq!(Value::read(&stack, &bytes, None), Value::Stack(vec![7, 8]));
        stack.action = ActionKind::Ustack.raw();
        assert_eq!(Value::read(&stack, &bytes, None), Value::Stack(vec![8]));
    }
}
