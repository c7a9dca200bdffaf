// SPDX-License-Identifier: GPL-2.0
//! Exceptions that workers raise: known by where their instruction is, numbered by the stack pointer.
//!
//! All workers have this code at the same place, where nobody else has any, so that the address of an
//! instruction tells its exceptions from all others. A call's tag is the stack pointer while it is
//! raised; handlers have a stack of their own.

use anyhow::{bail, Context, Result};
use std::cell::Cell;
use std::io;

/// An exception, and the probe that tells of it.
pub struct Exception {
    pub name: &'static str,
    pub vector: &'static str,
    /// Where its code begins.
    code: fn() -> u64,
    /// The instruction that it is told of: of a trap the next one.
    at: fn() -> u64,
}

/// Each is raised once when its code is called. A page of [`Fresh`] is written to; the next one reads what
/// is not mapped.
pub const EXCEPTIONS: [Exception; 5] = [
    Exception {
        name: "int3",
        vector: "int3",
        code: || place(&raw const stress_int3),
        at: || place(&raw const stress_int3_after),
    },
    Exception {
        name: "single step",
        vector: "debug",
        code: || place(&raw const stress_step),
        at: || place(&raw const stress_step_after),
    },
    Exception {
        name: "divide error",
        vector: "divide_error",
        code: || place(&raw const stress_divide),
        at: || place(&raw const stress_divide_at),
    },
    Exception {
        name: "fresh page",
        vector: "page_fault",
        code: || place(&raw const stress_fresh),
        at: || place(&raw const stress_fresh_at),
    },
    Exception {
        name: "SIGSEGV",
        vector: "page_fault",
        code: || place(&raw const stress_segv),
        at: || place(&raw const stress_segv_at),
    },
];

// Each is called with a tag and an address, and saves the stack pointer where no handler changes it.
std::arch::global_asm!(
    ".globl stress_code, stress_code_end",
    ".globl stress_int3, stress_int3_after, stress_step, stress_step_after",
    ".globl stress_divide, stress_divide_at, stress_divide_after",
    ".globl stress_fresh, stress_fresh_at, stress_segv, stress_segv_at, stress_segv_after",
    "stress_code:",
    "stress_int3:",
    "mov rax, rsp",
    "mov rsp, rdi",
    "int3",
    "stress_int3_after:",
    "mov rsp, rax",
    "ret",
    // The trap comes behind the instruction that follows popf.
    "stress_step:",
    "mov rax, rsp",
    "pushfq",
    "or qword ptr [rsp], 0x100",
    "popfq",
    "mov rsp, rdi",
    "stress_step_after:",
    "mov rsp, rax",
    "ret",
    "stress_divide:",
    "mov r8, rsp",
    "mov eax, 1",
    "xor edx, edx",
    "xor ecx, ecx",
    "mov rsp, rdi",
    "stress_divide_at:",
    "div ecx",
    "stress_divide_after:",
    "mov rsp, r8",
    "ret",
    "stress_fresh:",
    "mov rax, rsp",
    "mov rsp, rdi",
    "stress_fresh_at:",
    "mov byte ptr [rsi], 1",
    "mov rsp, rax",
    "ret",
    "stress_segv:",
    "mov rax, rsp",
    "mov rsp, rdi",
    "xor ecx, ecx",
    "stress_segv_at:",
    "mov rcx, [rcx + 8]",
    "stress_segv_after:",
    "mov rsp, rax",
    "ret",
    "stress_code_end:",
);

extern "C" {
    static stress_code: u8;
    static stress_int3: u8;
    static stress_int3_after: u8;
    static stress_step: u8;
    static stress_step_after: u8;
    static stress_divide: u8;
    static stress_divide_at: u8;
    static stress_divide_after: u8;
    static stress_fresh: u8;
    static stress_fresh_at: u8;
    static stress_segv: u8;
    static stress_segv_at: u8;
    static stress_segv_after: u8;
    static stress_code_end: u8;
}

/// Where workers have the code: far from where the kernel puts programs, stacks and what they map.
const CODE: u64 = 0x1000_0000_0000;

const PAGE: usize = 4096;

/// Bytes of the handlers' stack: the kernel saves the processor's state there.
const STACK: usize = 64 * 1024;

/// Fresh pages, before they are given back all together.
const PAGES: usize = 256;

/// A label's place in the copy.
fn place(label: *const u8) -> u64 {
    CODE + (label.addr() - (&raw const stress_code).addr()) as u64
}

impl Exception {
    /// The ip that its probe has.
    pub fn ip(&self) -> u64 {
        (self.at)()
    }
}

/// The code in its place, the handlers, and memory that is not there yet.
pub struct Raiser {
    fresh: *mut u8,
    /// Pages of it that were written to.
    written: Cell<usize>,
}

