// SPDX-License-Identifier: GPL-2.0
//! `-F`: entries and returns, indented by how deep they are.

use super::text::{finish, headings};
use super::{line, Output};
use crate::event::{Event, Record};
use crate::fields::Field;
use crate::symbols::Symbols;
use std::collections::HashMap;
use std::io::{self, Write};

/// Columns that one call takes.
const STEP: usize = 2;

/// Deeper calls are shown as if they were as deep as this.
const DEEPEST: usize = 32;

/// The form of `-F`.
#[derive(Debug)]
pub struct Flow {
    heading: bool,
    fields: Vec<Field>,
    symbols: Symbols,
    /// By CPU, as its buffer is read in one piece.
    depth: HashMap<u32, usize>,
}

impl Flow {
    /// `fields` are named in the heading, `symbols` in stacks.
    pub fn new(quiet: bool, fields: Vec<Field>, symbols: Symbols) -> Self {
        Self {
            heading: !quiet,
            fields,
            symbols,
            depth: HashMap::new(),
        }
    }

    fn record(&mut self, record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.heading) {
            let mut text = format!("{:>3} {:<41}", "CPU", "FUNCTION");
            headings(&self.fields, &mut text);
            line(&text, out)?;
        }
        let name = &record.enabled.probe.name;
        let syscall = name.provider == "syscall";
        let depth = self.depth.entry(record.cpu).or_default();
        let (arrow, what) = match name.name.as_str() {
            "entry" if syscall => ("=> ", name.function.clone()),
            "entry" => ("-> ", name.function.clone()),
            "return" => {
                *depth = depth.saturating_sub(1);
                let arrow = if syscall { "<= " } else { "<- " };
                (arrow, name.function.clone())
            }
            other => ("| ", format!("{}:{other}", name.function)),
        };
        let shown = (*depth).min(DEEPEST);
        let indent = " ".repeat(1 + shown * STEP);
        if name.name == "entry" {
            *depth += 1;
        }
        let call = format!("{indent}{arrow}{what}");
        let mut text = format!("{:>3} {call:<41}", record.cpu);
        finish(record, &self.symbols, &mut text, out)
    }
}

impl Output for Flow {
    fn event(&mut self, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Record(record) => self.record(record, out),
            // Told on standard error.
            _ => Ok(()),
        }
    }
}
