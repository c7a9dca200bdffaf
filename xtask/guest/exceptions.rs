// SPDX-License-Identifier: GPL-2.0
//! Known numbers of exceptions of user code, for tests of the idt provider: `exceptions WHAT N`.
//!
//! WHAT is one of
//!   faults       N pages of fresh memory, each written to once, without huge pages
//!   int3         N times `int3`, each handled as SIGTRAP
//!   icebp        N times `int1`, each handled as SIGTRAP
//!   steps        N instructions, each stepped by the trap flag and handled as SIGTRAP
//!   divide       N divisions by zero, each handled as SIGFPE
//!   invalid      N times `ud2`, each handled as SIGILL
//!   overflow     N times `int $4`, each handled as SIGSEGV
//!   protection   N times `hlt`, each handled as SIGSEGV
//!   floating     N divisions by zero of SSE, unmasked, each handled as SIGFPE
//!   segv         N reads of an address that has no memory, each handled as SIGSEGV
//!   killed       N times SIGSEGV and SIGFPE, sent by the process itself: no exceptions
//!   debugger     a child with a breakpoint that its parent puts in by ptrace: N hits, each put back,
//!                stepped over and put in again
//!   watch        a watchpoint of ptrace's on a word of a child that writes it N times
//!   perf         a breakpoint of perf's on a word that is written N times
//!   offset       nothing; prints `offset: O`, where in the file the function is that `passes` calls
//!   passes       N calls of that function
//! Prints `WHAT: M` with M the number that the program itself saw; of `faults` also `pages FROM TO`.
//! The pid of whoever raises them is printed first, as `pid P`.

use std::arch::asm;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;

const MMAP: u64 = 9;
const MUNMAP: u64 = 11;
const MADVISE: u64 = 28;
const PTRACE: u64 = 101;
const PERF_EVENT_OPEN: u64 = 298;
const READ: u64 = 0;
const WAIT4: u64 = 61;
const KILL: u64 = 62;
const EXIT_GROUP: u64 = 231;

const PAGE: u64 = 4096;
const TRAP_FLAG: u64 = 1 << 8;

// Of a `ucontext_t`: its general registers, and rip and rflags among them.
const GREGS: usize = 40;
const RIP: usize = 16;
const RFLAGS: usize = 17;

extern "C" {
    fn sigaction(number: i32, action: *const Action, old: *mut Action) -> i32;
    fn fork() -> i32;
}

/// glibc's `struct sigaction`.
#[repr(C)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: i32,
    restorer: usize,
}

const SA_SIGINFO: i32 = 4;

/// How many signals came.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// How many bytes the handler skips.
static SKIP: AtomicU64 = AtomicU64::new(0);
/// How many single steps are wanted.
static STEPS: AtomicU64 = AtomicU64::new(0);
/// What is watched.
static WORD: AtomicUsize = AtomicUsize::new(0);

/// A register of a context.
///
/// # Safety
///
/// `context` is what a handler got.
unsafe fn register(context: *mut u8, number: usize) -> *mut u64 {
    // SAFETY: the caller's promise; registers lie there.
    unsafe { context.add(GREGS).cast::<u64>().add(number) }
}

extern "C" fn handler(_number: i32, _info: *mut u8, context: *mut u8) {
    SEEN.fetch_add(1, Relaxed);
    // SAFETY: this is a handler.
    unsafe { *register(context, RIP) += SKIP.load(Relaxed) };
}

extern "C" fn stepped(_number: i32, _info: *mut u8, context: *mut u8) {
    let seen = SEEN.fetch_add(1, Relaxed) + 1;
    if seen >= STEPS.load(Relaxed) {
        // SAFETY: this is a handler.
        unsafe { *register(context, RFLAGS) &= !TRAP_FLAG };
    }
}

type Handler = extern "C" fn(i32, *mut u8, *mut u8);

