// SPDX-License-Identifier: GPL-2.0
//! Values, as a format shows them.

use super::conversion::{Conversion, Count, Kind, WIDEST};
use super::{local_time, Format, Piece};
use crate::record::{text, Value};
use crate::symbols::Symbols;
use std::fmt::Write as _;

/// A value that is given to a conversion.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// As it was read.
    pub value: Value,
    /// The bytes it was read from, if they are there: their number tells its sign.
    pub bytes: &'a [u8],
}

/// An aggregation's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aggregated {
    /// A number.
    Number(i64),
    /// Something that takes lines: shown as it is.
    Distribution(String),
}

impl Given<'_> {
    /// Its bits, as long as it is.
    fn bits(&self) -> u64 {
        let bits = self.value.number().unwrap_or(0) as u64;
        match self.bytes.len() {
            1 | 2 | 4 => bits & ((1 << (8 * self.bytes.len())) - 1),
            _ => bits,
        }
    }

    /// It with the sign that its length gives it.
    fn signed(&self) -> i64 {
        let bits = self.bits();
        match self.bytes.len() {
            1 => i64::from(bits as i8),
            2 => i64::from(bits as i16),
            4 => i64::from(bits as i32),
            _ => bits as i64,
        }
    }

    fn text(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            _ => text(self.bytes).into_owned(),
        }
    }

    /// It without what moves a terminal's cursor: a traced program chose it.
    fn harmless(&self) -> String {
        let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        let text = self.text();
        let escaped = text.chars().map(|c| match shown(c) {
            true => c.to_string(),
            false => c.escape_default().to_string(),
        });
        escaped.collect()
    }
}

impl Format {
    /// Writes it with these values; what is missing is 0. `aggregation`: the value for conversions with `@`.
    pub fn render(
        &self,
        values: &[Given<'_>],
        aggregation: Option<&Aggregated>,
        symbols: &Symbols,
        out: &mut String,
    ) {
        let mut values = values.iter();
        for piece in &self.pieces {
            let conversion = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Value(conversion) => conversion,
            };
            let mut count = |count: Option<Count>| match count? {
                Count::Fixed(fixed) => Some(fixed as i64),
                Count::Given => Some(values.next().map_or(0, Given::signed)),
            };
            let width = count(conversion.width);
            let precision = count(conversion.precision).filter(|given| *given >= 0);
            let missing = || Given {
                value: Value::Signed(0),
                bytes: &[],
            };
            let given = match (conversion.of_aggregation, aggregation) {
                (true, Some(Aggregated::Distribution(shown))) => {
                    out.push_str(shown);
                    continue;
                }
                (true, Some(Aggregated::Number(number))) => Given {
                    value: Value::Signed(*number),
                    bytes: &[],
                },
                (true, None) => missing(),
                (false, _) => values.next().cloned().unwrap_or_else(missing),
            };
            let precision = precision.map(|precision| precision.min(WIDEST as i64) as usize);
            let shown = conversion.show(&given, precision, symbols);
            conversion.pad(&shown, width, precision, out);
        }
    }
}

/// What comes before a number's digits, and they; what is no number has no first part.
type Shown = (String, String);

impl Conversion {
    fn show(&self, given: &Given<'_>, precision: Option<usize>, symbols: &Symbols) -> Shown {
        let bits = given.bits();
        let plain = |text: String| (String::new(), text);
        let prefix = |prefix: &str| match self.alternate && bits != 0 {
            true => prefix.to_owned(),
            false => String::new(),
        };
        let (before, digits) = match self.kind {
            Kind::Signed => {
                let number = given.signed();
                let sign = match (number < 0, self.plus, self.space) {
                    (true, ..) => "-",
                    (_, true, _) => "+",
                    (_, _, true) => " ",
                    _ => "",
                };
                (sign.to_owned(), self.grouped(number.unsigned_abs()))
            }
            Kind::Unsigned => plain(self.grouped(bits)),
            Kind::Octal => (prefix("0"), format!("{bits:o}")),
            Kind::Hex { upper: false } => (prefix("0x"), format!("{bits:x}")),
            Kind::Hex { upper: true } => (prefix("0X"), format!("{bits:X}")),
            Kind::Pointer => ("0x".to_owned(), format!("{bits:x}")),
            Kind::Symbol => return plain(named(bits, symbols)),
            Kind::Character { escaped } => {
                let character = char::from(bits as u8).to_string();
                return plain(if escaped {
                    escape(&character)
                } else {
                    character
                });
            }
            Kind::Text { escaped } => {
                let mut text = if escaped {
                    given.text()
                } else {
                    given.harmless()
                };
                if let Some(most) = precision {
                    text = text.chars().take(most).collect();
                }
                return plain(if escaped { escape(&text) } else { text });
            }
            Kind::Stack => return plain(stack(&given.value, symbols)),
            Kind::Time => return plain(local_time::shown(bits)),
        };
        let least = precision.unwrap_or(0);
        (before, format!("{digits:0>least$}"))
    }

