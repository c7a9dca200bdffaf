// SPDX-License-Identifier: GPL-2.0
//! Watching a storm: progress on a terminal, and Ctrl-C.

use anyhow::{Context, Result};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

/// How often to look.
pub const EVERY: Duration = Duration::from_millis(100);

/// How often to write a line where there is no terminal.
const LINE_EVERY_NS: u64 = 10_000_000_000;

/// Becomes true at the first Ctrl-C (or SIGTERM); the second one ends the program, unless there are
/// CPUs to bring back.
pub fn on_interrupt(hotplug: bool) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = "a handler for Ctrl-C";
    for signal in [libc::SIGINT, libc::SIGTERM] {
        if !hotplug {
            signal_hook::flag::register_conditional_default(signal, stop.clone())
                .context(handler)?;
        }
        signal_hook::flag::register(signal, stop.clone()).context(handler)?;
    }
    Ok(stop)
}

/// How far a storm is: a line that changes on a terminal, a line now and then elsewhere.
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    last_line_ns: std::cell::Cell<u64>,
}

impl Progress {
    /// Nothing is shown unless `wanted`.
    pub fn new(wanted: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = match wanted && terminal {
            true => ProgressBar::new_spinner(),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            lines: wanted && !terminal,
            last_line_ns: std::cell::Cell::new(0),
        }
    }

    pub fn show(&self, calls: u64, elapsed_ns: u64) {
        let rate = (calls as f64 / (elapsed_ns.max(1) as f64 / 1e9)) as u64;
        let seconds = elapsed_ns / 1_000_000_000;
        let text = format!(
            "{} calls in {seconds} s, {} a second",
            HumanCount(calls),
            HumanCount(rate)
        );
        if self.lines && elapsed_ns.saturating_sub(self.last_line_ns.get()) >= LINE_EVERY_NS {
            self.last_line_ns.set(elapsed_ns);
            eprintln!("{text}");
        }
        self.bar.set_message(text);
        self.bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Whether a Ctrl-C has come.
pub fn interrupted(stop: &AtomicBool) -> bool {
    stop.load(Relaxed)
}
