// SPDX-License-Identifier: GPL-2.0
//! DTrace's own form: `CPU ID FUNCTION:NAME`, then what was recorded.

use super::{line, Output};
use crate::event::{Event, Record};
use crate::fields::{Field, Holds, Source};
use crate::record::Value;
use crate::symbols::Symbols;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The form of `dtrace` without options, and with `-q`.
#[derive(Debug)]
pub struct Text {
    quiet: bool,
    heading: bool,
    fields: Vec<Field>,
    symbols: Symbols,
}

impl Text {
    /// `fields` are named in the heading, `symbols` in stacks; quiet: what was recorded, and no more.
    pub fn new(quiet: bool, fields: Vec<Field>, symbols: Symbols) -> Self {
        let heading = !quiet;
        Self {
            quiet,
            heading,
            fields,
            symbols,
        }
    }

    fn record(&mut self, record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.heading) {
            let mut text = format!("{:>3} {:>6} {:>32}", "CPU", "ID", "FUNCTION:NAME");
            headings(&self.fields, &mut text);
            line(&text, out)?;
        }
        if self.quiet {
            return quiet(record, &self.symbols, out);
        }
        let probe = &record.enabled.probe;
        let what = format!("{}:{}", probe.name.function, probe.name.name);
        let mut text = format!("{:>3} {:>6} {what:>32}", record.cpu, probe.id);
        finish(record, &self.symbols, &mut text, out)
    }
}

impl Output for Text {
    fn event(&mut self, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Record(record) => self.record(record, out),
            // Told on standard error.
            _ => Ok(()),
        }
    }
}

/// Values alone, a record a line.
fn quiet(record: &Record<'_>, symbols: &Symbols, out: &mut dyn Write) -> io::Result<()> {
    let values = record.values().map(|(_, value)| match &value {
        Value::Stack(frames) => frames
            .iter()
            .map(|f| format!("{f:#x}"))
            .collect::<Vec<_>>()
            .join(" "),
        value => shown(value),
    });
    let values: Vec<String> = values.collect();
    let values = values.join(" ");
    // A format says itself where lines end.
    match record.printed(symbols) {
        Some(printed) => write!(out, "{values}{printed}"),
        None if values.is_empty() => Ok(()),
        None => writeln!(out, "{values}"),
    }
}

/// The columns of a record's values, and stacks below.
pub(super) fn finish(
    record: &Record<'_>,
    symbols: &Symbols,
    text: &mut String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut stacks = Vec::new();
    for (field, value) in record.values() {
        match value {
            Value::Stack(frames) => stacks.push(frames),
            value => column(field, &shown(&value), text),
        }
    }
    match record.printed(symbols) {
        Some(printed) => writeln!(out, "{text} {printed}")?,
        None => line(text, out)?,
    }
    for frames in stacks {
        for frame in frames {
            let name = symbols.name(frame).unwrap_or_else(|| format!("{frame:#x}"));
            writeln!(out, "              {name}")?;
        }
    }
    Ok(())
}

/// A value as text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        // Arguments may be small numbers and addresses: each as one reads it best.
        Value::Signed(number) if i32::try_from(*number).is_err() => format!("{number:#x}"),
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Address(address) => format!("{address:#x}"),
        Value::Text(text) => text.chars().flat_map(visible).collect(),
        Value::Bytes(bytes) => bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Value::Stack(frames) => format!("{} frames", frames.len()),
    }
}

/// What a traced program named must not move the terminal's cursor.
fn visible(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

fn width(field: Option<&Field>) -> usize {
    match field.map(|field| field.source) {
        Some(Source::Variable(variable)) => match variable.holds {
            Holds::Signed(4) | Holds::Unsigned(4) => 8,
            Holds::Text => 16,
            _ => 18,
        },
        Some(Source::UserString(_)) => 32,
        _ => 16,
    }
}

fn is_left(field: Option<&Field>) -> bool {
    field.is_none_or(|field| !field.is_number())
}

fn column(field: Option<&Field>, value: &str, text: &mut String) {
    let width = width(field);
    let _ = match is_left(field) {
        true => write!(text, " {value:<width$}"),
        false => write!(text, " {value:>width$}"),
    };
}

/// Names over the columns.
pub(super) fn headings(fields: &[Field], text: &mut String) {
    for field in fields {
        if !matches!(field.source, Source::Stack | Source::UserStack) {
            column(Some(field), &field.name.to_uppercase(), text);
        }
    }
}
