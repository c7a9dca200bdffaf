// SPDX-License-Identifier: GPL-2.0
//! Counting instructions: the processor traps after each one (the trap flag of x86), and the
//! handler counts it. Exact, the same in every run, and blind to how busy the machine is.
//!
//! Callgrind counts the same instructions (`cargo xtask bench --host --callgrind`), but does not say
//! which of them are atomic.

use serde::Serialize;
use std::ops::{AddAssign, Div, Sub};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::Once;

/// Instructions executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All of them.
    pub instructions: u64,
    /// Of those: atomic read-modify-writes (LOCK prefix, or XCHG with memory).
    pub locked: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.locked += other.locked;
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            instructions: self.instructions.saturating_sub(other.instructions),
            locked: self.locked.saturating_sub(other.locked),
        }
    }
}

impl Div<u64> for Count {
    type Output = Self;

    /// Rounded to the nearest.
    fn div(self, by: u64) -> Self {
        Self {
            instructions: (self.instructions + by / 2) / by,
            locked: (self.locked + by / 2) / by,
        }
    }
}

/// Which count an instruction goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Side {
    /// The sender's.
    Send = 0,
    /// The target's.
    Drain = 1,
}

struct Counter {
    instructions: AtomicU64,
    locked: AtomicU64,
}

static COUNTERS: [Counter; 2] = [const {
    Counter {
        instructions: AtomicU64::new(0),
        locked: AtomicU64::new(0),
    }
}; 2];

static SIDE: AtomicUsize = AtomicUsize::new(Side::Send as usize);

/// What comes next is counted for `side`.
#[inline]
pub fn on_side(side: Side) {
    SIDE.store(side as usize, Relaxed);
}

/// Runs `f` step by step; what it executed, for the sender and for the target, less what counting
/// costs. `f` ends on the sender's side.
pub fn count(f: &mut dyn FnMut()) -> [Count; 2] {
    static OVERHEAD: std::sync::OnceLock<[Count; 2]> = std::sync::OnceLock::new();
    let overhead = OVERHEAD.get_or_init(|| count_all(&mut || {}));
    let [send, drain] = count_all(f);
    [send - overhead[0], drain - overhead[1]]
}

fn count_all(f: &mut dyn FnMut()) -> [Count; 2] {
    install();
    for counter in &COUNTERS {
        counter.instructions.store(0, Relaxed);
        counter.locked.store(0, Relaxed);
    }
    on_side(Side::Send);
    stepped(f);
    [Side::Send, Side::Drain].map(|side| Count {
        instructions: COUNTERS[side as usize].instructions.load(Relaxed),
        locked: COUNTERS[side as usize].locked.load(Relaxed),
    })
}

#[inline(never)]
fn stepped(f: &mut dyn FnMut()) {
    const TRAP_FLAG: u32 = 1 << 8;
    // SAFETY: sets the trap flag and nothing else; the handler is installed (`count_all`) and leaves
    // all registers as they are.
    unsafe {
        std::arch::asm!("pushfq", "or qword ptr [rsp], {flag}", "popfq", flag = const TRAP_FLAG);
    }
    f();
    // SAFETY: clears the trap flag and nothing else.
    unsafe {
        std::arch::asm!("pushfq", "and qword ptr [rsp], {keep}", "popfq", keep = const !(TRAP_FLAG as i32));
    }
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structure is plain data, filled in full; the handler is async-signal-safe and
        // has the signature that SA_SIGINFO asks for.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_step as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut())
        };
        assert_eq!(result, 0, "sigaction of SIGTRAP");
    });
}

/// After each instruction, before the next.
extern "C" fn on_step(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid context.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    let next = context.uc_mcontext.gregs[libc::REG_RIP as usize] as *const u8;
    // SAFETY: the processor is about to execute this instruction, so all its bytes are there;
    // `is_locked` asks for none past it.
    let locked = is_locked(|at| unsafe { *next.add(at) });
    let counter = &COUNTERS[SIDE.load(Relaxed)];
    counter.instructions.fetch_add(1, Relaxed);
    counter.locked.fetch_add(u64::from(locked), Relaxed);
}

/// Whether the instruction whose bytes `byte` gives is an atomic read-modify-write.
fn is_locked(byte: impl Fn(usize) -> u8) -> bool {
    let mut at = 0;
    loop {
        match byte(at) {
            0xf0 => return true,
            // Operand size, repetition, segments.
            0x66 | 0xf2 | 0xf3 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 => at += 1,
            _ => break,
        }
    }
    if byte(at) & 0xf0 == 0x40 {
        at += 1;
    }
    // XCHG locks by itself, if one side is memory.
    matches!(byte(at), 0x86 | 0x87) && byte(at + 1) >> 6 != 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(bytes: &[u8]) -> bool {
        is_locked(|at| bytes[at])
    }

    #[test]
    fn locked_instructions_are_told_by_their_bytes() {
        // lock or qword ptr [rdi], rax; xchg rax, [rdi]; xchg byte ptr [rdi], al
        assert!(locked(&[0xf0, 0x48, 0x09, 0x07]));
        assert!(locked(&[0x48, 0x87, 0x07]));
        assert!(locked(&[0x86, 0x07]));
        // or qword ptr [rdi], rax; xchg rax, rbx; mov byte ptr [rdi], al; ret
        assert!(!locked(&[0x48, 0x09, 0x07]));
        assert!(!locked(&[0x48, 0x87, 0xd8]));
        assert!(!locked(&[0x88, 0x07]));
        assert!(!locked(&[0xc3]));
    }

    #[test]
    fn each_instruction_is_counted_on_its_side() {
        let word = AtomicU64::new(0);
        let mut twice = || {
            word.fetch_or(1, Relaxed);
            on_side(Side::Drain);
            word.fetch_or(2, Relaxed);
            word.fetch_or(4, Relaxed);
            on_side(Side::Send);
        };
        let [send, drain] = count(&mut twice);
        assert_eq!((send.locked, drain.locked), (1, 2));
        assert!(send.instructions > 0 && drain.instructions > 0);
        assert_eq!(count(&mut twice), [send, drain]);
    }
}