impl Raiser {
    /// For the thread that calls it; a process has one.
    pub fn new() -> Result<Self> {
        install_code()?;
        let fresh = map(0, PAGES * PAGE).context("mapping pages")?;
        // Without huge pages: one fault each. An error: this kernel has none.
        // SAFETY: a mapping of ours.
        unsafe { libc::madvise(fresh.cast(), PAGES * PAGE, libc::MADV_NOHUGEPAGE) };
        let stack = map(0, STACK).context("mapping a stack")?;
        let stack = libc::stack_t {
            ss_sp: stack.cast(),
            ss_flags: 0,
            ss_size: STACK,
        };
        // SAFETY: memory that stays mapped until this process ends.
        if unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error()).context("a stack for signals");
        }
        [libc::SIGTRAP, libc::SIGFPE, libc::SIGSEGV]
            .into_iter()
            .try_for_each(handle)?;
        Ok(Self {
            fresh,
            written: Cell::new(0),
        })
    }

    /// Raises one.
    pub fn raise(&self, exception: &Exception, tag: u64) -> Result<()> {
        let code = (exception.code)() as usize as *const ();
        // SAFETY: `install_code` has put it there; all of them have this type.
        let code: extern "sysv64" fn(u64, *mut u8) = unsafe { std::mem::transmute(code) };
        code(tag, self.next_page()?);
        Ok(())
    }

    /// A page that nobody has written to. One that is not written to then is wasted, and no more.
    fn next_page(&self) -> Result<*mut u8> {
        if self.written.get() == PAGES {
            let size = PAGES * PAGE;
            // SAFETY: a mapping of ours, in which nothing is kept.
            if unsafe { libc::madvise(self.fresh.cast(), size, libc::MADV_DONTNEED) } != 0 {
                return Err(io::Error::last_os_error()).context("giving pages back");
            }
            self.written.set(0);
        }
        let number = self.written.replace(self.written.get() + 1);
        // SAFETY: within the mapping.
        Ok(unsafe { self.fresh.add(number * PAGE) })
    }
}

fn install_code() -> Result<()> {
    let at = map(CODE, PAGE).context("mapping code")?;
    let from = &raw const stress_code;
    let size = (&raw const stress_code_end).addr() - from.addr();
    if size > PAGE {
        bail!("code of {size} bytes");
    }
    // SAFETY: both are that long, and the page is ours.
    unsafe { std::ptr::copy_nonoverlapping(from, at, size) };
    let can = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: a mapping of ours, which nobody writes to any more.
    match unsafe { libc::mprotect(at.cast(), PAGE, can) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("making code executable"),
    }
}

/// New memory at that address, or at any if it is 0.
fn map(address: u64, size: usize) -> Result<*mut u8> {
    let can = libc::PROT_READ | libc::PROT_WRITE;
    let fixed = match address {
        0 => 0,
        _ => libc::MAP_FIXED_NOREPLACE,
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
    let wanted = address as usize as *mut libc::c_void;
    // SAFETY: it replaces nothing.
    let at = unsafe { libc::mmap(wanted, size, can, flags, -1, 0) };
    match at == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error().into()),
        false => Ok(at.cast()),
    }
}

fn handle(signal: i32) -> Result<()> {
    // SAFETY: zeros are an action without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = resume as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `resume` changes registers of a context and calls nothing but `signal`.
    match unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("handling a signal"),
    }
}

/// The handler: what was raised on purpose goes on behind it. Another signal does what it does without us.
extern "C" fn resume(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    const TRAP_FLAG: i64 = 1 << 8;
    // SAFETY: the kernel gives a handler its context.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let ip = registers[libc::REG_RIP as usize] as u64;
    let after = if ip == place(&raw const stress_int3_after) {
        ip
    } else if ip == place(&raw const stress_step_after) {
        registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
        ip
    } else if ip == place(&raw const stress_divide_at) {
        place(&raw const stress_divide_after)
    } else if ip == place(&raw const stress_segv_at) {
        place(&raw const stress_segv_after)
    } else {
        // SAFETY: both are safe in a handler. The signal comes again when this returns, and kills.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        ip
    };
    registers[libc::REG_RIP as usize] = after as i64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_raised_and_survived() {
        let raiser = Raiser::new().unwrap();
        for tag in 0..2 * PAGES as u64 {
            for exception in &EXCEPTIONS {
                raiser.raise(exception, tag).unwrap();
            }
        }
    }

    #[test]
    fn each_has_a_place_of_its_own() {
        let mut places: Vec<u64> = EXCEPTIONS.iter().map(Exception::ip).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), EXCEPTIONS.len());
        assert!(places
            .iter()
            .all(|ip| (CODE..CODE + PAGE as u64).contains(ip)));
    }
}
