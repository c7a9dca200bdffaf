// SPDX-License-Identifier: GPL-2.0
//! Known numbers of exceptions of user code, for tests of the idt provider: `exceptions WHAT N`.
//!
//! WHAT is one of
//!   faults       N pages of fresh memory, each written to once, without huge pages
//!   reads        the same, written to by the kernel, which reads /dev/zero into them
//!   int3         N times `int3`, each handled as SIGTRAP; likewise
//!   icebp        `int1`: SIGTRAP
//!   divide       a division by zero: SIGFPE
//!   invalid      `ud2`: SIGILL
//!   overflow     `int $4`: SIGSEGV
//!   protection   `hlt`: SIGSEGV
//!   selector     a segment register loaded with a selector of nothing: SIGSEGV
//!   absent       one loaded with a segment that is not present: SIGBUS
//!   stack        ss loaded with it: SIGBUS
//!   floating     a division by zero of the x87, unmasked: SIGFPE
//!   simd         one of SSE, unmasked: SIGFPE (QEMU's emulation raises none)
//!   segv         a read of address 8: SIGSEGV
//!   steps        N instructions, each stepped by the trap flag and handled as SIGTRAP
//!   mixed        all of the above
//!   killed       N times SIGSEGV and SIGFPE, sent by the process itself, and N times a SIGSEGV that it
//!                says is the kernel's: no exceptions
//!   debugger     a child with a breakpoint that its parent puts in by ptrace: N hits, each put back,
//!                stepped over and put in again
//!   watch        a watchpoint of ptrace's on a word of a child that writes it N times
//!   perf         a breakpoint of perf's on a word that is written N times
//!   offset       nothing; prints `offset: O`, where in the file the function is that `passes` calls
//!   passes       N calls of that function
//! Prints `pid P` first, of whoever raises them, and for each `WHAT: M` with M the number that the
//! program itself saw, `WHAT at IP` with the address that the exception comes with (of steps
//! `FROM..TO`), and `WHAT in FROM..TO` with the pages of `faults` and `reads`. Fails if M is not N.

mod syscall;

use std::arch::{asm, global_asm};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use syscall::call;

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGSEGV: i32 = 11;

const MMAP: u64 = 9;
const MUNMAP: u64 = 11;
const MADVISE: u64 = 28;
const PTRACE: u64 = 101;
const PERF_EVENT_OPEN: u64 = 298;
const READ: u64 = 0;
const OPEN: u64 = 2;
const CLOSE: u64 = 3;
const MODIFY_LDT: u64 = 154;
const WAIT4: u64 = 61;
const KILL: u64 = 62;
const RT_SIGQUEUEINFO: u64 = 129;
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

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let count: u64 = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    match what.as_str() {
        "debugger" => told(&what, count, debugger(count)),
        "watch" => told(&what, count, watch(count)),
        "offset" => println!("offset: {:#x}", offset(passed_by as *const () as u64)),
        _ => {
            println!("pid {}", std::process::id());
            raise(&what, count);
        }
    }
}

/// Tells of `seen` exceptions; the end if there were to be others.
fn told(what: &str, count: u64, seen: u64) {
    println!("{what}: {seen}");
    assert!(seen == count, "{what}: {seen}, not {count}");
}

fn raise(what: &str, count: u64) {
    if let Some(kind) = KINDS.iter().find(|kind| kind.name == what) {
        return kind.raise(count);
    }
    let seen = match what {
        "faults" => faults(count),
        "reads" => reads(count),
        "steps" => steps(count),
        "killed" => return println!("killed: {}", killed(count)),
        "perf" => perf(count),
        "passes" => {
            (0..count).for_each(|_| passed_by());
            count
        }
        "mixed" => {
            for what in ["faults", "reads", "steps"] {
                raise(what, count);
            }
            return KINDS.iter().for_each(|kind| kind.raise(count));
        }
        _ => panic!("usage: exceptions WHAT N, see the source"),
    };
    told(what, count, seen);
}

