// SPDX-License-Identifier: GPL-2.0
//! Which system calls there are, by our own list, and which of them are not made.

use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

const CALLS: &str = include_str!("../calls.txt");
const NOT_DRIVEN: &str = include_str!("../not-driven.txt");

/// In which way a call is made: the module of its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// 64-bit code.
    Vmlinux,
    /// `int $0x80` and 32-bit code.
    Ia32,
    /// 64-bit code, with a bit in the number.
    X32,
}

impl Abi {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vmlinux, Self::Ia32, Self::X32];

    /// The module of its probes.
    pub fn module(self) -> &'static str {
        match self {
            Self::Vmlinux => "vmlinux",
            Self::Ia32 => "ia32",
            Self::X32 => "x32",
        }
    }

    /// The ABI whose probes have that module.
    pub fn of_module(module: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|abi| abi.module() == module)
    }
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// In which way it is made.
    pub abi: Abi,
    /// Its name.
    pub name: &'static str,
    /// Its number there.
    pub number: u64,
    /// The first kernel that has it: 6 and 12; None: all.
    since: Option<(u32, u32)>,
}

/// One that is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// In which way; None: in all.
    abi: Option<Abi>,
    name: String,
    /// Why.
    reason: String,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = self.abi.map_or("*", Abi::module);
        write!(f, "{module}:{}: {}", self.name, self.reason)
    }
}

impl Left {
    /// Whether it is about that call.
    pub fn is(&self, call: &Call) -> bool {
        self.name == call.name && self.abi.is_none_or(|abi| abi == call.abi)
    }
}

/// Lines without comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

/// All calls of our list.
pub fn calls() -> Result<Vec<Call>> {
    let mut all = Vec::new();
    for line in lines(CALLS) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, numbers @ .., since] = words.as_slice() else {
            bail!("calls.txt: {line}");
        };
        ensure!(numbers.len() == Abi::ALL.len(), "calls.txt: {line}");
        let since = match *since {
            "-" => None,
            since => Some(version(since).with_context(|| format!("calls.txt: {line}"))?),
        };
        for (abi, number) in Abi::ALL.into_iter().zip(numbers) {
            if *number != "-" {
                let number = number.parse();
                let number = number.with_context(|| format!("calls.txt: {line}"))?;
                all.push(Call {
                    abi,
                    name,
                    number,
                    since,
                });
            }
        }
    }
    Ok(all)
}

/// The calls that are not made.
pub fn not_driven() -> Result<Vec<Left>> {
    lines(NOT_DRIVEN).map(left).collect()
}

fn left(line: &str) -> Result<Left> {
    let mut words = line.splitn(3, char::is_whitespace);
    let (Some(abi), Some(name), Some(reason)) = (words.next(), words.next(), words.next()) else {
        bail!("not-driven.txt: {line}: not an ABI, a name and a reason");
    };
    let abi = match abi {
        "*" => None,
        module => {
            let abi = Abi::of_module(module);
            Some(abi.with_context(|| format!("not-driven.txt: {module}: no ABI"))?)
        }
    };
    Ok(Left {
        abi,
        name: name.to_owned(),
        reason: reason.trim().to_owned(),
    })
}