fn handle(number: i32, skip: u64, handler: Handler) {
    SKIP.store(skip, Relaxed);
    let action = Action {
        handler: handler as *const () as usize,
        mask: [0; 16],
        flags: SA_SIGINFO,
        restorer: 0,
    };
    // SAFETY: a handler that only touches its context.
    let answer = unsafe { sigaction(number, &action, std::ptr::null_mut()) };
    assert_eq!(answer, 0);
}

/// A system call; what the kernel answers.
///
/// # Safety
///
/// That of the call.
unsafe fn call(number: u64, args: [u64; 6]) -> i64 {
    let answer;
    // SAFETY: the kernel changes rax, rcx and r11; the rest is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") args[0], in("rsi") args[1],
            in("rdx") args[2], in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _);
    }
    answer
}

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let count: u64 = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    match what.as_str() {
        "debugger" => return println!("debugger: {}", debugger(count)),
        "watch" => return println!("watch: {}", watch(count)),
        "offset" => return println!("offset: {:#x}", offset(passed_by as *const () as u64)),
        _ => println!("pid {}", std::process::id()),
    }
    let seen = match what.as_str() {
        "faults" => faults(count),
        "int3" => repeat(SIGTRAP, 0, count, || {
            // SAFETY: handled.
            unsafe { asm!("int3") }
        }),
        "icebp" => repeat(SIGTRAP, 0, count, || {
            // SAFETY: handled.
            unsafe { asm!(".byte 0xf1") }
        }),
        "steps" => steps(count),
        "divide" => repeat(SIGFPE, 2, count, || {
            // SAFETY: handled: `div ecx` is skipped.
            unsafe { asm!("div ecx", inout("eax") 1 => _, inout("edx") 0 => _, in("ecx") 0) }
        }),
        "invalid" => repeat(SIGILL, 2, count, || {
            // SAFETY: handled: skipped.
            unsafe { asm!("ud2") }
        }),
        "overflow" => repeat(SIGSEGV, 0, count, || {
            // SAFETY: handled.
            unsafe { asm!(".byte 0xcd, 0x04") }
        }),
        "protection" => repeat(SIGSEGV, 1, count, || {
            // SAFETY: handled: skipped.
            unsafe { asm!("hlt") }
        }),
        "floating" => floating(count),
        "segv" => repeat(SIGSEGV, 3, count, || {
            // SAFETY: handled: `mov rax, [rcx]` is skipped.
            unsafe { asm!("mov rax, [rcx]", out("rax") _, in("rcx") 8) }
        }),
        "killed" => killed(count),
        "perf" => perf(count),
        "passes" => {
            (0..count).for_each(|_| passed_by());
            count
        }
        _ => panic!("usage: exceptions WHAT N, see the source"),
    };
    println!("{what}: {seen}");
}

/// `one`, `count` times; how often signal `number` came, whose handler skips `skip` bytes.
fn repeat(number: i32, skip: u64, count: u64, one: impl Fn()) -> u64 {
    handle(number, skip, handler);
    for _ in 0..count {
        one();
    }
    SEEN.load(Relaxed)
}

/// Maps fresh memory; where.
fn map(size: u64) -> u64 {
    // Readable, writable; private and nobody's.
    // SAFETY: new memory.
    let at = unsafe { call(MMAP, [0, size, 3, 0x22, u64::MAX, 0]) };
    assert!(at > 0, "mmap: {at}");
    at as u64
}

fn faults(count: u64) -> u64 {
    let size = count * PAGE;
    let at = map(size);
    // MADV_NOHUGEPAGE; EINVAL: there are none.
    // SAFETY: our memory.
    let answer = unsafe { call(MADVISE, [at, size, 15, 0, 0, 0]) };
    assert!(answer == 0 || answer == -22, "madvise: {answer}");
    println!("pages {at:#x} {:#x}", at + size);
    for page in 0..count {
        // SAFETY: our memory.
        unsafe { ((at + page * PAGE) as *mut u8).write_volatile(1) };
    }
    // SAFETY: our memory, not used any more.
    unsafe { call(MUNMAP, [at, size, 0, 0, 0, 0]) };
    count
}

