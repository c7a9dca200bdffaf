// SPDX-License-Identifier: GPL-2.0
//! `--json`: one object a line, whose `type` says what it is.

use super::tables::{distribution, formatted, single};
use super::{Output, Sorting};
use crate::aggregation::Table;
use crate::device::{Buffer, Probe};
use crate::event::{Event, Printed, Record};
use crate::fields::Field;
use crate::program::Clause;
use crate::record::Value;
use crate::symbols::Symbols;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, Write};

/// The form of `--json`.
#[derive(Debug, Default)]
pub struct Json {
    symbols: Symbols,
}

impl Json {
    /// `symbols` are for formats: what is recorded has addresses.
    pub fn new(symbols: Symbols) -> Self {
        Self { symbols }
    }
}

/// A line of output.
#[derive(serde::Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Line<'a> {
    Probe {
        #[serde(flatten)]
        probe: Named<'a>,
    },
    Record {
        cpu: u32,
        #[serde(flatten)]
        probe: Named<'a>,
        #[serde(skip_serializing_if = "Values::is_empty")]
        values: Values<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        printf: Option<String>,
    },
    Printa {
        text: String,
    },
    Drops {
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu: Option<u32>,
        count: u64,
    },
    Error {
        cpu: u32,
        epid: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        probe: Option<String>,
        action: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u32>,
        fault: &'a str,
        address: String,
    },
    Damage {
        cpu: u32,
        buffer: &'a str,
        why: &'a str,
    },
    Exit {
        status: i32,
    },
    Aggregation {
        #[serde(skip_serializing_if = "Option::is_none")]
        probe: Option<String>,
        function: &'a str,
        #[serde(skip_serializing_if = "Values::is_empty")]
        key: Values<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<i64>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        buckets: Vec<Bucket>,
    },
}

/// A probe and its name.
#[derive(serde::Serialize)]
pub(crate) struct Named<'a> {
    id: u32,
    provider: &'a str,
    module: &'a str,
    function: &'a str,
    name: &'a str,
}

impl<'a> From<&'a Probe> for Named<'a> {
    fn from(probe: &'a Probe) -> Self {
        Self {
            id: probe.id,
            provider: &probe.name.provider,
            module: &probe.name.module,
            function: &probe.name.function,
            name: &probe.name.name,
        }
    }
}

/// Where a distribution's values begin, and how many there are.
#[derive(serde::Serialize)]
pub(crate) struct Bucket {
    from: String,
    count: u64,
}

/// Values by the names of their fields, in their order.
pub(crate) struct Values<'a>(Vec<(Option<&'a Field>, Value)>);

impl Values<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (number, (field, value)) in self.0.iter().enumerate() {
            match field {
                Some(field) => map.serialize_entry(&field.name, value)?,
                None => map.serialize_entry(&number.to_string(), value)?,
            }
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex = |number: &u64| format!("{number:#x}");
        match self {
            Self::Signed(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Address(address) => serializer.serialize_str(&hex(address)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.serialize_str(&hex)
            }
            Self::Stack(frames) => serializer.collect_seq(frames.iter().map(hex)),
        }
    }
}

/// Writes a line.
pub(crate) fn line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// The line of a probe in a list.
pub(crate) fn probe(probe: &Probe, out: &mut dyn Write) -> io::Result<()> {
    let probe = probe.into();
    line(&Line::Probe { probe }, out)
}

fn record<'a>(record: &Record<'a>, symbols: &Symbols) -> Line<'a> {
    Line::Record {
        cpu: record.cpu,
        probe: (&*record.enabled.probe).into(),
        values: Values(record.values().collect()),
        printf: record.printed(symbols),
    }
}

impl Output for Json {
    fn event(&mut self, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        let told = match event {
            Event::Record(told) => record(told, &self.symbols),
            Event::Printed(_) => return Ok(()),
            Event::Drops(drops) => Line::Drops {
                kind: drops.kind.name(),
                cpu: drops.cpu,
                count: drops.count,
            },
            Event::Fault(fault) => Line::Error {
                cpu: fault.cpu,
                epid: fault.epid,
                probe: fault.probe.as_ref().map(|probe| probe.name.to_string()),
                action: fault.action,
                offset: fault.offset,
                fault: fault.kind_name(),
                address: format!("{:#x}", fault.address),
            },
            Event::Damage(damage) => Line::Damage {
                cpu: damage.cpu,
                buffer: match damage.buffer {
                    Buffer::Principal => "principal",
                    Buffer::Aggregation => "aggregation",
                },
                why: &damage.why,
            },
            Event::Exit(status) => Line::Exit { status: *status },
        };
        line(&told, out)
    }

    fn printed(
        &mut self,
        printed: &Printed<'_>,
        sorting: Sorting,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match printed.format {
            None => self.table(None, printed.table, sorting, out),
            Some(format) => {
                let text = formatted(printed.table, format, sorting);
                line(&Line::Printa { text }, out)
            }
        }
    }

    fn table(
        &mut self,
        clause: Option<&Clause>,
        table: &Table,
        sorting: Sorting,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for (key, words) in table.sorted(sorting.by_key, sorting.reverse) {
            let fields = table.key.iter().map(Some);
            let fields = fields.chain(std::iter::repeat(None));
            let rows = distribution(table, words);
            let value = rows.is_none().then(|| single(table, words));
            let used = rows.into_iter().flatten().filter(|row| row.count != 0);
            let told = Line::Aggregation {
                probe: clause.map(|clause| clause.name.to_string()),
                function: table.function.kind.name(),
                key: Values(fields.zip(key.iter().cloned()).collect()),
                value,
                buckets: used
                    .map(|row| Bucket {
                        from: row.from,
                        count: row.count,
                    })
                    .collect(),
            };
            line(&told, out)?;
        }
        Ok(())
    }
}
