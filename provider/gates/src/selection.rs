// SPDX-License-Identifier: GPL-2.0
//! Which gates somebody wants hooked.

use crate::Vector;
use core::fmt;

/// A set of vectors, all of which may be hooked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection(u32);

/// A word that names no gate that may be hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown<'a> {
    /// No exception.
    Name(&'a str),
    /// One whose gate is never hooked.
    Refused(Vector),
}

impl Selection {
    /// No gate.
    pub const NONE: Self = Self(0);

    /// Every gate that may be hooked.
    pub fn all() -> Self {
        Vector::hookable().fold(Self::NONE, |set, vector| set.with(vector.number))
    }

    fn with(self, number: u8) -> Self {
        Self(self.0 | 1_u32.checked_shl(number.into()).unwrap_or(0))
    }

    /// `all`, `none` or nothing, or names with commas between them.
    pub fn parse(text: &str) -> Result<Self, Unknown<'_>> {
        match text.trim() {
            "" | "none" => Ok(Self::NONE),
            "all" => Ok(Self::all()),
            names => names.split(',').try_fold(Self::NONE, |set, name| {
                let name = name.trim();
                let vector = Vector::by_name(name).ok_or(Unknown::Name(name))?;
                match vector.refused {
                    Some(_) => Err(Unknown::Refused(vector)),
                    None => Ok(set.with(vector.number)),
                }
            }),
        }
    }

    /// Whether it is one of them.
    pub fn contains(self, vector: &Vector) -> bool {
        self.0 & Self::NONE.with(vector.number).0 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// They, by number.
    pub fn vectors(self) -> impl Iterator<Item = Vector> {
        Vector::hookable().filter(move |vector| self.contains(vector))
    }
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}: no exception has that name"),
            Self::Refused(vector) => {
                let reason = vector.refused.unwrap_or_default();
                write!(f, "{}: never hooked: {reason}", vector.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_gates() {
        let numbers = |text| {
            let vectors = Selection::parse(text).unwrap().vectors();
            vectors.map(|v| v.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(""), []);
        assert_eq!(numbers("none\n"), []);
        assert_eq!(numbers("page_fault, int3\n"), [3, 14]);
        assert_eq!(numbers("all").len(), Vector::hookable().count());
        assert!(Selection::parse("none").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_gate_is_named() {
        let said = |text| Selection::parse(text).unwrap_err().to_string();
        assert_eq!(said("int3,intro"), "intro: no exception has that name");
        assert!(said("nmi").starts_with("nmi: never hooked: "));
        assert!(Selection::parse("int3,").is_err());
    }
}