/// The first two numbers of a kernel's release.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The calls to make on that kernel, whose probes are named; how many are left out, by ABI.
///
/// # Errors
/// If the lists and the kernel are not of one mind about which calls there are.
pub fn plan(
    calls: Vec<Call>,
    left: &[Left],
    kernel: (u32, u32),
    probes: &[(Abi, String)],
) -> Result<Vec<Call>> {
    let mut wrong = Vec::new();
    let has = |call: &Call| {
        probes
            .iter()
            .any(|(abi, name)| (*abi, name.as_str()) == (call.abi, call.name))
    };
    for (abi, name) in probes {
        if !calls
            .iter()
            .any(|call| call.abi == *abi && call.name == name)
        {
            wrong.push(format!(
                "{}:{name}: neither driven nor listed",
                abi.module()
            ));
        }
    }
    let known = |call: &&Call| call.since.is_none_or(|since| since <= kernel);
    for call in calls.iter().filter(known).filter(|call| !has(call)) {
        wrong.push(format!(
            "{}:{}: no such probe",
            call.abi.module(),
            call.name
        ));
    }
    for line in left
        .iter()
        .filter(|line| !calls.iter().any(|call| line.is(call)))
    {
        wrong.push(format!(
            "not-driven.txt: {}: no such call any more",
            line.name
        ));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut wanted = calls;
    wanted.retain(|call| has(call) && !left.iter().any(|line| line.is(call)));
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(abi: Abi, name: &'static str, since: Option<(u32, u32)>) -> Call {
        Call {
            abi,
            name,
            number: 1,
            since,
        }
    }

    fn told(left: &[Left], kernel: (u32, u32), probes: &[(Abi, &str)]) -> Result<usize, String> {
        let calls = vec![
            call(Abi::Vmlinux, "read", None),
            call(Abi::Ia32, "read", None),
            call(Abi::Vmlinux, "new", Some((6, 12))),
        ];
        let probes: Vec<_> = probes
            .iter()
            .map(|(abi, name)| (*abi, (*name).to_owned()))
            .collect();
        let planned = plan(calls, left, kernel, &probes);
        planned
            .map(|calls| calls.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn our_lists_are_well_formed() {
        let calls = calls().unwrap();
        assert!(calls.len() > 1200, "{}", calls.len());
        let is = |abi, name, number| {
            calls
                .iter()
                .any(|c| (c.abi, c.name, c.number) == (abi, name, number))
        };
        assert!(is(Abi::Vmlinux, "getppid", 110));
        assert!(is(Abi::Ia32, "getppid", 64));
        assert!(is(Abi::X32, "execve", 520));
        not_driven().unwrap();
    }

    #[test]
    fn the_lists_and_the_kernel_agree_or_it_is_told() {
        let both = [(Abi::Vmlinux, "read"), (Abi::Ia32, "read")];
        assert_eq!(told(&[], (6, 1), &both), Ok(2));
        let new = [both[0], both[1], (Abi::Vmlinux, "new")];
        assert_eq!(told(&[], (6, 12), &new), Ok(3));
        // What the kernel has, whatever its version says.
        assert_eq!(told(&[], (6, 1), &new), Ok(3));
        let refusal = |left: &[Left], kernel, probes: &[_]| told(left, kernel, probes).unwrap_err();
        assert!(refusal(&[], (6, 12), &both).contains("vmlinux:new: no such probe"));
        assert!(refusal(&[], (6, 1), &both[..1]).contains("ia32:read: no such probe"));
        let more = [both[0], both[1], (Abi::X32, "odd")];
        assert!(refusal(&[], (6, 1), &more).contains("x32:odd: neither driven nor listed"));
    }

    #[test]
    fn calls_are_left_out_by_name() {
        let both = [(Abi::Vmlinux, "read"), (Abi::Ia32, "read")];
        assert_eq!(
            told(&[left("* read it reads").unwrap()], (6, 1), &both),
            Ok(0)
        );
        assert_eq!(
            told(&[left("ia32 read it reads").unwrap()], (6, 1), &both),
            Ok(1)
        );
        let gone = left("* gone it went").unwrap();
        assert!(told(&[gone], (6, 1), &both)
            .unwrap_err()
            .contains("no such call any more"));
        let elsewhere = left("x32 read it reads").unwrap();
        assert!(told(&[elsewhere], (6, 1), &both).is_err());
        for wrong in ["read", "* read", "arm read it reads"] {
            assert!(left(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn releases() {
        assert_eq!(version("6.12.118+deb13-amd64"), Some((6, 12)));
        assert_eq!(version("7.3"), Some((7, 3)));
        assert_eq!(version("x"), None);
    }
}