fn steps(count: u64) -> u64 {
    STEPS.store(count, Relaxed);
    handle(SIGTRAP, 0, stepped);
    // The trap flag takes effect behind the instruction after popf: at the loop's first.
    // SAFETY: each trap is handled; the last one ends them.
    unsafe {
        asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "2:", "dec rcx", "jnz 2b", "nop",
            inout("rcx") count => _);
    }
    SEEN.load(Relaxed)
}

fn floating(count: u64) -> u64 {
    // `divss xmm0, xmm1` has four bytes.
    handle(SIGFPE, 4, handler);
    // All exceptions masked but division by zero.
    let (usual, strict) = (0x1f80_u32, 0x1d80_u32);
    for _ in 0..count {
        // SAFETY: handled: the division is skipped. The mask is put back.
        unsafe {
            asm!("ldmxcsr [{strict}]", "divss xmm0, xmm1", "ldmxcsr [{usual}]",
                strict = in(reg) &strict, usual = in(reg) &usual,
                inout("xmm0") 1.0_f32 => _, in("xmm1") 0.0_f32);
        }
    }
    SEEN.load(Relaxed)
}

fn killed(count: u64) -> u64 {
    // One real one of each first: what the kernel noted of it stays.
    let _ = repeat(SIGSEGV, 1, 1, || {
        // SAFETY: handled: skipped.
        unsafe { asm!("hlt") }
    });
    handle(SIGSEGV, 0, handler);
    handle(SIGFPE, 0, handler);
    SEEN.store(0, Relaxed);
    let me = u64::from(std::process::id());
    for _ in 0..count {
        for number in [SIGSEGV, SIGFPE] {
            // SAFETY: handled.
            unsafe { call(KILL, [me, number as u64, 0, 0, 0, 0]) };
        }
    }
    SEEN.load(Relaxed)
}

// ---- debuggers ---------------------------------------------------------------------------------

const TRACEME: u64 = 0;
const PEEKTEXT: u64 = 1;
const POKETEXT: u64 = 4;
const POKEUSER: u64 = 6;
const CONT: u64 = 7;
const SINGLESTEP: u64 = 9;
const GETREGS: u64 = 12;
const SETREGS: u64 = 13;
/// Of `struct user_regs_struct`.
const USER_RIP: usize = 16;
/// Where `struct user` has the debug registers.
const DEBUG_REGISTERS: u64 = 848;

fn ptrace(request: u64, pid: u64, address: u64, data: u64) {
    // SAFETY: what data points to, if anything, is the caller's and large enough.
    let answer = unsafe { call(PTRACE, [request, pid, address, data, 0, 0]) };
    assert!(answer >= 0, "ptrace {request}: {answer}");
}

/// Waits for `pid`; the signal it stopped with, or None: it ended well.
fn stopped(pid: u64) -> Option<i32> {
    let mut status = 0_i32;
    // SAFETY: a word to write.
    let answer = unsafe { call(WAIT4, [pid, (&raw mut status) as u64, 0, 0, 0, 0]) };
    assert_eq!(answer, pid as i64);
    match status & 0xff {
        0x7f => Some(status >> 8),
        0 if status == 0 => None,
        _ => panic!("the child ended with {status:#x}"),
    }
}

#[inline(never)]
extern "C" fn passed_by() {
    // SAFETY: eight bytes to put a breakpoint over.
    unsafe { asm!("nop", "nop", "nop", "nop", "nop", "nop", "nop", "nop") }
}

