// SPDX-License-Identifier: GPL-2.0
//! Long steps, shown: a spinner with the step's last line on a terminal, plain lines elsewhere.

use crate::child::{self, Child};
use anyhow::{bail, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many of a failed step's last lines are shown.
pub const LAST_LINES: usize = 40;

/// How often a step that prints nothing on a terminal says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Runs `command` as the step `label`, its output kept in `log`, and returns that output.
///
/// Fails when the command cannot be started or does not exit with 0; the error carries the last
/// lines and the command.
pub fn run(label: &str, command: &mut Command, log: &Path) -> Result<String> {
    let start = Instant::now();
    let bar = Bar::new(label);
    let mut file = create_log(log)?;
    writeln!(file, "$ {}", child::describe(command))?;

    let mut merged = child::merge_output(command);
    merged.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Child::spawn(&mut merged)?;
    let stdout = child.pipes().stdout.take().context("no pipe")?;

    let mut output = String::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read a step's output")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        writeln!(file, "{line}")?;
        bar.line(line);
        output.push_str(line);
        output.push('\n');
    }
    let status = child.wait()?;
    crate::signals::check()?;
    let seconds = start.elapsed().as_secs();
    if !status.success() {
        bar.finish(&format!("{label}: failed after {seconds} s"));
        bail!(
            "{label}: {status}\n{}\ncommand: {}\nfull log: {}",
            last_lines(&output),
            child::describe(command),
            log.display()
        );
    }
    bar.finish(&format!("{label}: {seconds} s"));
    Ok(output)
}

/// The last lines of `text`, indented.
pub fn last_lines(text: &str) -> String {
    let mut last = VecDeque::with_capacity(LAST_LINES);
    for line in text.lines() {
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(format!("  | {line}"));
    }
    Vec::from(last).join("\n")
}

fn create_log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// One step's line on the screen.
struct Bar {
    label: String,
    spinner: Option<ProgressBar>,
    said: std::cell::Cell<Instant>,
}

impl Bar {
    fn new(label: &str) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        let spinner = terminal.then(|| {
            let spinner = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}");
            spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            spinner.set_prefix(label.to_owned());
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        if !terminal {
            eprintln!("{label} ...");
        }
        Bar {
            label: label.to_owned(),
            spinner,
            said: std::cell::Cell::new(Instant::now()),
        }
    }

    fn line(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(line.to_owned()),
            None if self.said.get().elapsed() > HEARTBEAT => {
                eprintln!("{} ... {line}", self.label);
                self.said.set(Instant::now());
            }
            None => {}
        }
    }

    fn finish(&self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        eprintln!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_shows_both_streams_and_the_command() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = child::command("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = run("step", &mut command, log.path()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("| one\n  | two"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("command: sh -c"), "{error}");
    }
}
