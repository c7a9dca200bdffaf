// SPDX-License-Identifier: GPL-2.0
//! Workers: processes that make known calls, each pinned to a CPU.
//!
//! A round is a getppid and an openat of a missing file, now and then a fork whose child executes a
//! program, and a wait for its end, and now and then one exception of each kind. The child stays on its
//! parent's CPU.

use super::board::{memory_file, Shared};
use super::calls::{tag, EXECVE, FIRST_EXCEPTION, FORK, GETPPID, MAGIC, OPENAT, USER, WAIT4};
use super::exceptions::{Raiser, EXCEPTIONS};
use crate::args::WorkerArgs;
use crate::hold;
use anyhow::{bail, ensure, Context, Result};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::process::{Child, Command};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use xcall_stress_protocol::MAX_CPUS;

/// A file that is not there.
const MISSING: &std::ffi::CStr = c"/nonexistent/xcall-stress";

/// How often to look at the board when there is nothing to do.
const LOOK: Duration = Duration::from_millis(1);

/// How long a worker may take to answer: emulated machines are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A getppid with a tag.
fn getppid(tag: u64) {
    // SAFETY: it takes no arguments and touches no memory.
    unsafe { libc::syscall(libc::SYS_getppid, 0, 0, 0, 0, tag, MAGIC) };
}

/// An openat that fails.
fn openat(tag: u64) {
    let (folder, path) = (libc::AT_FDCWD as i64, MISSING.as_ptr());
    let (flags, mode) = (libc::O_RDONLY as i64, 0_i64);
    // SAFETY: the path ends with a zero; a file that was there would be opened and stay open until the
    // end of this process, and no more.
    unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode, tag, MAGIC) };
}

/// Calls of the tracer itself: getppid.
pub fn make_own(count: u64) {
    (0..count).for_each(|sequence| getppid(tag(0, sequence)));
}

/// A program that ends at once, in a file in memory.
struct Program {
    _file: File,
    path: std::ffi::CString,
}

impl Program {
    fn new() -> Result<Self> {
        let mut file = File::from(memory_file(c"stress-program")?);
        file.write_all(&image()).context("writing a program")?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = std::ffi::CString::new(path)?;
        Ok(Self { _file: file, path })
    }
}

/// An ELF file: one segment that is the file, and `exit_group(0)`.
fn image() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 2 * 56;
    const CODE: [u8; 9] = [0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05];
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(16, 0);
    // ET_EXEC, EM_X86_64, version.
    for half in [2_u16, 62, 1, 0] {
        image.extend(half.to_le_bytes());
    }
    for word in [BASE + HEADERS, 64, 0] {
        image.extend(word.to_le_bytes());
    }
    // No flags, then sizes and numbers of headers.
    for half in [0_u16, 0, 64, 56, 2, 0, 0, 0] {
        image.extend(half.to_le_bytes());
    }
    let size = HEADERS + CODE.len() as u64;
    let mut segment = |kind: u32, flags: u32, words: [u64; 6]| {
        image.extend(kind.to_le_bytes());
        image.extend(flags.to_le_bytes());
        image.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    // PT_LOAD to read and execute; PT_GNU_STACK: a stack that cannot be executed.
    segment(1, 5, [0, BASE, BASE, size, size, 0x1000]);
    segment(0x6474_e551, 6, [0; 6]);
    image.extend(CODE);
    image
}

/// The calls of one worker.
struct Calls<'b> {
    cpu: u32,
    board: &'b Shared,
    program: Program,
    raiser: Option<Raiser>,
}

