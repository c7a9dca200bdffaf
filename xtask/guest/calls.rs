// SPDX-License-Identifier: GPL-2.0
//! Known numbers of known system calls, for tests of the syscall provider: `calls WHAT N`.
//!
//! WHAT is one of
//!   getppid   N calls on each CPU, by a thread that stays there
//!   missing   N times openat of a file that does not exist, likewise
//!   fork      N processes, one after the other, that end at once
//!   denied    N getppid of a process whose filter (seccomp) refuses them with EPERM
//!   ia32      N getppid by `int $0x80`, in ia32 number 64
//!   exec      N times: a process that executes /bin/true
//!   sigreturn N signals to the own process, which returns from each
//!   cost      N getppid, each timed: prints `cost: T`, the fewest ticks of the TSC that one took
//! Prints else `WHAT: M calls on K CPUs`, with M the number of calls that were made.

use std::arch::asm;
use std::process::Command;
use std::thread;

const GETPPID: u64 = 110;
const OPENAT: u64 = 257;
const EXIT_GROUP: u64 = 231;
const WAIT4: u64 = 61;
const SCHED_SETAFFINITY: u64 = 203;
const PRCTL: u64 = 157;
const KILL: u64 = 62;
const GETPID: u64 = 39;
const AT_FDCWD: u64 = -100_i64 as u64;

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn fork() -> i32;
}

/// A system call; what the kernel answers.
///
/// # Safety
///
/// That of the call.
unsafe fn call(number: u64, args: [u64; 4]) -> i64 {
    let answer;
    // SAFETY: the kernel changes rax, rcx and r11; the rest is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") args[0], in("rsi") args[1],
            in("rdx") args[2], in("r10") args[3], in("r8") 0, in("r9") 0, lateout("rcx") _, lateout("r11") _);
    }
    answer
}

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let count: u64 = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (made, cpus) = match what.as_str() {
        "getppid" => everywhere(count, || {
            // SAFETY: it touches nothing.
            let answer = unsafe { call(GETPPID, [0; 4]) };
            assert!(answer > 0);
        }),
        "missing" => everywhere(count, || {
            let path = c"/no/such/file".as_ptr() as u64;
            // SAFETY: a string that stays.
            let answer = unsafe { call(OPENAT, [AT_FDCWD, path, 0, 0]) };
            assert_eq!(answer, -2);
        }),
        "fork" => here(count, child_that_ends),
        "denied" => denied(count),
        "cost" => return println!("cost: {}", cost(count)),
        "ia32" => here(count, || {
            let answer: u64;
            // SAFETY: number 64 is getppid, which touches nothing.
            unsafe {
                asm!("int 0x80", inlateout("rax") 64_u64 => answer, lateout("r8") _,
                    lateout("r9") _, lateout("r10") _, lateout("r11") _);
            }
            assert!(answer > 0);
        }),
        "exec" => here(count, || {
            let status = Command::new("/bin/true").status().expect("no /bin/true");
            assert!(status.success());
        }),
        "sigreturn" => {
            // SAFETY: the handler does nothing.
            unsafe { signal(10, ignore) };
            // SAFETY: it touches nothing.
            let me = unsafe { call(GETPID, [0; 4]) } as u64;
            here(count, || {
                // SAFETY: a signal that is handled.
                let answer = unsafe { call(KILL, [me, 10, 0, 0]) };
                assert_eq!(answer, 0);
            })
        }
        _ => panic!("usage: calls getppid|missing|fork|denied|ia32|exec|sigreturn|cost N"),
    };
    println!("{what}: {made} calls on {cpus} CPUs");
}

extern "C" fn ignore(_: i32) {}

/// `one`, `count` times.
fn here(count: u64, one: impl Fn()) -> (u64, u64) {
    for _ in 0..count {
        one();
    }
    (count, 1)
}

/// `one`, `count` times on each CPU that is online.
fn everywhere(count: u64, one: impl Fn() + Sync) -> (u64, u64) {
    let cpus = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    thread::scope(|scope| {
        for cpu in 0..cpus {
            let one = &one;
            scope.spawn(move || {
                let mask = 1_u64 << cpu;
                let place = (&raw const mask) as u64;
                // SAFETY: eight bytes that stay meanwhile.
                let answer = unsafe { call(SCHED_SETAFFINITY, [0, 8, place, 0]) };
                assert_eq!(answer, 0, "CPU {cpu}");
                here(count, one);
            });
        }
    });
    (count * cpus, cpus)
}

/// What a getppid costs.
fn cost(count: u64) -> u64 {
    let ticks = || {
        let before = now();
        // SAFETY: it touches nothing.
        unsafe { call(GETPPID, [0; 4]) };
        now() - before
    };
    (0..count).map(|_| ticks()).min().unwrap_or(0)
}

fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// A fork whose child ends at once.
fn child_that_ends() {
    // SAFETY: the child makes one call and is no more.
    let child = unsafe { fork() };
    if child == 0 {
        // SAFETY: it ends.
        unsafe { call(EXIT_GROUP, [0; 4]) };
    }
    // SAFETY: no addresses.
    let waited = unsafe { call(WAIT4, [child as u64, 0, 0, 0]) };
    assert_eq!(waited, child as i64);
}

/// A filter that answers getppid with EPERM (include/uapi/linux/seccomp.h, bpf_common.h).
fn denied(count: u64) -> (u64, u64) {
    const fn op(code: u16, yes: u8, no: u8, value: u32) -> u64 {
        code as u64 | (yes as u64) << 16 | (no as u64) << 24 | (value as u64) << 32
    }
    let program = [
        op(0x20, 0, 0, 0),               // the number
        op(0x15, 0, 1, GETPPID as u32),  // getppid?
        op(0x06, 0, 0, 0x0005_0000 | 1), // EPERM
        op(0x06, 0, 0, 0x7fff_0000),     // as ever
    ];
    #[repr(C)]
    struct Filter {
        length: u16,
        program: *const u64,
    }
    let filter = Filter {
        length: 4,
        program: program.as_ptr(),
    };
    // SAFETY: PR_SET_NO_NEW_PRIVS.
    let answer = unsafe { call(PRCTL, [38, 1, 0, 0]) };
    assert_eq!(answer, 0);
    // SAFETY: PR_SET_SECCOMP, a filter: it is copied.
    let answer = unsafe { call(PRCTL, [22, 2, (&raw const filter) as u64, 0]) };
    assert_eq!(answer, 0);
    here(count, || {
        // SAFETY: it touches nothing.
        let answer = unsafe { call(GETPPID, [0; 4]) };
        assert_eq!(answer, -1);
    })
}
