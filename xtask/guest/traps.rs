// SPDX-License-Identifier: GPL-2.0
//! Known numbers of exceptions in user space, for tests of gates: `traps WHAT N`.
//!
//! WHAT is one of
//!   int3, overflow       N instructions that raise it, on each CPU, by a thread that stays there
//!   divide_error, invalid_op, general_protection
//!                        the same; the handler of the signal goes on behind the instruction
//!   page_fault           N fresh pages, of 4 KiB each, touched on each CPU
//! Prints `WHAT: M on K CPUs`, with M the number that was raised. For each but page_fault, a signal came for
//! every one, or it fails.

use std::arch::asm;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;
const SA_SIGINFO: i32 = 4;
const PROT_READ_WRITE: i32 = 3;
const MAP_PRIVATE_ANONYMOUS: i32 = 0x22;
const MADV_NOHUGEPAGE: i32 = 15;
const PAGE: usize = 4096;
/// Where ucontext_t has the instruction pointer: arch/x86/include/uapi/asm/ucontext.h, sigcontext.h.
const UCONTEXT_RIP: usize = 168;

/// glibc's.
#[repr(C)]
struct SigAction {
    handler: extern "C" fn(i32, *const u8, *mut u8),
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

extern "C" {
    fn sigaction(number: i32, new: *const SigAction, old: *mut SigAction) -> i32;
    fn sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
    fn mmap(at: *mut u8, size: usize, prot: i32, flags: i32, fd: i32, offset: i64) -> *mut u8;
    fn madvise(at: *mut u8, size: usize, advice: i32) -> i32;
    fn munmap(at: *mut u8, size: usize) -> i32;
}

/// Signals that came.
static CAME: AtomicU64 = AtomicU64::new(0);
/// Bytes of the instruction, where the processor leaves its address.
static SKIP: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: i32, _: *const u8, context: *mut u8) {
    CAME.fetch_add(1, Relaxed);
    // SAFETY: the kernel's ucontext_t.
    unsafe { *context.add(UCONTEXT_RIP).cast::<u64>() += SKIP.load(Relaxed) };
}

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let count: u64 = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (signal, skip, one): (i32, u64, fn()) = match what.as_str() {
        // SAFETY: a trap; the handler takes it.
        "int3" => (SIGTRAP, 0, || unsafe { asm!("int3") }),
        // SAFETY: as above.
        "overflow" => (SIGSEGV, 0, || unsafe { asm!("int 4") }),
        // SAFETY: a fault; the handler goes on behind the instruction, here and below.
        "invalid_op" => (SIGILL, 2, || unsafe { asm!("ud2") }),
        // SAFETY: as above; the registers that it might change are named.
        "divide_error" => (SIGFPE, 2, || unsafe {
            asm!("div {zero:e}", zero = in(reg) 0, inlateout("eax") 1 => _, inlateout("edx") 0 => _);
        }),
        // SAFETY: as above: no address, so nothing is read.
        "general_protection" => (SIGSEGV, 3, || unsafe {
            asm!("mov rax, [rax]", inlateout("rax") 1_u64 << 63 => _);
        }),
        "page_fault" => {
            let cpus = everywhere(|| touch(count as usize));
            return println!("{what}: {} on {cpus} CPUs", count * cpus);
        }
        _ => panic!(
            "usage: traps int3|overflow|invalid_op|divide_error|general_protection|page_fault N"
        ),
    };
    SKIP.store(skip, Relaxed);
    let action = SigAction {
        handler,
        mask: [0; 16],
        flags: SA_SIGINFO,
        restorer: 0,
    };
    // SAFETY: a handler that touches its context and atomics.
    let answer = unsafe { sigaction(signal, &action, std::ptr::null_mut()) };
    assert_eq!(answer, 0, "sigaction");
    let cpus = everywhere(|| (0..count).for_each(|_| one()));
    assert_eq!(CAME.load(Relaxed), count * cpus, "signals");
    println!("{what}: {} on {cpus} CPUs", count * cpus);
}

/// Touches so many fresh pages.
fn touch(pages: usize) {
    let size = pages * PAGE;
    // SAFETY: fresh memory, which is touched within and given back.
    unsafe {
        let at = mmap(
            std::ptr::null_mut(),
            size,
            PROT_READ_WRITE,
            MAP_PRIVATE_ANONYMOUS,
            -1,
            0,
        );
        assert!(at as isize != -1, "mmap");
        // A kernel without huge pages has none to refuse.
        madvise(at, size, MADV_NOHUGEPAGE);
        for page in 0..pages {
            at.add(page * PAGE).write_volatile(1);
        }
        assert_eq!(munmap(at, size), 0, "munmap");
    }
}

/// `run` on each CPU that is online; how many those are.
fn everywhere(run: impl Fn() + Sync) -> u64 {
    let cpus = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    thread::scope(|scope| {
        for cpu in 0..cpus {
            let run = &run;
            scope.spawn(move || {
                let mask = 1_u64 << cpu;
                // SAFETY: eight bytes that stay meanwhile.
                let answer = unsafe { sched_setaffinity(0, 8, &mask) };
                assert_eq!(answer, 0, "CPU {cpu}");
                run();
            });
        }
    });
    cpus
}
