// SPDX-License-Identifier: GPL-2.0
//! Names of probes: `provider:module:function:name`, each part a pattern, an empty one for any.

use std::fmt;
use std::str::FromStr;

/// What one probe is called, or a pattern for several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeName {
    /// Who makes the probe.
    pub provider: String,
    /// Where its function lives.
    pub module: String,
    /// What it watches.
    pub function: String,
    /// Which point of it.
    pub name: String,
}

/// The part of a name that an option of the command line ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `-P`
    Provider,
    /// `-m`
    Module,
    /// `-f`
    Function,
    /// `-n`
    Name,
}

impl Part {
    /// All of them, as they stand in a name.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Module, Self::Function, Self::Name];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Module => "module",
            Self::Function => "function",
            Self::Name => "name",
        }
    }

    /// The longest one the kernel takes, in bytes.
    fn longest(self) -> usize {
        match self {
            Self::Function => 127,
            _ => 63,
        }
    }
}

impl ProbeName {
    /// Reads a name whose last part is `last`; what is missing at the left matches any.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn ending_with(last: Part, text: &str) -> Result<Self, String> {
        let text = text.trim();
        refuse_d(text)?;
        let given: Vec<&str> = text.split(':').collect();
        let places = last as usize + 1;
        if given.len() > places {
            let form: Vec<&str> = Part::ALL[..places].iter().map(|p| p.title()).collect();
            return Err(format!(
                "`{text}` has {} parts, where there are {places} at most: {}",
                given.len(),
                form.join(":")
            ));
        }
        let mut name = Self::default();
        for (part, text) in Part::ALL[places - given.len()..].iter().zip(&given) {
            if text.len() > part.longest() {
                return Err(format!(
                    "the {} has {} bytes, where {} are the most",
                    part.title(),
                    text.len(),
                    part.longest()
                ));
            }
            if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(format!("a space in `{text}`"));
            }
            *name.part_mut(*part) = (*text).to_owned();
        }
        Ok(name)
    }

    /// One part.
    pub fn part(&self, part: Part) -> &str {
        match part {
            Part::Provider => &self.provider,
            Part::Module => &self.module,
            Part::Function => &self.function,
            Part::Name => &self.name,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut String {
        match part {
            Part::Provider => &mut self.provider,
            Part::Module => &mut self.module,
            Part::Function => &mut self.function,
            Part::Name => &mut self.name,
        }
    }

    /// Whether this pattern matches a probe's name.
    pub fn matches(&self, probe: &Self) -> bool {
        Part::ALL
            .iter()
            .all(|part| part_matches(self.part(*part), probe.part(*part)))
    }
}

/// Whether a pattern matches one part: an empty pattern matches any.
pub fn part_matches(pattern: &str, text: &str) -> bool {
    pattern.is_empty() || glob(pattern.as_bytes(), text.as_bytes())
}

impl fmt::Display for ProbeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            module,
            function,
            name,
        } = self;
        write!(f, "{provider}:{module}:{function}:{name}")
    }
}

impl FromStr for ProbeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ending_with(Part::Name, text)
    }
}

/// A program in D is refused by name, with what there is in its stead.
fn refuse_d(text: &str) -> Result<(), String> {
    let what = match text.find(['{', '/']) {
        Some(at) if text[at..].starts_with('{') => "actions in `{ }`",
        Some(_) => "a predicate in `/ /`",
        None => return Ok(()),
    };
    Err(format!(
        "{what}: there is no D compiler yet\n\
         hint: --record pid,execname,arg0 records values; --count --by execname counts"
    ))
}

/// Matches as the shell does: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a character to mean itself.
///
/// At most pattern times text steps: only the last `*` is ever tried again.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let step = match (text.get(t), p < pattern.len()) {
            (None, false) => return true,
            (Some(byte), true) => one(&pattern[p..], *byte),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How many bytes of the pattern match this byte; None: they do not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => match class(pattern, byte) {
            Some((true, length)) => Some(length),
            Some((false, _)) => None,
            // Never closed: it means itself.
            None => (byte == b'[').then_some(1),
        },
        plain => (*plain == byte).then_some(1),
    }
}

/// Whether the class that the pattern begins with has this byte, and how long the class is.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'!');
    at += usize::from(negated);
    let first = at;
    let mut found = false;
    loop {
        let mut low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((found != negated, at + 1));
        }
        if low == b'\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        at += 1;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|c| *c != b']') {
            high = pattern[at + 1];
            at += 2;
        }
        found |= (low..=high).contains(&byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProbeName {
        text.parse().unwrap()
    }

    #[test]
    fn short_forms_are_aligned_right() {
        assert_eq!(name("BEGIN").to_string(), ":::BEGIN");
        assert_eq!(name("read:entry").to_string(), "::read:entry");
        assert_eq!(name("syscall:::").to_string(), "syscall:::");
        let function = ProbeName::ending_with(Part::Function, "vmlinux:read").unwrap();
        assert_eq!(function.to_string(), ":vmlinux:read:");
        let provider = ProbeName::ending_with(Part::Provider, "syscall").unwrap();
        assert_eq!(provider.to_string(), "syscall:::");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert!(ProbeName::ending_with(Part::Provider, "a:b").is_err());
        assert!("a:b:c:d:e".parse::<ProbeName>().is_err());
        assert!("a b".parse::<ProbeName>().is_err());
        assert!("x".repeat(64).parse::<ProbeName>().is_err());
        for d in ["BEGIN { exit(0); }", "syscall::: / pid == 1 /"] {
            let refusal = d.parse::<ProbeName>().unwrap_err();
            assert!(refusal.contains("no D compiler yet"), "{refusal}");
            assert!(refusal.contains("hint: --record"), "{refusal}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("", "anything", true),
            ("read", "read", true),
            ("read", "readv", false),
            ("*read*", "pread64", true),
            ("*", "", true),
            ("?", "", false),
            ("re?d", "read", true),
            ("[a-f]ead", "dead", true),
            ("[!a-f]ead", "dead", false),
            ("[!a-f]ead", "read", true),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("[ab", "[ab", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"[\]]", "]", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*a", "aaaaaaaaaab", false),
        ] {
            assert_eq!(part_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_name_matches_in_all_parts() {
        let probe = name("syscall:vmlinux:read:entry");
        assert!(name("syscall:::").matches(&probe));
        assert!(name("re*:entry").matches(&probe));
        assert!(!name("re*:return").matches(&probe));
        assert!(!name("ia32:read:entry").matches(&probe));
    }
}
