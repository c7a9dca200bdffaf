// SPDX-License-Identifier: GPL-2.0
//! One conversion of a format.

/// The widest that a value may be asked to be.
pub(super) const WIDEST: usize = 4096;

/// Columns of a pointer in hex.
const POINTER: usize = 16;

/// `%-8d`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conversion {
    /// As it was written.
    pub spelled: String,
    /// `-`
    pub left: bool,
    /// `0`
    pub zeros: bool,
    /// `+`
    pub plus: bool,
    /// A space before what has no sign.
    pub space: bool,
    /// `#`
    pub alternate: bool,
    /// `'`
    pub thousands: bool,
    /// `@`
    pub of_aggregation: bool,
    pub width: Option<Count>,
    pub precision: Option<Count>,
    pub kind: Kind,
}

/// A width or a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// This one.
    Fixed(usize),
    /// The next value.
    Given,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Signed,
    Unsigned,
    Octal,
    Hex {
        upper: bool,
    },
    Pointer,
    Symbol,
    Character {
        escaped: bool,
    },
    Text {
        escaped: bool,
    },
    Stack,
    Time,
}

/// What a conversion takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A number.
    Number,
    /// A string.
    Text,
    /// A stack.
    Stack,
}

impl Kind {
    pub fn wants(self) -> Wants {
        match self {
            Self::Text { .. } => Wants::Text,
            Self::Stack => Wants::Stack,
            _ => Wants::Number,
        }
    }
}

impl Conversion {
    /// Reads one whose `%` was read; what is behind it.
    pub fn parse(text: &str) -> Result<(Self, &str), String> {
        let mut this = Self::default();
        let mut rest = text;
        let spelled = |rest: &str| format!("%{}", &text[..text.len() - rest.len()]);
        while let Some(flag) = rest.chars().next() {
            match flag {
                '-' => this.left = true,
                '0' => this.zeros = true,
                '+' => this.plus = true,
                ' ' => this.space = true,
                '#' => this.alternate = true,
                '\'' => this.thousands = true,
                '@' => this.of_aggregation = true,
                '?' => this.width = Some(Count::Fixed(POINTER)),
                _ => break,
            }
            rest = &rest[flag.len_utf8()..];
        }
        let wrong = |rest: &str, why: &str| format!("`{}`: {why}", spelled(rest));
        let (width, after) = count(rest).map_err(|why| wrong(rest, &why))?;
        this.width = width.or(this.width);
        rest = after;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, behind) = count(after).map_err(|why| wrong(after, &why))?;
            if precision.is_none() {
                return Err(wrong(after, "a precision is missing"));
            }
            (this.precision, rest) = (precision, behind);
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let Some(letter) = rest.chars().next() else {
            return Err(wrong(rest, "it ends within a conversion"));
        };
        let after = &rest[letter.len_utf8()..];
        this.spelled = spelled(after);
        this.kind = kind(letter).map_err(|why| wrong(after, why))?;
        Ok((this, after))
    }
}

fn kind(letter: char) -> Result<Kind, &'static str> {
    Ok(match letter {
        'd' | 'i' => Kind::Signed,
        'u' => Kind::Unsigned,
        'o' => Kind::Octal,
        'x' | 'X' => Kind::Hex {
            upper: letter == 'X',
        },
        'p' => Kind::Pointer,
        'a' | 'A' => Kind::Symbol,
        'c' | 'C' => Kind::Character {
            escaped: letter == 'C',
        },
        's' | 'S' => Kind::Text {
            escaped: letter == 'S',
        },
        'k' => Kind::Stack,
        'Y' => Kind::Time,
        'e' | 'E' | 'f' | 'g' | 'G' => return Err("there are no floating-point values"),
        'T' | 't' => return Err("not there; %Y shows a time"),
        _ => {
            return Err(
                "no such conversion\nhint: there are %d %i %u %o %x %X %p %a %c %s %S %k %Y %%",
            )
        }
    })
}

/// A number or `*`, if there is one, and what is behind it.
fn count(text: &str) -> Result<(Option<Count>, &str), String> {
    if let Some(rest) = text.strip_prefix('*') {
        return Ok((Some(Count::Given), rest));
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let number = digits.parse().ok().filter(|number| *number <= WIDEST);
    let number = number.ok_or_else(|| format!("{digits} is wider than {WIDEST}"))?;
    Ok((Some(Count::Fixed(number)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_widths_and_sizes() {
        let (conversion, rest) = Conversion::parse("-+ #0'12.3lldx").unwrap();
        assert_eq!(rest, "x");
        assert_eq!(conversion.spelled, "%-+ #0'12.3lld");
        assert_eq!(conversion.width, Some(Count::Fixed(12)));
        assert_eq!(conversion.precision, Some(Count::Fixed(3)));
        assert!(conversion.left && conversion.plus && conversion.thousands);
        let (conversion, _) = Conversion::parse("?p").unwrap();
        assert_eq!(conversion.width, Some(Count::Fixed(16)));
    }
}