// ---- one instruction each ----------------------------------------------------------------------

/// What raises an exception: a function whose instruction at `at` does.
struct Kind {
    name: &'static str,
    signal: i32,
    /// The exception comes before its instruction is done: it is skipped.
    is_fault: bool,
    raise: unsafe extern "C" fn(),
    at: &'static Label,
    end: &'static Label,
}

/// A place in the text.
#[repr(transparent)]
struct Label(u8);

impl Label {
    fn address(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }
}

/// For each: its signal, whether it is a fault, what comes before its instruction, and that.
macro_rules! kinds {
    ($($name:ident: $signal:ident, $is_fault:literal, $before:literal, $instruction:literal;)*) => {
        global_asm!(
            ".pushsection .text",
            $(
                concat!("raise_", stringify!($name), ":"), $before,
                concat!("at_", stringify!($name), ":"), $instruction,
                concat!("end_", stringify!($name), ":"), "ret",
            )*
            ".popsection",
        );
        const KINDS: &[Kind] = &[$({
            extern "C" {
                #[link_name = concat!("raise_", stringify!($name))]
                fn raise();
                #[link_name = concat!("at_", stringify!($name))]
                static AT: Label;
                #[link_name = concat!("end_", stringify!($name))]
                static END: Label;
            }
            Kind {
                name: stringify!($name),
                signal: $signal,
                is_fault: $is_fault,
                raise,
                // SAFETY: bytes of the text, which stay.
                at: unsafe { &*(&raw const AT) },
                // SAFETY: as above.
                end: unsafe { &*(&raw const END) },
            }
        }),*];
    };
}

// Selectors: 0x7ff8 is of the GDT and behind its end; 7 is the first one of the LDT.
kinds! {
    int3: SIGTRAP, false, "", "int3";
    icebp: SIGTRAP, false, "", ".byte 0xf1";
    divide: SIGFPE, true, "mov eax, 1\nxor edx, edx\nxor ecx, ecx", "div ecx";
    invalid: SIGILL, true, "", "ud2";
    overflow: SIGSEGV, false, "", ".byte 0xcd, 0x04";
    protection: SIGSEGV, true, "", "hlt";
    selector: SIGSEGV, true, "mov eax, 0x7ff8", "mov es, eax";
    absent: SIGBUS, true, "mov eax, 7", "mov es, eax";
    stack: SIGBUS, true, "mov eax, 7", "mov ss, eax";
    floating: SIGFPE, true, "fninit\npush 0x37b\nfldcw [rsp]\npop rax\nfld1\nfldz\nfdivp", "fwait";
    simd: SIGFPE, true, "push 0x1d80\nldmxcsr [rsp]\npop rax\nxorps xmm1, xmm1\nmov eax, 0x3f800000\nmovd xmm0, eax", "divss xmm0, xmm1";
    segv: SIGSEGV, true, "mov ecx, 8", "mov rax, [rcx]";
}

impl Kind {
    fn raise(&self, count: u64) {
        let (at, end) = (self.at.address(), self.end.address());
        let (skipped, ip) = match self.is_fault {
            true => (end - at, at),
            false => (0, end),
        };
        if matches!(self.name, "absent" | "stack") {
            make_absent_segment();
        }
        println!("{} at {ip:#x}", self.name);
        let seen = repeat(self.signal, skipped, count, || {
            // SAFETY: handled. It changes what a function may, and the x87, which is put back.
            unsafe {
                (self.raise)();
                asm!("fninit", "ldmxcsr [{}]", in(reg) &0x1f80_u32);
            }
        });
        if self.name == "simd" && seen == 0 {
            return println!("simd: none by this processor");
        }
        told(self.name, count, seen);
    }
}

