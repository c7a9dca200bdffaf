// SPDX-License-Identifier: GPL-2.0
//! What a probe can record: `--record pid,execname,arg0`, `--by execname`.

use dtrace_interface::variable::BuiltIn;
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
    /// `curcpu->cpu_id`
    CpuNumber,
    /// `uregs[N]`
    UserRegister(u8),
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
    /// Which one it is in DIF.
    pub built_in: BuiltIn,
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

const fn variable(built_in: BuiltIn, holds: Holds) -> Variable {
    Variable {
        name: built_in.name(),
        built_in,
        holds,
    }
}

/// All that can be named.
pub static VARIABLES: [Variable; 33] = [
    variable(BuiltIn::Arg0, Holds::Signed(8)),
    variable(BuiltIn::Arg1, Holds::Signed(8)),
    variable(BuiltIn::Arg2, Holds::Signed(8)),
    variable(BuiltIn::Arg3, Holds::Signed(8)),
    variable(BuiltIn::Arg4, Holds::Signed(8)),
    variable(BuiltIn::Arg5, Holds::Signed(8)),
    variable(BuiltIn::Arg6, Holds::Signed(8)),
    variable(BuiltIn::Arg7, Holds::Signed(8)),
    variable(BuiltIn::Arg8, Holds::Signed(8)),
    variable(BuiltIn::Arg9, Holds::Signed(8)),
    variable(BuiltIn::Caller, Holds::Address),
    variable(BuiltIn::Curthread, Holds::Address),
    variable(BuiltIn::Epid, Holds::Unsigned(4)),
    variable(BuiltIn::Errno, Holds::Signed(4)),
    variable(BuiltIn::Execname, Holds::Text),
    variable(BuiltIn::Gid, Holds::Unsigned(4)),
    variable(BuiltIn::Id, Holds::Unsigned(4)),
    variable(BuiltIn::Ipl, Holds::Unsigned(4)),
    variable(BuiltIn::Pid, Holds::Signed(4)),
    variable(BuiltIn::Ppid, Holds::Signed(4)),
    variable(BuiltIn::Probefunc, Holds::Text),
    variable(BuiltIn::Probemod, Holds::Text),
    variable(BuiltIn::Probename, Holds::Text),
    variable(BuiltIn::Probeprov, Holds::Text),
    variable(BuiltIn::Stackdepth, Holds::Unsigned(4)),
    variable(BuiltIn::Tid, Holds::Signed(4)),
    variable(BuiltIn::Timestamp, Holds::Time),
    variable(BuiltIn::Ucaller, Holds::Address),
    variable(BuiltIn::Uid, Holds::Unsigned(4)),
    variable(BuiltIn::Ustackdepth, Holds::Unsigned(4)),
    variable(BuiltIn::Vtimestamp, Holds::Time),
    variable(BuiltIn::Walltimestamp, Holds::Time),
    variable(BuiltIn::Zonename, Holds::Text),
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
            ("curcpu->cpu_id", _) => Source::CpuNumber,
            _ if register(text).is_some() => Source::UserRegister(register(text).unwrap_or(0)),
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

/// N of `uregs[N]`.
fn register(text: &str) -> Option<u8> {
    let number = text.strip_prefix("uregs[")?.strip_suffix(']')?;
    number.parse().ok()
}

fn unknown(text: &str) -> String {
    if text == "cpu" {
        return "no field `cpu`\nhint: every record tells its CPU already".to_owned();
    }
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
        assert!(matches!(field.source, Source::UserString(v) if v.built_in == BuiltIn::Arg1));
        assert!("arg9".parse::<Field>().unwrap().is_number());
        let source = |text: &str| text.parse::<Field>().unwrap().source;
        assert_eq!(source("uregs[15]"), Source::UserRegister(15));
        assert_eq!(source("curcpu->cpu_id"), Source::CpuNumber);
        assert!("uregs[256]".parse::<Field>().is_err());
    }

    #[test]
    fn others_are_refused_with_a_hint() {
        let refusal = |text: &str| text.parse::<Field>().unwrap_err();
        assert!(refusal("exename").contains("did you mean `execname`?"));
        assert!(refusal("zzzzzzzz").contains("there are arg0,"));
        assert!(refusal("copyinstr(pid)").contains("arg0 to arg9"));
        assert!(refusal("cpu").contains("already"));
        assert!(refusal("arg10").contains("did you mean"));
    }

    #[test]
    fn variables_are_sorted_and_strings_known() {
        assert!(VARIABLES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for v in &VARIABLES {
            assert_eq!(v.built_in.is_string(), v.holds == Holds::Text, "{}", v.name);
        }
    }
}