impl Calls<'_> {
    fn one(&self, call: usize, make: impl FnOnce(u64)) {
        make(tag(self.cpu, self.board.begin(call)));
        self.board.end(call);
    }

    /// A fork, an execve in the child, and a wait for its end.
    fn child(&self) -> Result<()> {
        let board = self.board;
        let exec_tag = tag(self.cpu, board.begin(EXECVE));
        let path = self.program.path.as_ptr();
        let words = [path, std::ptr::null()];
        let none = [std::ptr::null::<libc::c_char>()];
        let fork_tag = tag(self.cpu, board.begin(FORK));
        // SAFETY: this process has one thread. The child makes two calls, and has all they need.
        let child = unsafe { libc::syscall(libc::SYS_fork, 0, 0, 0, 0, fork_tag, MAGIC) };
        if child == 0 {
            let (words, none) = (words.as_ptr(), none.as_ptr());
            // SAFETY: strings and lists of them that end with a zero.
            unsafe {
                libc::syscall(libc::SYS_execve, path, words, none, 0, exec_tag, MAGIC);
                libc::syscall(libc::SYS_exit_group, 127);
            }
        }
        ensure!(child > 0, "fork: {}", io::Error::last_os_error());
        board.end(FORK);
        let mut status = 0_i32;
        let wait_tag = tag(self.cpu, board.begin(WAIT4));
        let (place, no_usage) = (&raw mut status, std::ptr::null::<u8>());
        // SAFETY: room for a status.
        let ended =
            unsafe { libc::syscall(libc::SYS_wait4, child, place, 0, no_usage, wait_tag, MAGIC) };
        board.end(WAIT4);
        ensure!(ended == child, "wait4: {}", io::Error::last_os_error());
        ensure!(status == 0, "the child's status is {status:#x}");
        board.end(EXECVE);
        Ok(())
    }

    /// One exception of each kind.
    fn exceptions(&self) -> Result<()> {
        let raiser = self.raiser.as_ref().context("not asked for")?;
        for (exception, call) in EXCEPTIONS.iter().zip(FIRST_EXCEPTION..) {
            let tag = tag(self.cpu, self.board.begin(call));
            raiser.raise(exception, tag)?;
            self.board.end(call);
        }
        Ok(())
    }

    fn round(&self) {
        self.one(GETPPID, getppid);
        self.one(OPENAT, openat);
    }
}

/// Is a worker: `stress probes-worker`.
pub fn work(args: &WorkerArgs) -> Result<bool> {
    die_with_parent()?;
    let board = Shared::inherited(args.board)?;
    let holder = args.holds.then(hold::Device::open).transpose()?;
    // The kernel may refuse a stack pointer that is no address.
    ensure!(
        args.exceptions_every == 0 || args.cpu < 128,
        "exceptions are numbered on the first 128 CPUs alone: --cpus, or --exceptions-every 0"
    );
    let calls = Calls {
        cpu: args.cpu,
        board: &board,
        program: Program::new()?,
        raiser: match args.exceptions_every {
            0 => None,
            _ => Some(Raiser::new()?),
        },
    };
    pin(Some(args.cpu))?;
    be_nobody()?;
    board.ready.store(1, SeqCst);
    let mut made = 0_u64;
    while board.end.load(SeqCst) == 0 {
        if board.away.load(SeqCst) != 0 {
            pin(None)?;
            board.is_away.store(1, SeqCst);
            while board.away.load(SeqCst) != 0 && board.end.load(SeqCst) == 0 {
                board.wants(made);
                std::thread::sleep(LOOK);
            }
            pin(Some(args.cpu))?;
            board.is_away.store(0, SeqCst);
            continue;
        }
        let hold_ms = board.hold_ms.load(SeqCst);
        if let (Some(device), 1..) = (&holder, hold_ms) {
            device.hold(hold_ms as u32)?;
            board.hold_ms.store(0, SeqCst);
        }
        if !board.wants(made) {
            std::thread::sleep(LOOK);
            continue;
        }
        calls.round();
        let is_due = |every: u64| every != 0 && made % every == 0;
        if is_due(args.fork_every) {
            calls.child()?;
        }
        if is_due(args.exceptions_every) {
            calls.exceptions()?;
        }
        made += 1;
        board.made.store(made, SeqCst);
    }
    Ok(true)
}

/// Puts this thread anywhere but on `cpu`.
pub fn pin_elsewhere(cpu: u32) -> Result<()> {
    let mut set = [u64::MAX; MAX_CPUS / 64];
    let word = set.get_mut(cpu as usize / 64).context("no such CPU")?;
    *word &= !(1 << (cpu % 64));
    set_affinity(&set)
}

/// To a CPU, or to none.
pub fn pin(cpu: Option<u32>) -> Result<()> {
    let mut set = [0_u64; MAX_CPUS / 64];
    match cpu {
        Some(cpu) => {
            let word = set.get_mut(cpu as usize / 64).context("no such CPU")?;
            *word = 1 << (cpu % 64);
        }
        None => set.fill(u64::MAX),
    }
    set_affinity(&set)
}

fn set_affinity(set: &[u64; MAX_CPUS / 64]) -> Result<()> {
    // SAFETY: a set of so many bytes; 0 is this thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(set), set.as_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("pinning"),
    }
}

fn die_with_parent() -> Result<()> {
    // SAFETY: integers only.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("dying with the tool"),
    }
}

/// Becomes the workers' user. Who is not root has no probes that ask for it.
fn be_nobody() -> Result<()> {
    // SAFETY: integers only.
    let done = unsafe { libc::geteuid() != 0 || libc::setuid(USER) == 0 };
    if !done {
        return Err(io::Error::last_os_error()).context("becoming the workers' user");
    }
    // A change of user forgets it.
    die_with_parent()
}