/// The LDT's first entry: data that are not present.
fn make_absent_segment() {
    // struct user_desc: entry, base, limit; 32 bits, not present, usable.
    let wanted = [0_u32, 0, 0xfffff, 0b110_0001];
    // SAFETY: nobody uses the LDT.
    let answer = unsafe { call(MODIFY_LDT, [1, wanted.as_ptr() as u64, 16, 0, 0, 0]) };
    assert_eq!(answer, 0, "modify_ldt");
}

/// `one`, `count` times; how often signal `number` came, whose handler skips `skip` bytes.
fn repeat(number: i32, skip: u64, count: u64, one: impl Fn()) -> u64 {
    handle(number, skip, handler);
    SEEN.store(0, Relaxed);
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

/// So many pages, without huge ones; where.
fn fresh(what: &str, count: u64) -> u64 {
    let size = count * PAGE;
    let at = map(size);
    // MADV_NOHUGEPAGE; EINVAL: there are none.
    // SAFETY: our memory.
    let answer = unsafe { call(MADVISE, [at, size, 15, 0, 0, 0]) };
    assert!(answer == 0 || answer == -22, "madvise: {answer}");
    println!("{what} in {at:#x}..{:#x}", at + size);
    at
}

fn faults(count: u64) -> u64 {
    let at = fresh("faults", count);
    for page in 0..count {
        // SAFETY: our memory.
        unsafe { ((at + page * PAGE) as *mut u8).write_volatile(1) };
    }
    // SAFETY: our memory, not used any more.
    unsafe { call(MUNMAP, [at, count * PAGE, 0, 0, 0, 0]) };
    count
}

fn reads(count: u64) -> u64 {
    let at = fresh("reads", count);
    // SAFETY: a file.
    let file = unsafe { call(OPEN, [c"/dev/zero".as_ptr() as u64, 0, 0, 0, 0, 0]) };
    assert!(file >= 0, "/dev/zero: {file}");
    for page in 0..count {
        // SAFETY: our memory.
        let read = unsafe { call(READ, [file as u64, at + page * PAGE, 8, 0, 0, 0]) };
        assert_eq!(read, 8);
    }
    // SAFETY: ours, not used any more.
    unsafe {
        call(CLOSE, [file as u64, 0, 0, 0, 0, 0]);
        call(MUNMAP, [at, count * PAGE, 0, 0, 0, 0]);
    }
    count
}

// The trap flag takes effect behind the instruction after popf: at the loop's first.
global_asm!(
    ".pushsection .text",
    "step_by_step:",
    "pushfq",
    "or qword ptr [rsp], 0x100",
    "popfq",
    "2: dec rdi",
    "jnz 2b",
    "ret",
    ".popsection",
);

fn steps(count: u64) -> u64 {
    extern "C" {
        fn step_by_step(count: u64);
    }
    STEPS.store(count, Relaxed);
    SEEN.store(0, Relaxed);
    handle(SIGTRAP, 0, stepped);
    let at = step_by_step as *const () as u64;
    println!("steps at {at:#x}..{:#x}", at + 64);
    // SAFETY: each trap is handled; the last one ends them.
    unsafe { step_by_step(count) };
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
        // A siginfo_t: the number, no error, SI_KERNEL.
        let mut info = [0_u32; 32];
        (info[0], info[2]) = (SIGSEGV as u32, 0x80);
        let info = info.as_ptr() as u64;
        // SAFETY: handled; the kernel reads the words.
        let answer = unsafe { call(RT_SIGQUEUEINFO, [me, SIGSEGV as u64, info, 0, 0, 0]) };
        assert_eq!(answer, 0);
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

/// Lets `pid` go on: whether it stopped with SIGTRAP, or ended well.
fn goes_on_to_a_trap(pid: u64) -> bool {
    ptrace(CONT, pid, 0, 0);
    let signal = stopped(pid);
    assert!(matches!(signal, None | Some(SIGTRAP)), "{signal:?}");
    signal.is_some()
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
    while goes_on_to_a_trap(pid) {
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
    hits
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
    while goes_on_to_a_trap(pid) {
        hits += 1;
    }
    hits
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
