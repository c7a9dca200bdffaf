// SPDX-License-Identifier: GPL-2.0
//! Child processes that never outlive us.
//!
//! Each child leads a process group of its own, is known to the signal thread, dies with us even
//! if we are killed (`setpriv --pdeathsig`), and is killed when its handle is dropped.

use anyhow::{Context, Result};
use rustix::process::{kill_process_group, Pid, Signal};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A command that is killed by the kernel when the thread that spawned it ends.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A command in mount and process namespaces of its own: what it mounts and whom it starts goes
/// when it ends, however it ends. Needs root.
pub fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = command("unshare");
    command.args(["--mount", "--propagation", "private", "--mount-proc"]);
    command.args(["--pid", "--fork", "--kill-child=KILL", "--"]);
    command.arg(program);
    command
}

/// Asks every running child to end.
pub fn terminate_all() {
    signal_all(Signal::TERM);
}

/// Ends every running child.
pub fn kill_all() {
    signal_all(Signal::KILL);
}

fn signal_all(signal: Signal) {
    let running = RUNNING.lock().unwrap_or_else(|poison| poison.into_inner());
    for &pid in running.iter() {
        signal_group(pid, signal);
    }
}

fn signal_group(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended meanwhile.
        let _ = kill_process_group(pid, signal);
    }
}

/// A running child; killed with its process group when dropped.
pub struct Child {
    inner: std::process::Child,
    reaped: Option<ExitStatus>,
}

impl Child {
    /// Starts `command` in a process group of its own.
    pub fn spawn(command: &mut Command) -> Result<Child> {
        crate::signals::check()?;
        let inner = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", describe(command)))?;
        let mut running = RUNNING.lock().unwrap_or_else(|poison| poison.into_inner());
        running.insert(inner.id() as i32);
        Ok(Child {
            inner,
            reaped: None,
        })
    }

    /// The pipes, to be taken.
    pub fn pipes(&mut self) -> &mut std::process::Child {
        &mut self.inner
    }

    /// Waits until the child ends, at most until `deadline`; `None` when it still runs then.
    pub fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.poll()? {
                return Ok(Some(status));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the child ends.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_until(None)? {
                return Ok(status);
            }
        }
    }

    /// The exit status if the child has ended.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.reaped.is_none() {
            self.reaped = self.inner.try_wait().context("cannot wait for a child")?;
            if self.reaped.is_some() {
                self.forget();
            }
        }
        Ok(self.reaped)
    }

    fn forget(&self) {
        let mut running = RUNNING.lock().unwrap_or_else(|poison| poison.into_inner());
        running.remove(&(self.inner.id() as i32));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped.is_some() {
            return;
        }
        let pid = self.inner.id() as i32;
        signal_group(pid, Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        if !matches!(self.wait_until(Some(deadline)), Ok(Some(_))) {
            signal_group(pid, Signal::KILL);
            let _ = self.inner.wait();
        }
        self.forget();
    }
}

/// How a captured command ended, and what it wrote to both streams.
pub struct Captured {
    /// `None` when it was ended at its time limit.
    pub status: Option<ExitStatus>,
    pub output: String,
}

/// Runs `command` to its end or to the time limit, its output kept.
pub fn capture(command: &Command, limit: Duration) -> Result<Captured> {
    let deadline = Instant::now() + limit;
    let mut merged = merge_output(command);
    merged.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Child::spawn(&mut merged)?;
    let mut stdout = child.inner.stdout.take().context("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error counts.
        let _ = stdout.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let status = child.wait_until(Some(deadline))?;
    drop(child);
    crate::signals::check()?;
    let output = reader.join().unwrap_or_default();
    Ok(Captured { status, output })
}

/// `command` with its standard error joined to its standard output, in order.
pub fn merge_output(command: &Command) -> Command {
    let mut merged = Command::new("sh");
    merged.args(["-c", r#"exec "$@" 2>&1"#, "sh"]);
    merged.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => merged.env(key, value),
            None => merged.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        merged.current_dir(folder);
    }
    merged
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words: Vec<String> = words.map(|word| quote(&word.to_string_lossy())).collect();
    if words.starts_with(&["setpriv".into(), "--pdeathsig".into()]) {
        words.drain(..4);
    }
    words.join(" ")
}

/// A word quoted for a shell, if it must be.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_when_a_shell_needs_it() {
        assert_eq!(quote("a-b=c"), "a-b=c");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let child = Child::spawn(command("sleep").arg("100")).unwrap();
        let pid = child.inner.id();
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
