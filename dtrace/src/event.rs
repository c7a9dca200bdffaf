// SPDX-License-Identifier: GPL-2.0
//! What a session hands out: records, and all that kept records from being made.

use crate::aggregation::Table;
use crate::device::{Buffer, Probe};
use crate::fields::Field;
use crate::format::{Format, Given};
use crate::record::{Layout, Value};
use crate::symbols::Symbols;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// An enabled probe, as its records are read.
#[derive(Clone, Debug)]
pub struct Enabled {
    /// Its number.
    pub epid: u32,
    /// The probe.
    pub probe: Rc<Probe>,
    /// Which of the session's clauses made it; None: none of them.
    pub clause: Option<usize>,
    /// Where in a record its parts are.
    pub layout: Layout,
    /// What each part is, if the clause says so.
    pub fields: Vec<Option<Field>>,
    /// What the parts are for.
    pub items: Vec<Item>,
}

/// Parts of a record that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// One that stands for itself.
    Value(usize),
    /// What a format takes.
    Printf(Rc<Format>, Range<usize>),
    /// The number of an aggregation, and how to print it.
    Printa(Option<Rc<Format>>, usize),
}

/// One firing of an enabled probe.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it fired.
    pub cpu: u32,
    /// What fired.
    pub enabled: &'a Enabled,
    /// The record's bytes.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// A part, and what it is.
    fn part(&self, number: usize) -> Option<(Option<&'a Field>, Given<'a>)> {
        let enabled = self.enabled;
        let (part, bytes) = enabled.layout.split(self.bytes).nth(number)?;
        let field = enabled.fields.get(number).and_then(Option::as_ref);
        let value = Value::read(part, bytes, field);
        Some((field, Given { value, bytes }))
    }

    /// The values it holds that stand for themselves, with the field each is of.
    pub fn values(&self) -> impl Iterator<Item = (Option<&'a Field>, Value)> + 'a {
        let this = *self;
        let values = this
            .enabled
            .items
            .iter()
            .filter_map(move |item| match item {
                Item::Value(number) => this.part(*number),
                _ => None,
            });
        values.map(|(field, given)| (field, given.value))
    }

    /// What its formats make of it; None: it has none.
    pub fn printed(&self, symbols: &Symbols) -> Option<String> {
        let mut printed = None;
        for item in &self.enabled.items {
            if let Item::Printf(format, parts) = item {
                let values = parts.clone().filter_map(|number| self.part(number));
                let values: Vec<Given<'_>> = values.map(|(_, given)| given).collect();
                format.render(
                    &values,
                    None,
                    symbols,
                    printed.get_or_insert_with(String::new),
                );
            }
        }
        printed
    }
}

/// An aggregation that a program prints.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    /// What it has so far.
    pub table: &'a Table,
    /// How; None: in the usual form.
    pub format: Option<&'a Format>,
}

/// Something that a session tells of.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A record.
    Record(Record<'a>),
    /// An aggregation is printed, by the record before.
    Printed(Printed<'a>),
    /// Records or parts of them that are lost.
    Drops(Drops),
    /// An action that failed, as ERROR tells.
    Fault(Fault),
    /// Bytes that are no records.
    Damage(Damage),
    /// `exit()` was called.
    Exit(i32),
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drops {
    /// For want of what.
    pub kind: DropKind,
    /// Where; None: it is not counted by CPU.
    pub cpu: Option<u32>,
    /// How many.
    pub count: u64,
}

/// For want of what something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropKind {
    /// Room in a principal buffer.
    Principal,
    /// Room in an aggregation buffer.
    Aggregation,
    /// Room for variables.
    Dynamic,
    /// The same: chunks are being cleaned.
    DynamicRinse,
    /// The same: chunks wait to be cleaned.
    DynamicDirty,
    /// Room for speculations.
    Speculation,
    /// The same: they are being committed.
    SpeculationBusy,
    /// The same: none is free.
    SpeculationUnavailable,
    /// Room for the strings of a stack.
    StackString,
    /// Errors in actions of ERROR itself.
    DoubleError,
}

impl DropKind {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Aggregation => "aggregation",
            Self::Dynamic => "dynamic",
            Self::DynamicRinse => "dynamic-rinse",
            Self::DynamicDirty => "dynamic-dirty",
            Self::Speculation => "speculation",
            Self::SpeculationBusy => "speculation-busy",
            Self::SpeculationUnavailable => "speculation-unavailable",
            Self::StackString => "stack-string",
            Self::DoubleError => "double-error",
        }
    }
}