/// A child that stops, then does `body`, and ends.
fn child(body: impl Fn()) -> u64 {
    // SAFETY: this program has one thread.
    let pid = unsafe { fork() };
    if pid == 0 {
        ptrace(TRACEME, 0, 0, 0);
        // SAFETY: it stops, and goes on when the parent says so.
        let me = u64::from(std::process::id());
        // SAFETY: as above.
        unsafe { call(KILL, [me, 19, 0, 0, 0, 0]) };
        body();
        // SAFETY: the end.
        unsafe { call(EXIT_GROUP, [0; 6]) };
    }
    println!("pid {pid}");
    let pid = pid as u64;
    assert_eq!(stopped(pid), Some(19));
    pid
}

fn debugger(count: u64) -> u64 {
    let pid = child(|| {
        for _ in 0..count {
            passed_by();
        }
    });
    let at = passed_by as *const () as u64;
    let mut word = 0_u64;
    ptrace(PEEKTEXT, pid, at, (&raw mut word) as u64);
    let armed = (word & !0xff) | 0xcc;
    ptrace(POKETEXT, pid, at, armed);
    let mut hits = 0;
    loop {
        ptrace(CONT, pid, 0, 0);
        match stopped(pid) {
            None => return hits,
            Some(signal) => assert_eq!(signal, SIGTRAP),
        }
        hits += 1;
        let mut registers = [0_u64; 27];
        ptrace(GETREGS, pid, 0, registers.as_mut_ptr() as u64);
        assert_eq!(registers[USER_RIP], at + 1);
        registers[USER_RIP] = at;
        ptrace(SETREGS, pid, 0, registers.as_ptr() as u64);
        ptrace(POKETEXT, pid, at, word);
        ptrace(SINGLESTEP, pid, 0, 0);
        assert_eq!(stopped(pid), Some(SIGTRAP));
        ptrace(GETREGS, pid, 0, registers.as_mut_ptr() as u64);
        assert_eq!(registers[USER_RIP], at + 1);
        ptrace(POKETEXT, pid, at, armed);
    }
}

/// Where in this program's file the code at `address` is.
fn offset(address: u64) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("no /proc");
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("no number");
    let found = maps.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (from, to) = words.next()?.split_once('-')?;
        let place = hex(words.nth(1)?);
        let (from, to) = (hex(from), hex(to));
        (from..to)
            .contains(&address)
            .then(|| address - from + place)
    });
    found.expect("mapped")
}

fn watch(count: u64) -> u64 {
    let pid = child(|| {
        for round in 0..count {
            WORD.store(round as usize, Relaxed);
        }
    });
    // Eight bytes, writes, for this task.
    ptrace(POKEUSER, pid, DEBUG_REGISTERS, WORD.as_ptr() as u64);
    ptrace(POKEUSER, pid, DEBUG_REGISTERS + 7 * 8, 1 | (0b1001 << 16));
    let mut hits = 0;
    loop {
        ptrace(CONT, pid, 0, 0);
        match stopped(pid) {
            None => return hits,
            Some(signal) => assert_eq!(signal, SIGTRAP),
        }
        hits += 1;
    }
}

fn perf(count: u64) -> u64 {
    // struct perf_event_attr: type 5 (breakpoint), size 112, a period that is never reached, exclude
    // kernel and hypervisor, bp_type 2 (writes), bp_addr, bp_len 8.
    let mut attributes = [0_u64; 14];
    attributes[0] = 5 | (112 << 32);
    attributes[5] = (1 << 5) | (1 << 6);
    attributes[6] = 2 << 32;
    attributes[7] = WORD.as_ptr() as u64;
    attributes[8] = 8;
    let place = attributes.as_ptr() as u64;
    // SAFETY: the attributes stay; of this task, on any CPU.
    let file = unsafe { call(PERF_EVENT_OPEN, [place, 0, u64::MAX, u64::MAX, 0, 0]) };
    assert!(file >= 0, "perf_event_open: {file}");
    for round in 0..count {
        WORD.store(round as usize, Relaxed);
    }
    let mut seen = 0_u64;
    // SAFETY: eight bytes to write.
    let read = unsafe { call(READ, [file as u64, (&raw mut seen) as u64, 8, 0, 0, 0]) };
    assert_eq!(read, 8);
    seen
}
