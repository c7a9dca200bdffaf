// SPDX-License-Identifier: GPL-2.0
//! Formats of `printf()` and `printa()`, in DTrace's language.
//!
//! ```text
//!  %[flags][width][.precision][size]conversion
//!
//!  flags       -  left     0  zeros     +  sign     space     #  0x, 0     '  thousands
//!              @  the aggregation's value, in printa()        ?  as wide as a pointer
//!  width       a number, or * for the next value; so is a precision
//!  size        h l ll L: taken and of no meaning, the value has its own
//!  conversion  d i  with a sign        u o x X  without       p  address       a A  address by name
//!              c C  a character        s S  a string; the large ones escape what is not printable
//!              k    a stack            Y    a time in ns, as local time        %  itself
//! ```

mod conversion;
mod escape;
#[allow(unsafe_code)]
mod local_time;
mod render;

pub use conversion::Wants;
pub use escape::unescape;
pub use render::{Aggregated, Given};

use crate::fields::{Field, Source};
use conversion::{Conversion, Count, Kind};

/// A format that was read and makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As it is.
    Text(String),
    /// A value.
    Value(Conversion),
}

/// What formats a format is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Of a firing's values.
    Printf,
    /// Of an aggregation's keys and value.
    Printa,
}

impl Format {
    /// Reads one, in which escapes are characters already.
    ///
    /// # Errors
    /// Says what is wrong, and where.
    pub fn parse(text: &str, function: Function) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let begun = text.len() - rest.len() - 1;
            let (conversion, after) =
                Conversion::parse(rest).map_err(|why| format!("at byte {begun}: {why}"))?;
            if conversion.of_aggregation && function == Function::Printf {
                let spelled = &conversion.spelled;
                return Err(format!(
                    "at byte {begun}: `{spelled}`: @ is for aggregations: --printa"
                ));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Value(conversion));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    fn conversions(&self) -> impl Iterator<Item = &Conversion> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(conversion) => Some(conversion),
            Piece::Text(_) => None,
        })
    }

    /// The values it takes, each with the conversion that does; an aggregation's is none of them.
    pub fn wants(&self) -> impl Iterator<Item = (Wants, &str)> {
        self.conversions().flat_map(|conversion| {
            let counts = [conversion.width, conversion.precision]
                .into_iter()
                .flatten();
            let counts = counts
                .filter(|count| *count == Count::Given)
                .map(|_| Wants::Number);
            let value = (!conversion.of_aggregation).then(|| conversion.kind.wants());
            counts
                .chain(value)
                .map(|wants| (wants, conversion.spelled.as_str()))
        })
    }

    /// Whether these fields are what it takes.
    ///
    /// # Errors
    /// Says which is not, or how many are too many or too few.
    pub fn check(&self, fields: &[Field], function: Function) -> Result<(), String> {
        let wants: Vec<_> = self.wants().collect();
        let enough = match function {
            Function::Printf => wants.len() == fields.len(),
            Function::Printa => wants.len() <= fields.len(),
        };
        if !enough {
            let what = match function {
                Function::Printf => "values",
                Function::Printa => "keys",
            };
            return Err(format!(
                "its conversions take {} {what}, and there are {}",
                wants.len(),
                fields.len()
            ));
        }
        for ((wants, spelled), field) in wants.into_iter().zip(fields) {
            let (fits, is) = match field.source {
                Source::Stack | Source::UserStack => (wants == Wants::Stack, "a stack (%k)"),
                _ if field.is_number() => (wants == Wants::Number, "a number (%d, %x...)"),
                _ => (wants == Wants::Text, "a string (%s)"),
            };
            if !fits {
                return Err(format!("`{spelled}` does not take {field}, which is {is}"));
            }
        }
        Ok(())
    }
}

/// Whether a format shows names of addresses; not if it is none.
pub fn names_addresses(text: &str) -> bool {
    let format = Format::parse(text, Function::Printf).unwrap_or_default();
    let mut kinds = format.conversions().map(|conversion| conversion.kind);
    kinds.any(|kind| matches!(kind, Kind::Symbol | Kind::Stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Format, String> {
        Format::parse(text, Function::Printf)
    }

    fn fields(names: &[&str]) -> Vec<Field> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn pieces() {
        let format = parse("100%% of %-8d and %s\n").unwrap();
        assert_eq!(format.pieces.len(), 5);
        assert_eq!(format.pieces[0], Piece::Text("100% of ".to_owned()));
        let wants: Vec<_> = format.wants().collect();
        assert_eq!(wants, [(Wants::Number, "%-8d"), (Wants::Text, "%s")]);
        let wants: Vec<_> = parse("%*.*d%k").unwrap().wants().map(|(w, _)| w).collect();
        assert_eq!(
            wants,
            [Wants::Number, Wants::Number, Wants::Number, Wants::Stack]
        );
    }

    #[test]
    fn names_are_needed_for_some() {
        assert!(names_addresses("at %a") && names_addresses("%k"));
        assert!(!names_addresses("%d %p %%a") && !names_addresses("%q %a"));
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for (text, expected) in [
            ("a %", "at byte 2: `%`: it ends within a conversion"),
            ("%-5", "`%-5`: it ends within"),
            ("%5q", "`%5q`: no such conversion"),
            ("%.2f", "no floating-point"),
            ("%T", "%Y"),
            ("%@d", "--printa"),
            ("%99999d", "wider than 4096"),
            ("%.d", "a precision is missing"),
            ("%é", "`%é`: no such conversion"),
        ] {
            let refusal = parse(text).unwrap_err();
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
        assert!(Format::parse("%@d", Function::Printa).is_ok());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let refusal = |text, names: &[&str]| {
            let format = Format::parse(text, Function::Printf).unwrap();
            format.check(&fields(names), Function::Printf)
        };
        assert_eq!(refusal("%d %s", &["pid", "execname"]), Ok(()));
        assert_eq!(
            refusal("%a %Y %c %p", &["caller", "walltimestamp", "arg0", "arg1"]),
            Ok(())
        );
        assert_eq!(refusal("%*d", &["pid", "arg0"]), Ok(()));
        assert_eq!(refusal("%k", &["ustack"]), Ok(()));
        for (text, names, expected) in [
            ("%d", &[][..], "take 1 values, and there are 0"),
            ("", &["pid"], "take 0 values, and there are 1"),
            ("%s", &["pid"], "`%s` does not take pid, which is a number"),
            ("%d", &["execname"], "which is a string"),
            ("%d", &["stack"], "which is a stack"),
            ("%k", &["arg0"], "which is a number"),
            ("%*s", &["execname", "pid"], "`%*s` does not take execname"),
        ] {
            let told = refusal(text, names).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
        let keys = Format::parse("%s %@d", Function::Printa).unwrap();
        assert_eq!(
            keys.check(&fields(&["execname", "pid"]), Function::Printa),
            Ok(())
        );
        assert!(keys
            .check(&[], Function::Printa)
            .unwrap_err()
            .contains("keys"));
    }
}
