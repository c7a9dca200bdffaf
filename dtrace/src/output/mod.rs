// SPDX-License-Identifier: GPL-2.0
//! How events are shown: as text, as flow, or as JSON.

pub mod accounting;
mod flow;
mod json;
pub mod list;
mod tables;
mod text;

pub use flow::Flow;
pub use json::Json;
pub use text::Text;

use crate::aggregation::Table;
use crate::event::{Event, Printed};
use crate::program::Clause;
use std::io::{self, Write};

/// One form of output.
pub trait Output {
    /// Shows an event.
    ///
    /// # Errors
    /// The writer's.
    fn event(&mut self, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()>;

    /// Shows an aggregation that a program prints.
    ///
    /// # Errors
    /// The writer's.
    fn printed(
        &mut self,
        printed: &Printed<'_>,
        sorting: Sorting,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match printed.format {
            None => tables::text(printed.table, sorting, out),
            Some(format) => write!(out, "{}", tables::formatted(printed.table, format, sorting)),
        }
    }

    /// Shows an aggregation, sorted as asked: as text, unless a form has its own.
    ///
    /// # Errors
    /// The writer's.
    fn table(
        &mut self,
        _clause: Option<&Clause>,
        table: &Table,
        sorting: Sorting,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        tables::text(table, sorting, out)
    }
}

/// How an aggregation's entries follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorting {
    /// By key, instead of by value.
    pub by_key: bool,
    /// The other way round.
    pub reverse: bool,
}

/// A line without the spaces that padding left at its end.
fn line(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", text.trim_end())
}
