// SPDX-License-Identifier: GPL-2.0
//! System calls that std does not offer, on x86-64.

use std::ffi::CStr;
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU32;

/// An answer as an errno: 0 for a call that did not fail.
pub fn errno(answer: i64) -> i32 {
    match answer {
        0.. => 0,
        _ => Error::last_os_error().raw_os_error().unwrap_or(0),
    }
}

/// An ioctl; its errno.
///
/// # Safety
///
/// The kernel may write what the request does at `argument`, or refuses it.
pub unsafe fn ioctl(file: &File, request: u32, argument: u64) -> i32 {
    // SAFETY: the caller's promise.
    errno(unsafe { libc::ioctl(file.as_raw_fd(), request as _, argument) }.into())
}

/// Any system call of up to six arguments; its errno.
///
/// # Safety
///
/// That of the call.
pub unsafe fn call(number: i64, arguments: [u64; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    errno(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// Starts a process that runs `run` and dies with us; its number. This process has one thread.
pub fn spawn(run: impl FnOnce()) -> i32 {
    spawn_free(|| {
        // SAFETY: sets a signal.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        run();
    })
}

/// The same, but it lives on when we die.
pub fn spawn_free(run: impl FnOnce()) -> i32 {
    // SAFETY: one thread, says the caller.
    match unsafe { libc::fork() } {
        0 => {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            // SAFETY: ends this process.
            unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
        }
        child @ 1.. => child,
        _ => panic!("fork: {}", Error::last_os_error()),
    }
}

/// Ends a process that was started here, or by one of those.
pub fn kill(process: i32) {
    // SAFETY: sends a signal.
    let answer = unsafe { libc::kill(process, libc::SIGKILL) };
    assert_eq!(answer, 0, "kill {process}");
}

/// Waits for a process; its status as waitpid has it.
pub fn wait(process: i32) -> i32 {
    let mut status = 0;
    // SAFETY: an i32 to write to.
    let waited = unsafe { libc::waitpid(process, &mut status, 0) };
    assert_eq!(waited, process, "waitpid: {}", Error::last_os_error());
    status
}

/// Children of children that died become ours.
pub fn adopt() {
    // SAFETY: sets a flag.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
}

/// The program at `path` from now on, with one word; open files of the kind that stay open.
pub fn execute(path: &CStr, word: &CStr, keep: &File) -> ! {
    // SAFETY: a file of ours.
    unsafe { libc::fcntl(keep.as_raw_fd(), libc::F_SETFD, 0) };
    let words = [path.as_ptr(), word.as_ptr(), std::ptr::null()];
    // SAFETY: two strings and a null.
    unsafe { libc::execv(path.as_ptr(), words.as_ptr()) };
    panic!("{path:?}: {}", Error::last_os_error())
}

/// Takes a module out, if nobody uses it; the errno.
pub fn delete_module(name: &CStr) -> i32 {
    // SAFETY: a string.
    errno(unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) })
}

/// Loads a module.
pub fn load_module(path: &str, parameters: &CStr) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // SAFETY: a file and a string.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            parameters.as_ptr(),
            0,
        )
    };
    assert_eq!(answer, 0, "{path}: {}", Error::last_os_error());
}

/// Numbers that children share, 0 at first.
pub fn shared() -> &'static [AtomicU32; 8] {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let nowhere = std::ptr::null_mut();
    // SAFETY: a new mapping.
    let at = unsafe { libc::mmap(nowhere, 4096, rights, flags, -1, 0) };
    assert!(at != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
    // SAFETY: mapped for good, aligned to a page, larger than that; zero is a good number.
    unsafe { &*at.cast() }
}