impl fmt::Display for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, more) = match self.kind {
            DropKind::Principal => ("drop", ""),
            DropKind::Aggregation => ("aggregation drop", ""),
            DropKind::Dynamic => ("dynamic variable drop", ""),
            DropKind::DynamicRinse => ("dynamic variable drop", " with non-empty rinsing list"),
            DropKind::DynamicDirty => ("dynamic variable drop", " with non-empty dirty list"),
            DropKind::Speculation => ("speculative drop", ""),
            DropKind::SpeculationBusy => ("failed speculation", " (buffer busy)"),
            DropKind::SpeculationUnavailable => ("failed speculation", " (no buffer)"),
            DropKind::StackString => ("stack string table overflow", ""),
            DropKind::DoubleError => ("error", " in ERROR probe enabling"),
        };
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} {what}{plural}{more}", self.count)?;
        match self.cpu {
            Some(cpu) => write!(f, " on CPU {cpu}"),
            None => Ok(()),
        }
    }
}

/// An action that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub cpu: u32,
    /// The enabled probe.
    pub epid: u32,
    /// The probe, if it is known.
    pub probe: Option<Rc<Probe>>,
    /// Which of its actions, from 1; 0: the predicate.
    pub action: u32,
    /// Bytes into its DIF; None: not known.
    pub offset: Option<u32>,
    /// What went wrong.
    pub kind: u32,
    /// The address or value it went wrong with.
    pub address: u64,
}

impl Fault {
    /// What went wrong, in words.
    pub fn kind_name(&self) -> &'static str {
        use dtrace_interface::fault::Fault;
        Fault::from_raw(self.kind).unwrap_or(Fault::Unknown).name()
    }

    /// Whether the address tells something.
    fn has_address(&self) -> bool {
        use dtrace_interface::fault::Fault::{BadAddress, BadAlignment, BadStack};
        let with = [BadAddress, BadAlignment, BadStack];
        with.iter().any(|fault| fault.raw() == self.kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error on enabled probe ID {}", self.epid)?;
        if let Some(probe) = &self.probe {
            write!(f, " (ID {}: {})", probe.id, probe.name)?;
        }
        write!(f, ": {}", self.kind_name())?;
        if self.has_address() {
            write!(f, " ({:#x})", self.address)?;
        }
        match self.action {
            0 => write!(f, " in predicate")?,
            action => write!(f, " in action #{action}")?,
        }
        match self.offset {
            Some(offset) => write!(f, " at DIF offset {offset}"),
            None => Ok(()),
        }
    }
}

/// Bytes that are no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whose buffer.
    pub cpu: u32,
    /// Which one.
    pub buffer: Buffer,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffer = match self.buffer {
            Buffer::Principal => "buffer",
            Buffer::Aggregation => "aggregation buffer",
        };
        let Self { cpu, why, .. } = self;
        write!(
            f,
            "the {buffer} of CPU {cpu} is damaged, its rest is lost: {why}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_told_as_dtrace_does() {
        let told = |kind, cpu, count| Drops { kind, cpu, count }.to_string();
        assert_eq!(told(DropKind::Principal, Some(1), 12), "12 drops on CPU 1");
        assert_eq!(told(DropKind::Principal, Some(0), 1), "1 drop on CPU 0");
        assert_eq!(
            told(DropKind::Aggregation, Some(3), 2),
            "2 aggregation drops on CPU 3"
        );
        assert_eq!(
            told(DropKind::DynamicDirty, None, 5),
            "5 dynamic variable drops with non-empty dirty list"
        );
    }

    #[test]
    fn faults_too() {
        let mut fault = Fault {
            cpu: 0,
            epid: 2,
            probe: Some(Rc::new(Probe {
                id: 30,
                name: "syscall:vmlinux:openat:entry".parse().unwrap(),
            })),
            action: 1,
            offset: Some(16),
            kind: 1,
            address: 0x10,
        };
        assert_eq!(
            fault.to_string(),
            "error on enabled probe ID 2 (ID 30: syscall:vmlinux:openat:entry): \
             invalid address (0x10) in action #1 at DIF offset 16"
        );
        fault.probe = None;
        fault.kind = 4;
        fault.action = 0;
        fault.offset = None;
        assert_eq!(
            fault.to_string(),
            "error on enabled probe ID 2: divide-by-zero in predicate"
        );
    }
}
