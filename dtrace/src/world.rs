// SPDX-License-Identifier: GPL-2.0
//! The real time, Ctrl-C, and the process that is traced.

use crate::args::Args;
use anyhow::{Context, Result};
use dtrace::run::{End, World};
use dtrace::target::Target;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an end may stay unseen.
const SLICE: Duration = Duration::from_millis(50);

/// Time, Ctrl-C and the process that is traced.
pub struct Real {
    begun: Instant,
    /// Set by a signal; pairs with nothing: no data goes with it.
    stop: Arc<AtomicBool>,
    target: Option<Target>,
}

impl Real {
    /// Starts the command of `-c`, held, or finds the process of `-p`.
    pub fn new(args: &Args) -> Result<Self> {
        let target = match (&args.command, args.process) {
            (Some(command), _) => Some(Target::command(command)?),
            (None, Some(pid)) => Some(Target::process(pid)?),
            (None, None) => None,
        };
        Ok(Self {
            begun: Instant::now(),
            stop: on_interrupt()?,
            target,
        })
    }

    /// The process that is traced.
    pub fn target_pid(&self) -> Option<u32> {
        self.target.as_ref().map(Target::pid)
    }
}

/// Becomes true at the first Ctrl-C or SIGTERM; the second one ends the program at once. A hang-up that
/// is ignored (nohup) stays so.
fn on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        if signal == libc::SIGHUP && is_ignored(signal, &status) {
            continue;
        }
        signal_hook::flag::register_conditional_default(signal, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .context("a handler for Ctrl-C")?;
    }
    Ok(stop)
}

/// Whether a process with that status ignores a signal.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (signal - 1)) & 1 != 0)
}

impl World for Real {
    fn begin(&mut self) -> Result<()> {
        self.target.as_ref().map_or(Ok(()), Target::release)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn wait(&mut self, until: Duration) -> Option<End> {
        loop {
            if self.stop.load(Relaxed) {
                return Some(End::Interrupted);
            }
            if let Some(how) = self.target.as_mut().and_then(Target::over) {
                return Some(End::Over(how));
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals() {
        let status = "Name:\tdtrace\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n";
        assert!(is_ignored(libc::SIGHUP, status));
        assert!(!is_ignored(libc::SIGINT, status));
        assert!(!is_ignored(libc::SIGHUP, ""));
    }
}
