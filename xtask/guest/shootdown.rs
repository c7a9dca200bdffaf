// SPDX-License-Identifier: GPL-2.0
//! TLB shootdowns from every CPU: `shootdown SECONDS`. A thread a CPU writes to a page that all of
//! them use and takes the right to write away and back, so that each round interrupts the others.
//! Prints how many rounds were made. A lost shootdown IPI hangs the kernel in smp_call_function.

use std::ffi::c_void;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
const READ: i32 = 1;
const WRITE: i32 = 2;
const PRIVATE_ANONYMOUS: i32 = 0x22;

extern "C" {
    fn mmap(
        at: *mut c_void,
        size: usize,
        rights: i32,
        flags: i32,
        file: i32,
        from: i64,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, size: usize, rights: i32) -> i32;
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(seconds.expect("usage: shootdown SECONDS"));
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get());
    let threads: Vec<_> = (0..cpus)
        .map(|_| std::thread::spawn(move || rounds(limit)))
        .collect();
    let made: u64 = threads
        .into_iter()
        .map(|thread| thread.join().expect("a thread died"))
        .sum();
    println!("{made} rounds on {cpus} CPUs");
}

fn rounds(limit: Duration) -> u64 {
    // SAFETY: A new private mapping; null lets the kernel choose where.
    let page = unsafe {
        mmap(
            std::ptr::null_mut(),
            PAGE,
            READ | WRITE,
            PRIVATE_ANONYMOUS,
            -1,
            0,
        )
    };
    assert!(
        page as isize != -1,
        "mmap: {}",
        std::io::Error::last_os_error()
    );
    let start = Instant::now();
    let mut made = 0;
    while start.elapsed() < limit {
        // SAFETY: The page is mapped, ours alone, and writable here.
        unsafe { page.cast::<u64>().write_volatile(made) };
        for rights in [READ, READ | WRITE] {
            // SAFETY: The page is mapped; nobody else uses it.
            let status = unsafe { mprotect(page, PAGE, rights) };
            assert!(status == 0, "mprotect: {}", std::io::Error::last_os_error());
        }
        made += 1;
    }
    made
}
