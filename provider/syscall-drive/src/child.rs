// SPDX-License-Identifier: GPL-2.0
//! Processes that make a few calls and no others.

use crate::low::{Low, ANSWERS};
use crate::machine::native;
use anyhow::{bail, ensure, Context, Result};
use std::time::{Duration, Instant};

/// The longest that a child may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By exit, with so many.
    Exited(i32),
    /// By a signal.
    Killed(i32),
}

/// A process of ours.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub pid: i32,
}

impl Child {
    /// A process on that CPU that does `body` and ends by `exit_group(0)`.
    ///
    /// `body` must make no call but those that are to be seen: it uses nothing of the standard library that
    /// does, and does not panic.
    pub fn new(cpu: usize, low: &Low, body: impl FnOnce(&Low)) -> Result<Self> {
        stay_on(cpu)?;
        (0..ANSWERS).for_each(|place| low.answer(place, 0));
        // SAFETY: this program has one thread, so the child finds its memory whole.
        let pid = unsafe { native(libc::SYS_clone as u64, &[libc::SIGCHLD as u64]) };
        if pid == 0 {
            body(low);
            // SAFETY: it ends.
            unsafe { native(libc::SYS_exit_group as u64, &[0]) };
        }
        ensure!(pid > 0, "no process: {pid}");
        Ok(Self {
            pid: i32::try_from(pid)?,
        })
    }

    /// Waits until a wait status says something.
    fn status(&self, options: i32) -> Result<i32> {
        let begun = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: an integer of ours.
            match unsafe { libc::waitpid(self.pid, &raw mut status, options | libc::WNOHANG) } {
                0 => {}
                pid if pid == self.pid => return Ok(status),
                _ => bail!(
                    "waiting for {}: {}",
                    self.pid,
                    std::io::Error::last_os_error()
                ),
            }
            if begun.elapsed() > PATIENCE {
                self.kill();
                bail!("process {} does not end", self.pid);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Waits for its end.
    pub fn end(&self) -> Result<Ended> {
        let status = self.status(0)?;
        Ok(match libc::WIFSIGNALED(status) {
            true => Ended::Killed(libc::WTERMSIG(status)),
            false => Ended::Exited(libc::WEXITSTATUS(status)),
        })
    }

    /// Waits until it is stopped, as a traced process is. By which signal.
    pub fn stop(&self) -> Result<i32> {
        let status = self.status(libc::WUNTRACED)?;
        ensure!(
            libc::WIFSTOPPED(status),
            "process {} ended: {status:#x}",
            self.pid
        );
        Ok(libc::WSTOPSIG(status))
    }

    /// Waits until it sleeps.
    pub fn sleep(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
            let state = stat.rsplit_once(") ").context("no state")?.1;
            if state.starts_with('S') {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "process {} does not wait",
                self.pid
            );
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Kills it.
    pub fn kill(&self) {
        // SAFETY: a child of ours that was not waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// A request of ptrace(2) about it.
    pub fn trace(&self, request: u32, address: u64, data: u64) -> Result<()> {
        // SAFETY: requests that take numbers only.
        let answer = unsafe { libc::ptrace(request, self.pid, address, data) };
        ensure!(
            answer == 0,
            "ptrace request {request}: {}",
            std::io::Error::last_os_error()
        );
        Ok(())
    }
}

/// This process, and those it makes, stay on a CPU.
fn stay_on(cpu: usize) -> Result<()> {
    // SAFETY: all zeros is an empty set; CPU_SET checks its index.
    let answer = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    ensure!(
        answer == 0,
        "CPU {cpu}: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Children of children that are left become ours, to be waited for by [`reap`].
pub fn adopt() -> Result<()> {
    // SAFETY: numbers only.
    let answer = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    ensure!(
        answer == 0,
        "PR_SET_CHILD_SUBREAPER: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Faults kill, in children too: Rust's handler of them makes calls of its own.
pub fn faults_kill() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: no handler of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Waits for all children there are.
pub fn reap() {
    // SAFETY: no address.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
}