    fn grouped(&self, number: u64) -> String {
        let digits = number.to_string();
        if !self.thousands {
            return digits;
        }
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place != 0 && (digits.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }

    fn pad(
        &self,
        (before, body): &Shown,
        width: Option<i64>,
        precision: Option<usize>,
        out: &mut String,
    ) {
        // A width that is given and negative is one to the left.
        let left = self.left || width.is_some_and(|width| width < 0);
        let width = width.unwrap_or(0).unsigned_abs().min(WIDEST as u64) as usize;
        let missing = width.saturating_sub(before.chars().count() + body.chars().count());
        let is_number = !matches!(
            self.kind,
            Kind::Text { .. } | Kind::Character { .. } | Kind::Stack | Kind::Symbol | Kind::Time
        );
        let fill = |fill: &str, out: &mut String| out.push_str(&fill.repeat(missing));
        match (left, self.zeros && is_number && precision.is_none()) {
            (true, _) => {
                let _ = write!(out, "{before}{body}");
                fill(" ", out);
            }
            (false, true) => {
                out.push_str(before);
                fill("0", out);
                out.push_str(body);
            }
            (false, false) => {
                fill(" ", out);
                let _ = write!(out, "{before}{body}");
            }
        }
    }
}

fn named(address: u64, symbols: &Symbols) -> String {
    symbols
        .name(address)
        .unwrap_or_else(|| format!("{address:#x}"))
}

/// A line a frame, below the line that it stands in.
fn stack(value: &Value, symbols: &Symbols) -> String {
    let Value::Stack(frames) = value else {
        return String::new();
    };
    frames.iter().fold("\n".to_owned(), |mut shown, frame| {
        let _ = writeln!(shown, "              {}", named(*frame, symbols));
        shown
    })
}

/// What is not printable as an escape.
fn escape(text: &str) -> String {
    text.chars().flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Function;

    fn given(number: i64, size: usize) -> Given<'static> {
        const BYTES: [u8; 8] = [0; 8];
        Given {
            value: Value::Signed(number),
            bytes: &BYTES[..size],
        }
    }

    fn string(text: &str) -> Given<'static> {
        Given {
            value: Value::Text(text.to_owned()),
            bytes: &[],
        }
    }

    fn shown(format: &str, values: &[Given<'_>]) -> String {
        let mut out = String::new();
        let format = Format::parse(format, Function::Printa).unwrap();
        format.render(
            values,
            Some(&Aggregated::Number(42)),
            &Symbols::default(),
            &mut out,
        );
        out
    }

    #[test]
    fn numbers() {
        for (format, number, expected) in [
            ("%d", -5, "-5"),
            ("%i|%%", 7, "7|%"),
            ("%5d|", 42, "   42|"),
            ("%-5d|", 42, "42   |"),
            ("%05d", -42, "-0042"),
            ("%+d", 42, "+42"),
            ("% d", 42, " 42"),
            ("%.4d", 42, "0042"),
            ("%06.4d|", 42, "  0042|"),
            ("%'d", -1_234_567, "-1,234,567"),
            ("%'d", 123, "123"),
            ("%x", 255, "ff"),
            ("%#x", 255, "0xff"),
            ("%#X", 255, "0XFF"),
            ("%#x", 0, "0"),
            ("%#o", 8, "010"),
            ("%#08x", 255, "0x0000ff"),
            ("%lld", 3, "3"),
            ("%u", -1, "18446744073709551615"),
            ("%p", 0x1000, "0x1000"),
            ("%?p", 1, "             0x1"),
            ("%a", 0x1234, "0x1234"),
            ("%c%c", 65, "A\0"),
            ("%C", 10, "\\n"),
            ("%d", i64::MIN, "-9223372036854775808"),
        ] {
            assert_eq!(shown(format, &[given(number, 8)]), expected, "{format}");
        }
    }

    #[test]
    fn a_value_s_length_tells_its_sign() {
        assert_eq!(
            shown("%d %u %x", &[given(-1, 4), given(-1, 4), given(-1, 2)]),
            "-1 4294967295 ffff"
        );
        let unsigned = Given {
            value: Value::Unsigned(0xffff_ffff),
            bytes: &[0; 4],
        };
        assert_eq!(
            shown("%u %d", &[unsigned.clone(), unsigned]),
            "4294967295 -1"
        );
    }

    #[test]
    fn strings() {
        for (format, expected) in [
            ("%s", "a\tb"),
            ("%5s|", "  a\tb|"),
            ("%-5s|", "a\tb  |"),
            ("%.1s", "a"),
            ("%S", "a\\tb"),
        ] {
            assert_eq!(shown(format, &[string("a\tb")]), expected, "{format}");
        }
        // Whoever made the program knows that it is one.
        let unknown = Given {
            value: Value::Signed(0),
            bytes: b"abc\0\0\0\0\0",
        };
        assert_eq!(shown("%s", &[unknown]), "abc");
    }

    #[test]
    fn widths_that_are_given() {
        assert_eq!(shown("%*d|", &[given(5, 4), given(42, 8)]), "   42|");
        assert_eq!(shown("%*d|", &[given(-5, 4), given(42, 8)]), "42   |");
        assert_eq!(shown("%.*s|", &[given(2, 4), string("abc")]), "ab|");
        // However large, nothing is made that is larger than what a format may ask for.
        assert_eq!(
            shown("%*d", &[given(i64::MAX, 8), given(1, 8)]).len(),
            WIDEST
        );
        assert_eq!(
            shown("%.*d", &[given(i64::MAX, 8), given(1, 8)]).len(),
            WIDEST
        );
        assert_eq!(
            shown("%*d", &[given(i64::MIN, 8), given(1, 8)]).len(),
            WIDEST
        );
    }

    #[test]
    fn stacks_times_and_aggregations() {
        let frames = Given {
            value: Value::Stack(vec![1, 2]),
            bytes: &[],
        };
        assert_eq!(
            shown("at%k.", &[frames]),
            "at\n              0x1\n              0x2\n."
        );
        assert_eq!(shown("%Y", &[given(0, 8)]).len(), 20);
        assert_eq!(shown("%s %@5d", &[string("cat")]), "cat    42");
        assert_eq!(shown("%d %s", &[]), "0 ");
    }
}