/// How workers are to be.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// One round in so many has a fork; 0: none.
    pub fork_every: u64,
    /// One round in so many has exceptions; 0: none.
    pub exceptions_every: u64,
    /// It can keep its CPU.
    pub holds: bool,
}

/// A worker, as its parent has it.
pub struct Worker {
    pub cpu: u32,
    pub board: Shared,
    child: std::sync::Mutex<Child>,
}

impl Worker {
    /// One for each CPU, ready to go.
    pub fn all(cpus: impl Iterator<Item = u32>, manner: Manner) -> Result<Vec<Self>> {
        let workers: Result<Vec<Self>> = cpus.map(|cpu| Self::start(cpu, manner)).collect();
        let workers = workers?;
        for worker in &workers {
            worker.wait("be ready", || worker.board.ready.load(SeqCst) != 0)?;
        }
        Ok(workers)
    }

    fn start(cpu: u32, manner: Manner) -> Result<Self> {
        let this = std::env::current_exe().context("this program's own path")?;
        let board = Shared::new()?;
        let number: RawFd = board.number();
        let mut command = Command::new(this);
        command.args(["probes-worker", "--cpu", &cpu.to_string()]);
        command.args(["--board", &number.to_string()]);
        command.args(["--fork-every", &manner.fork_every.to_string()]);
        command.args(["--exceptions-every", &manner.exceptions_every.to_string()]);
        if manner.holds {
            command.arg("--holds");
        }
        let child = command.spawn().context("starting a worker")?;
        let child = std::sync::Mutex::new(child);
        Ok(Self { cpu, board, child })
    }

    /// Whether it has died.
    fn check(&self) -> Result<()> {
        let mut child = self.child.lock().expect("nobody panics with it");
        match child.try_wait().context("a worker")? {
            Some(status) => bail!("the worker of CPU {} has ended: {status}", self.cpu),
            None => Ok(()),
        }
    }

    /// Waits until it has done what it was asked.
    pub fn wait(&self, what: &str, is_done: impl FnMut() -> bool) -> Result<()> {
        self.until(what, is_done, || std::thread::sleep(LOOK))
    }

    /// [`wait`](Self::wait), without a sleep.
    pub fn watch(&self, what: &str, is_done: impl FnMut() -> bool) -> Result<()> {
        self.until(what, is_done, std::thread::yield_now)
    }

    fn until(&self, what: &str, mut is_done: impl FnMut() -> bool, rest: fn()) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is_done() {
            self.check()?;
            let cpu = self.cpu;
            ensure!(
                Instant::now() < end,
                "the worker of CPU {cpu} does not {what}"
            );
            rest();
        }
        Ok(())
    }

    /// Lets it make so many rounds more; None: without end.
    pub fn go(&self, rounds: Option<u64>) {
        let made = self.board.made.load(SeqCst);
        let goal = rounds.map_or(u64::MAX, |rounds| made.saturating_add(rounds));
        self.board.order(goal);
    }

    /// Whether it made them.
    pub fn is_over(&self) -> Result<bool> {
        self.check()?;
        Ok(self.board.is_done())
    }

    /// No further rounds. Returns when it is in none.
    pub fn halt(&self) -> Result<()> {
        self.board.order(0);
        self.wait("halt", || self.board.is_done())
    }

    /// It leaves its CPU. Returns when it has, between two rounds.
    pub fn leave(&self) -> Result<()> {
        self.board.away.store(1, SeqCst);
        self.wait("leave", || self.board.is_away.load(SeqCst) != 0)
    }

    /// It comes back to its CPU.
    pub fn come_back(&self) -> Result<()> {
        self.board.away.store(0, SeqCst);
        self.wait("come back", || self.board.is_away.load(SeqCst) == 0)
    }

    /// Ends it.
    pub fn end(self) -> Result<()> {
        self.board.end.store(1, SeqCst);
        let status = {
            let mut child = self.child.lock().expect("nobody panics with it");
            child.wait().context("a worker's end")?
        };
        ensure!(status.success(), "the worker of CPU {}: {status}", self.cpu);
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // In an error's way: it would go on for ever.
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_harmless_and_counted() {
        let board = Shared::new().unwrap();
        let calls = Calls {
            cpu: 0,
            board: &board,
            program: Program::new().unwrap(),
            raiser: None,
        };
        calls.round();
        calls.round();
        assert_eq!(board.begun(), board.ended());
        assert_eq!(board.begun()[..3], [2, 2, 0]);
        make_own(2);
    }

    #[test]
    fn the_program_ends_at_once() {
        let program = Program::new().unwrap();
        let path = program.path.to_str().unwrap();
        assert!(Command::new(path).status().unwrap().success());
    }
}
