// SPDX-License-Identifier: GPL-2.0
//! What a firing leaves: as it is expected, and as `dtrace --json` tells it.

use crate::table::Abi;
use anyhow::{bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// One firing of a syscall probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The probe's module.
    pub abi: Abi,
    /// The probe's function.
    pub name: String,
    /// Whether it is the entry.
    pub entry: bool,
    /// `arg0` to `arg5`.
    pub args: [i64; 6],
    /// `errno`.
    pub errno: i64,
}

impl Record {
    /// Of a call that begins.
    pub fn entry(abi: Abi, name: &str, args: [u64; 6]) -> Self {
        let args = args.map(|arg| arg as i64);
        Self {
            abi,
            name: name.to_owned(),
            entry: true,
            args,
            errno: 0,
        }
    }

    /// Of one that ends with `value`.
    pub fn returned(abi: Abi, name: &str, value: i64) -> Self {
        let errno = if (-4095..0).contains(&value) {
            -value
        } else {
            0
        };
        let args = [value, value, 0, 0, 0, 0];
        Self {
            abi,
            name: name.to_owned(),
            entry: false,
            args,
            errno,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.entry { "entry" } else { "return" };
        write!(f, "{}:{}:{side}(", self.abi.module(), self.name)?;
        for (place, arg) in self.args.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{arg:#x}")?;
        }
        write!(f, ") errno {}", self.errno)
    }
}

/// What one process is to leave, in its order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// What it does, in words.
    pub what: String,
    /// Its number.
    pub pid: i64,
    /// The CPU it stays on.
    pub cpu: i64,
    /// The call it is about, and how it went; None: a case of its own.
    pub call: Option<(Abi, Fate)>,
    /// What it leaves.
    pub records: Vec<Record>,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It did something.
    Done,
    /// The kernel refused its arguments with an errno.
    Refused,
    /// It is no call of this kernel any more (ENOSYS).
    Empty,
    /// It has no return, or its process did not outlive it.
    Ended,
}

/// One line of `dtrace --json` with the fields that the scenario asks for: the process, its CPU, the firing.
///
/// # Errors
/// If something was lost or went wrong: then nothing can be compared.
pub fn read(line: &str) -> Result<Option<(i64, i64, Record)>> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    match value["type"].as_str() {
        Some("record") => {}
        Some("drops" | "error" | "damage") => bail!("the trace has losses: {line}"),
        _ => return Ok(None),
    }
    if value["provider"] != "syscall" {
        return Ok(None);
    }
    let number = |value: &Value| {
        value
            .as_i64()
            .with_context(|| format!("a number is missing: {line}"))
    };
    let values = &value["values"];
    let mut args = [0; 6];
    for (place, arg) in args.iter_mut().enumerate() {
        *arg = number(&values[format!("arg{place}")])?;
    }
    let side = value["name"].as_str().unwrap_or_default();
    ensure!(
        matches!(side, "entry" | "return"),
        "a probe of another name: {line}"
    );
    let abi = value["module"].as_str().and_then(Abi::of_module);
    let record = Record {
        abi: abi.with_context(|| format!("no ABI: {line}"))?,
        name: value["function"].as_str().unwrap_or_default().to_owned(),
        entry: side == "entry",
        args,
        errno: number(&values["errno"])?,
    };
    Ok(Some((
        number(&values["pid"])?,
        number(&value["cpu"])?,
        record,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_json() {
        let line = r#"{"type":"record","cpu":1,"id":7,"provider":"syscall","module":"ia32","function":"read","name":"return","values":{"pid":9,"arg0":-9,"arg1":-9,"arg2":0,"arg3":0,"arg4":0,"arg5":0,"errno":9}}"#;
        let record = Record::returned(Abi::Ia32, "read", -9);
        assert_eq!(read(line).unwrap(), Some((9, 1, record)));
        assert_eq!(read(r#"{"type":"accounting"}"#).unwrap(), None);
        for wrong in [
            "x",
            r#"{"type":"drops","kind":"principal","cpu":0,"count":3}"#,
            &line.replace("\"arg5\":0", "\"arg6\":0"),
            &line.replace("ia32", "arm"),
            &line.replace("\"return\"", "\"done\""),
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_and_errno() {
        let errno = |value| Record::returned(Abi::X32, "read", value).errno;
        assert_eq!(
            (errno(-4095), errno(-4096), errno(0), errno(5)),
            (4095, 0, 0, 0)
        );
        let entry = Record::entry(Abi::Vmlinux, "read", [u64::MAX, 2, 3, 4, 5, 6]);
        assert_eq!(entry.args[0], -1);
        assert!(entry
            .to_string()
            .starts_with("vmlinux:read:entry(0xffffffffffffffff, 0x2"));
    }
}
