// SPDX-License-Identifier: GPL-2.0
//! System calls, for programs that make them by number.

use std::arch::asm;

/// A system call; what the kernel answers.
///
/// # Safety
///
/// That of the call.
pub unsafe fn call(number: u64, args: [u64; 6]) -> i64 {
    let answer;
    // SAFETY: the kernel changes rax, rcx and r11; the rest is the caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") args[0], in("rsi") args[1],
            in("rdx") args[2], in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _);
    }
    answer
}
