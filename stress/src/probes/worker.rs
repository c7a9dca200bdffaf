// SPDX-License-Identifier: GPL-2.0
//! Workers: processes that make known calls, pinned to a CPU.
//!
//! A worker says `ready`, waits for a byte on its standard input, makes its calls, and says how many.
//! One without a number goes on until its standard input ends.

use crate::args::WorkerArgs;
use anyhow::{ensure, Context, Result};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

/// The calls, in the order in which each round makes them.
pub const CALLS: [&str; 2] = ["getppid", "openat"];

/// What a worker's calls have for their last argument.
pub const MAGIC: u64 = 0x7863_616c_6c2d_7072;

/// Bits of a tag that are the sequence number.
const SEQUENCE_BITS: u32 = 40;

/// A file that is not there.
const MISSING: &std::ffi::CStr = c"/nonexistent/xcall-stress";

/// A worker's sequence number with the worker.
pub fn tag(worker: u32, sequence: u64) -> u64 {
    (u64::from(worker) << SEQUENCE_BITS) | (sequence & ((1 << SEQUENCE_BITS) - 1))
}

/// The worker and its sequence number.
pub fn untag(tag: u64) -> (u32, u64) {
    (
        (tag >> SEQUENCE_BITS) as u32,
        tag & ((1 << SEQUENCE_BITS) - 1),
    )
}

/// A call whose last two arguments the kernel does not look at.
fn call(number: usize, tag: u64) {
    match number {
        0 => {
            // SAFETY: getppid takes no arguments and touches no memory.
            unsafe { libc::syscall(libc::SYS_getppid, 0, 0, 0, 0, tag, MAGIC) };
        }
        _ => {
            let (folder, path) = (libc::AT_FDCWD as i64, MISSING.as_ptr());
            let (flags, mode) = (libc::O_RDONLY as i64, 0_i64);
            // SAFETY: the path ends with a zero; a file that was there would be opened and stay open
            // until the end of this process, and no more.
            unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode, tag, MAGIC) };
        }
    }
}

/// Calls of the tracer itself: of the first kind.
pub fn make_own(count: u64) {
    (0..count).for_each(|sequence| call(0, tag(0, sequence)));
}

/// Is a worker: `stress probes-worker`.
pub fn work(args: &WorkerArgs) -> Result<bool> {
    pin(args.cpu).with_context(|| format!("pinning to CPU {}", args.cpu))?;
    println!("ready");
    let mut byte = [0];
    io::stdin().read_exact(&mut byte).context("waiting to go")?;
    // Set when the input ends; no data goes with it.
    let over = Arc::new(AtomicBool::new(false));
    if args.calls.is_none() {
        let over = over.clone();
        std::thread::spawn(move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            over.store(true, Relaxed);
        });
    }
    let mut made = 0;
    while args.calls.map_or(!over.load(Relaxed), |calls| made < calls) {
        (0..CALLS.len()).for_each(|number| call(number, tag(args.cpu, made)));
        made += 1;
    }
    println!("{}", made * CALLS.len() as u64);
    Ok(true)
}

fn pin(cpu: u32) -> Result<()> {
    // SAFETY: integers: all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    ensure!(cpu < libc::CPU_SETSIZE as u32, "no such CPU");
    // SAFETY: the number is below the set's size.
    unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    // SAFETY: the set is of the size given; 0 is this thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().into()),
    }
}

/// A worker, as its parent has it.
pub struct Worker {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Worker {
    /// One for each CPU, ready to go.
    pub fn all(cpus: impl Iterator<Item = u32>, calls: Option<u64>) -> Result<Vec<Self>> {
        cpus.map(|cpu| Self::start(cpu, calls)).collect()
    }

    fn start(cpu: u32, calls: Option<u64>) -> Result<Self> {
        let this = std::env::current_exe().context("this program's own path")?;
        let mut command = Command::new(this);
        command.args(["probes-worker", "--cpu", &cpu.to_string()]);
        if let Some(calls) = calls {
            command.args(["--calls", &calls.to_string()]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting a worker")?;
        let says = child.stdout.take().context("a worker's output")?;
        let says = BufReader::new(says);
        let mut worker = Self { child, says };
        let said = worker.line()?;
        ensure!(said == "ready", "the worker on CPU {cpu} says `{said}`");
        Ok(worker)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line).context("a worker's words")?;
        Ok(line.trim().to_owned())
    }

    /// Lets it go.
    pub fn go(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("a worker's input")?;
        input.write_all(b"!").context("letting a worker go")
    }

    /// Whether it is over.
    pub fn is_over(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("a worker's end")?.is_some())
    }

    /// Ends it. Returns how many calls it made.
    pub fn end(mut self) -> Result<u64> {
        drop(self.child.stdin.take());
        let said = self.line()?;
        let status = self.child.wait().context("a worker's end")?;
        ensure!(status.success(), "a worker failed: {status}");
        said.parse()
            .with_context(|| format!("a worker says `{said}`"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // In an error's way: it would go on for ever.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        for (worker, sequence) in [(0, 0), (4095, 7), (1, (1 << SEQUENCE_BITS) - 1)] {
            assert_eq!(untag(tag(worker, sequence)), (worker, sequence));
        }
    }

    #[test]
    fn calls_are_harmless() {
        (0..CALLS.len()).for_each(|number| call(number, tag(1, 1)));
        make_own(2);
    }
}
