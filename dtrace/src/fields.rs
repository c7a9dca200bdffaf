// SPDX-License-Identifier: GPL-2.0
//! What a probe can record: `--record pid,execname,arg0`, `--by execname`.

use std::fmt;
use std::str::FromStr;

/// One thing to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As it was asked for.
    pub name: String,
    /// How to get it.
    pub source: Source,
}

/// Where a field comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A built-in variable.
    Variable(&'static Variable),
    /// The string in user memory that an argument points to.
    UserString(&'static Variable),
    /// Return addresses in the kernel.
    Stack,
    /// Return addresses of the program.
    UserStack,
}

/// A built-in variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// What it is called.
    pub name: &'static str,
    /// Its number in DIF.
    pub number: u16,
    /// What it holds.
    pub holds: Holds,
}

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A number with a sign, of so many bytes.
    Signed(u8),
    /// One without.
    Unsigned(u8),
    /// An address.
    Address,
    /// Nanoseconds.
    Time,
    /// Characters.
    Text,
}

impl Holds {
    /// Bytes in a record; None: as many as a string has.
    pub fn size(self) -> Option<u8> {
        match self {
            Self::Signed(size) | Self::Unsigned(size) => Some(size),
            Self::Address | Self::Time => Some(8),
            Self::Text => None,
        }
    }
}

const fn variable(name: &'static str, number: u16, holds: Holds) -> Variable {
    Variable {
        name,
        number,
        holds,
    }
}

/// All that can be named. Numbers: include/uapi/linux/dtrace/dif_defines.h (UPL).
pub static VARIABLES: [Variable; 34] = [
    variable("arg0", 0x0106, Holds::Signed(8)),
    variable("arg1", 0x0107, Holds::Signed(8)),
    variable("arg2", 0x0108, Holds::Signed(8)),
    variable("arg3", 0x0109, Holds::Signed(8)),
    variable("arg4", 0x010a, Holds::Signed(8)),
    variable("arg5", 0x010b, Holds::Signed(8)),
    variable("arg6", 0x010c, Holds::Signed(8)),
    variable("arg7", 0x010d, Holds::Signed(8)),
    variable("arg8", 0x010e, Holds::Signed(8)),
    variable("arg9", 0x010f, Holds::Signed(8)),
    variable("caller", 0x0111, Holds::Address),
    variable("cpu", 0x0121, Holds::Unsigned(4)),
    variable("curthread", 0x0100, Holds::Address),
    variable("epid", 0x0104, Holds::Unsigned(4)),
    variable("errno", 0x0120, Holds::Signed(4)),
    variable("execname", 0x0118, Holds::Text),
    variable("gid", 0x011f, Holds::Unsigned(4)),
    variable("id", 0x0105, Holds::Unsigned(4)),
    variable("ipl", 0x0103, Holds::Unsigned(4)),
    variable("pid", 0x0116, Holds::Signed(4)),
    variable("ppid", 0x011d, Holds::Signed(4)),
    variable("probefunc", 0x0114, Holds::Text),
    variable("probemod", 0x0113, Holds::Text),
    variable("probename", 0x0115, Holds::Text),
    variable("probeprov", 0x0112, Holds::Text),
    variable("stackdepth", 0x0110, Holds::Unsigned(4)),
    variable("tid", 0x0117, Holds::Signed(4)),
    variable("timestamp", 0x0101, Holds::Time),
    variable("ucaller", 0x011c, Holds::Address),
    variable("uid", 0x011e, Holds::Unsigned(4)),
    variable("ustackdepth", 0x011b, Holds::Unsigned(4)),
    variable("vtimestamp", 0x0102, Holds::Time),
    variable("walltimestamp", 0x011a, Holds::Time),
    variable("zonename", 0x0119, Holds::Text),
];

impl Field {
    /// The variable of that name.
    pub fn variable(name: &str) -> Option<&'static Variable> {
        VARIABLES.iter().find(|v| v.name == name)
    }

    /// Whether its value is a number.
    pub fn is_number(&self) -> bool {
        matches!(self.source, Source::Variable(v) if v.holds != Holds::Text)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let inner = text
            .strip_prefix("copyinstr(")
            .and_then(|rest| rest.strip_suffix(')'));
        let source = match (text, inner) {
            ("stack" | "stack()", _) => Source::Stack,
            ("ustack" | "ustack()", _) => Source::UserStack,
            (_, Some(argument)) => match Self::variable(argument) {
                Some(v) if argument.starts_with("arg") => Source::UserString(v),
                _ => return Err(format!("copyinstr takes arg0 to arg9, not `{argument}`")),
            },
            _ => match Self::variable(text) {
                Some(variable) => Source::Variable(variable),
                None => return Err(unknown(text)),
            },
        };
        Ok(Self {
            name: text.to_owned(),
            source,
        })
    }
}

fn unknown(text: &str) -> String {
    let names = VARIABLES.iter().map(|v| v.name);
    match crate::suggest::nearest(text, names.clone()) {
        Some(name) => format!("no field `{text}`\nhint: did you mean `{name}`?"),
        None => {
            let all: Vec<&str> = names.collect();
            format!(
                "no field `{text}`\nhint: there are {}, copyinstr(argN), stack, ustack",
                all.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let field: Field = "execname".parse().unwrap();
        assert!(!field.is_number());
        let field: Field = "copyinstr(arg1)".parse().unwrap();
        assert!(matches!(field.source, Source::UserString(v) if v.number == 0x0107));
        assert!("arg9".parse::<Field>().unwrap().is_number());
    }

    #[test]
    fn others_are_refused_with_a_hint() {
        let refusal = |text: &str| text.parse::<Field>().unwrap_err();
        assert!(refusal("exename").contains("did you mean `execname`?"));
        assert!(refusal("zzzzzzzz").contains("there are arg0,"));
        assert!(refusal("copyinstr(pid)").contains("arg0 to arg9"));
        assert!(refusal("arg10").contains("did you mean"));
    }

    #[test]
    fn variables_are_sorted_and_numbered_apart() {
        assert!(VARIABLES.windows(2).all(|pair| pair[0].name < pair[1].name));
        let mut numbers: Vec<u16> = VARIABLES.iter().map(|v| v.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), VARIABLES.len());
    }
}
