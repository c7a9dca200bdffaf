// SPDX-License-Identifier: GPL-2.0
//! Operands as text.

use std::fmt::Write;

/// An operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// `%r1`
    Register(u8),
    /// `[%r1]`
    Memory(u8),
    /// `42`, `0x2a`, `-1`
    Number(u64),
    /// `"text"`
    Text(Vec<u8>),
    /// A variable, subroutine, type or label; `self->` and `this->` are taken off.
    Name(String),
}

/// A number: decimal or hexadecimal; a negative one is its two's complement.
pub(crate) fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        let plain = !digits.starts_with('+');
        return plain.then(|| u64::from_str_radix(digits, 16).ok())?;
    }
    match text.strip_prefix('-') {
        Some(_) => text.parse::<i64>().ok().map(|value| value as u64),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

/// Whether a text can be a name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn register(text: &str) -> Option<u8> {
    text.strip_prefix("%r")
        .filter(|number| !number.starts_with('+'))?
        .parse()
        .ok()
}

/// The operand of a text without blanks around it; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<Operand> {
    if let Some(number) = register(text) {
        return Some(Operand::Register(number));
    }
    if let Some(inner) = text.strip_prefix('[') {
        return register(inner.strip_suffix(']')?.trim()).map(Operand::Memory);
    }
    if text.starts_with('"') {
        return unquote(text).map(Operand::Text);
    }
    if let Some(value) = number(text) {
        return Some(Operand::Number(value));
    }
    let name = ["self->", "this->"]
        .iter()
        .find_map(|scope| text.strip_prefix(scope));
    let name = name.unwrap_or(text);
    is_name(name).then(|| Operand::Name(name.into()))
}

/// A string in quotes.
pub(crate) fn quote(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for byte in text {
        match byte {
            b'\n' => quoted.push_str("\\n"),
            b'\t' => quoted.push_str("\\t"),
            b'"' => quoted.push_str("\\\""),
            b'\\' => quoted.push_str("\\\\"),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            byte => write!(quoted, "\\x{byte:02x}").expect("a String has room"),
        }
    }
    quoted.push('"');
    quoted
}

fn unquote(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = inner.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let mut digit = || char::from(bytes.next()?).to_digit(16);
                    let (high, low) = (digit()?, digit()?);
                    (high * 16 + low) as u8
                }
                byte @ (b'"' | b'\\') => byte,
                _ => return None,
            },
            byte => byte,
        });
    }
    // A backslash before the last quote would have taken it.
    (text.len() >= 2).then_some(plain)
}

/// Splits at any of `marks` that stand outside of quotes.
pub(crate) fn split(text: &str, marks: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, one) in text.char_indices() {
        match one {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            one if !quoted && marks(one) => {
                parts.push(&text[start..at]);
                start = at + one.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
