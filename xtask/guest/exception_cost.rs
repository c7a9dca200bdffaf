// SPDX-License-Identifier: GPL-2.0
//! What an exception of user code costs: `exception_cost fault|int3 N` prints `cost: T`, the fewest ticks of
//! the TSC that one of N took. Of `fault` that is a write to a fresh page, of `int3` the trap and a signal
//! handler that does nothing.

mod syscall;

use std::arch::asm;
use syscall::call;

const MMAP: u64 = 9;
const MADVISE: u64 = 28;
const SIGTRAP: i32 = 5;
const PAGE: u64 = 4096;

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn ignore(_: i32) {}

fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The fewest ticks that one of them took.
fn cheapest(count: u64, mut one: impl FnMut(u64)) -> u64 {
    let ticks = |number| {
        let before = now();
        one(number);
        now() - before
    };
    (0..count).map(ticks).min().unwrap_or(0)
}

fn fault(count: u64) -> u64 {
    let size = count * PAGE;
    // Readable, writable; private and nobody's.
    // SAFETY: new memory.
    let at = unsafe { call(MMAP, [0, size, 3, 0x22, u64::MAX, 0]) };
    assert!(at > 0, "mmap: {at}");
    // MADV_NOHUGEPAGE; EINVAL: there are none.
    // SAFETY: our memory.
    let answer = unsafe { call(MADVISE, [at as u64, size, 15, 0, 0, 0]) };
    assert!(answer == 0 || answer == -22, "madvise: {answer}");
    cheapest(count, |number| {
        let page = (at as u64 + number * PAGE) as *mut u8;
        // SAFETY: our memory.
        unsafe { page.write_volatile(1) }
    })
}

fn int3(count: u64) -> u64 {
    // SAFETY: the handler does nothing.
    unsafe { signal(SIGTRAP, ignore) };
    cheapest(count, |_| {
        // SAFETY: handled.
        unsafe { asm!("int3") }
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let count = words.get(1).and_then(|text| text.parse().ok());
    let cost = match (words.first().map(String::as_str), count) {
        (Some("fault"), Some(count)) => fault(count),
        (Some("int3"), Some(count)) => int3(count),
        _ => {
            eprintln!("usage: exception_cost fault|int3 N");
            std::process::exit(2)
        }
    };
    println!("cost: {cost}");
}
