// SPDX-License-Identifier: GPL-2.0
//! `-c` and `-p`: what is traced, whose end ends the tracing.

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{self, Pid, Signal, WaitOptions};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// The first argument of this program when it is to become the command of `-c`.
pub const HOLD: &str = "--hold-then-run";

/// What is traced.
#[derive(Debug)]
pub enum Target {
    /// A command, held until tracing has begun.
    Command {
        /// It, or rather what will become it.
        child: Child,
    },
    /// A process that runs already.
    Process {
        /// Its number.
        pid: u32,
        /// When it was started, so that another one of the same number is not taken for it.
        started: String,
    },
}

impl Target {
    /// Starts a command, split at spaces, and holds it before its first instruction.
    ///
    /// # Errors
    /// If there is no command, or it cannot be started.
    pub fn command(command: &str) -> Result<Self> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some(program) = words.first() else {
            bail!("-c: no command");
        };
        ensure!(is_there(program), "-c {program}: no such command");
        let this = std::env::current_exe().context("-c: this program's own path")?;
        let child = Command::new(this).arg(HOLD).args(words).spawn();
        let mut child = child.with_context(|| format!("-c {command}"))?;
        // It stops itself once it is ready.
        let pid = Pid::from_child(&child);
        let stopped = process::waitpid(Some(pid), WaitOptions::UNTRACED)?;
        if !stopped.is_some_and(|(_, status)| status.stopped()) {
            let _ = child.wait();
            bail!("-c {command}: it did not start");
        }
        Ok(Self::Command { child })
    }

    /// A process that runs already.
    ///
    /// # Errors
    /// If it does not.
    pub fn process(pid: u32) -> Result<Self> {
        match started(pid) {
            Some(started) => Ok(Self::Process { pid, started }),
            None => bail!("-p {pid}: no such process"),
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Command { child } => child.id(),
            Self::Process { pid, .. } => *pid,
        }
    }

    /// Lets a held command run.
    ///
    /// # Errors
    /// If it is gone.
    pub fn release(&self) -> Result<()> {
        if let Self::Command { child } = self {
            let pid = Pid::from_child(child);
            process::kill_process(pid, Signal::CONT).context("-c: letting the command run")?;
        }
        Ok(())
    }

    /// How it ended, in words; None: it has not.
    pub fn over(&mut self) -> Option<String> {
        let pid = self.pid();
        match self {
            Self::Command { child } => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) if status.success() => Some(format!("pid {pid} has exited")),
                Ok(Some(status)) => Some(format!("pid {pid} has ended: {status}")),
                Err(error) => Some(format!("pid {pid} is lost: {error}")),
            },
            Self::Process { started: then, .. } => match started(pid) {
                Some(now) if now == *then => None,
                _ => Some(format!("pid {pid} has exited")),
            },
        }
    }
}

impl Drop for Target {
    /// A command that never ran does not stay behind. One that runs goes on.
    fn drop(&mut self) {
        if let Self::Command { child } = self {
            if matches!(child.try_wait(), Ok(None)) && is_held(child.id()) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Whether a program is there to be run, as `execvp` looks for it.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// When a process was started; None: there is none, or it is over.
fn started(pid: u32) -> Option<String> {
    let fields = stat(pid)?;
    // Field 3 is the state, field 22 the time (proc_pid_stat(5)).
    match fields.first()?.as_str() {
        "Z" | "X" => None,
        _ => fields.get(19).cloned(),
    }
}

fn is_held(pid: u32) -> bool {
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command_line.split(|byte| *byte == 0);
    words.nth(1) == Some(HOLD.as_bytes())
}

/// Becomes a command once it is let go. Returns why it could not.
pub fn hold_then_run(words: &[OsString]) -> anyhow::Error {
    let Some((program, arguments)) = words.split_first() else {
        return anyhow::anyhow!("{HOLD}: no command");
    };
    let hold = || -> rustix::io::Result<()> {
        // Held for ever is worse than gone.
        process::set_parent_process_death_signal(Some(Signal::KILL))?;
        process::kill_process(process::getpid(), Signal::STOP)?;
        process::set_parent_process_death_signal(None)
    };
    if let Err(error) = hold() {
        return anyhow::Error::new(error).context("holding the command");
    }
    let error = Command::new(program).args(arguments).exec();
    anyhow::Error::new(error).context(format!("-c {}", program.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_there_and_not() {
        let mut this = Target::process(std::process::id()).unwrap();
        assert_eq!(this.over(), None);
        assert!(Target::process(u32::MAX).is_err());
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(Target::process(pid).is_err());
        let mut other = Target::Process {
            pid: std::process::id(),
            started: "0".into(),
        };
        assert!(other.over().is_some());
    }

    #[test]
    fn no_command_is_an_error() {
        for wrong in ["  ", "/nonexistent/program", "no-such-program-xcall"] {
            assert!(Target::command(wrong).is_err(), "{wrong}");
        }
        assert!(is_there("sh") && is_there("/proc/self/exe"));
    }
}
