// SPDX-License-Identifier: GPL-2.0
//! The two signals: one plays an NMI, one a maskable interrupt.
//!
//! Each is a standard signal: a second one that comes before the first was taken folds into it, as
//! NMIs and event channels do. While the NMI's handler runs both are blocked; while the maskable
//! one's runs, only itself. The handlers use thread-local words, atomics, `clock_gettime`,
//! `sched_yield` and `tgkill`: nothing that allocates or locks.

use crate::cpus::{with_played, Cpu};
use std::sync::Once;

/// Plays an NMI.
pub(crate) const NMI: libc::c_int = libc::SIGUSR1;
/// Plays a maskable interrupt.
pub(crate) const IRQ: libc::c_int = libc::SIGUSR2;

/// Installs the handlers, for the whole process, once.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        handle(NMI, on_nmi, &[NMI, IRQ]);
        handle(IRQ, on_irq, &[IRQ]);
    });
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int), blocks: &[libc::c_int]) {
    // SAFETY: the structure is plain data, filled in full; the handler is async-signal-safe (see
    // the module) and has the signature that `sa_flags` without SA_SIGINFO asks for.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        action.sa_mask = set_of(blocks);
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    assert_eq!(result, 0, "sigaction of signal {signal}");
}

fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: sigemptyset fills the set before anything reads it; the signals are valid numbers.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        set
    }
}

extern "C" fn on_nmi(_: libc::c_int) {
    on_played_cpu(|cpu| cpu.take_nmi());
}

extern "C" fn on_irq(_: libc::c_int) {
    on_played_cpu(|cpu| cpu.take_irq());
}

/// Runs `f` on the CPU this thread plays; errno is what it was.
fn on_played_cpu(f: impl FnOnce(&Cpu<'_>)) {
    // SAFETY: the address of this thread's errno, valid as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    with_played(|cpu| {
        if let Some(cpu) = cpu {
            f(cpu);
        }
    });
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Runs `f` with both signals blocked on this thread.
pub(crate) fn blocked<R>(f: impl FnOnce() -> R) -> R {
    let set = set_of(&[NMI, IRQ]);
    // SAFETY: both sets are initialised (the old one by the call) and live on this stack.
    let old = unsafe {
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut old);
        old
    };
    let result = f();
    // SAFETY: `old` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &old, std::ptr::null_mut()) };
    result
}

/// This thread, as the kernel numbers threads.
pub(crate) fn this_thread() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

/// Sends `signal` to thread `tid` of this process. A thread that is gone hears nothing; one that
/// got its number meanwhile looks into its own mailbox in vain.
pub(crate) fn send(tid: i32, signal: libc::c_int) {
    // SAFETY: plain numbers; the handlers are installed (`Cpus::new` did).
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}
