// SPDX-License-Identifier: GPL-2.0
//! A BPF program at the raw tracepoint `sys_enter`, for comparison: `raw_tracepoint WAY COMMAND...` runs a
//! command while each getppid of a process other than this one leaves 16 bytes (a number, the process, the
//! first argument) WAY:
//!   output  by `bpf_ringbuf_output` into a ring
//!   submit  by `bpf_ringbuf_reserve` and `bpf_ringbuf_submit`, without a copy
//!   array   into the one element of an array: no stream, each overwrites the one before
//! Prints `WAY: N bytes` at the end: what the ring holds, or the element's counter.
//!
//! Commands, types and helpers: include/uapi/linux/bpf.h. No reader is woken, as dtrace.ko wakes none.

mod syscall;

use std::process::{exit, Command};

const GETPPID: i32 = 110;
/// Where the first argument lies in `struct pt_regs`.
const FIRST_ARGUMENT: i32 = 14 * 8;

const RING: u32 = 27;
const RING_BYTES: u32 = 1 << 20;
const ARRAY: u32 = 2;
const RAW_TRACEPOINT: u32 = 17;
const NO_WAKEUP: i32 = 1;
/// A ring puts this much before each record.
const HEADER: u64 = 8;
const RECORD: i32 = 16;

/// Helpers.
const LOOKUP: i32 = 1;
const PID_TGID: i32 = 14;
const READ_KERNEL: i32 = 113;
const OUTPUT: i32 = 130;
const RESERVE: i32 = 131;
const SUBMIT: i32 = 132;

/// An instruction: opcode, target, source, offset, number.
const fn op(code: u8, to: u8, from: u8, offset: i16, number: i32) -> u64 {
    code as u64
        | (to as u64) << 8
        | (from as u64) << 12
        | (offset as u16 as u64) << 16
        | (number as u32 as u64) << 32
}

const fn copy(to: u8, from: u8) -> u64 {
    op(0xbf, to, from, 0, 0)
}

const fn set(to: u8, number: i32) -> u64 {
    op(0xb7, to, 0, 0, number)
}

const fn add(to: u8, number: i32) -> u64 {
    op(0x07, to, 0, 0, number)
}

const fn load(to: u8, from: u8, offset: i16) -> u64 {
    op(0x79, to, from, offset, 0)
}

const fn store_word(to: u8, offset: i16, from: u8) -> u64 {
    op(0x63, to, from, offset, 0)
}

const fn call(helper: i32) -> u64 {
    op(0x85, 0, 0, 0, helper)
}

/// Both words of a map's address.
const fn map(to: u8, map: i32) -> [u64; 2] {
    [op(0x18, to, 1, 0, map), 0]
}

/// What every way begins with: of other calls and this process, nothing; then the process in r7, and the
/// registers' address in r6.
fn begin(me: i32, skip: &dyn Fn(usize) -> i16) -> Vec<u64> {
    vec![
        load(2, 1, 8),
        op(0x55, 2, 0, skip(1), GETPPID),
        load(6, 1, 0),
        call(PID_TGID),
        copy(7, 0),
        op(0x77, 7, 0, 0, 32),
        op(0x15, 7, 0, skip(6), me),
    ]
}

/// Reads the first argument to 8 behind r8, or 8 behind the stack's record.
fn read_argument(to: u8, offset: i32) -> [u64; 6] {
    [
        copy(1, to),
        add(1, offset + 8),
        set(2, 8),
        copy(3, 6),
        add(3, FIRST_ARGUMENT),
        call(READ_KERNEL),
    ]
}

fn program(way: &str, fd: i32, me: i32) -> Vec<u64> {
    let rest: Vec<u64> = match way {
        "output" => [
            vec![set(1, 1), store_word(10, -16, 1), store_word(10, -12, 7)],
            read_argument(10, -16).to_vec(),
            map(1, fd).to_vec(),
            vec![copy(2, 10), add(2, -16), set(3, RECORD), set(4, NO_WAKEUP)],
            vec![call(OUTPUT)],
        ]
        .concat(),
        "submit" => [
            map(1, fd).to_vec(),
            vec![set(2, RECORD), set(3, 0), call(RESERVE)],
            // No room: over the rest.
            vec![op(0x15, 0, 0, 13, 0), copy(8, 0)],
            vec![set(1, 1), store_word(8, 0, 1), store_word(8, 4, 7)],
            read_argument(8, 0).to_vec(),
            vec![copy(1, 8), set(2, NO_WAKEUP), call(SUBMIT)],
        ]
        .concat(),
        _ => [
            vec![op(0x62, 10, 0, -4, 0)],
            map(1, fd).to_vec(),
            vec![copy(2, 10), add(2, -4), call(LOOKUP)],
            vec![op(0x15, 0, 0, 11, 0), copy(8, 0)],
            // One more.
            vec![op(0x61, 1, 8, 0, 0), add(1, 1), store_word(8, 0, 1)],
            vec![store_word(8, 4, 7)],
            read_argument(8, 0).to_vec(),
        ]
        .concat(),
    };
    let begin_length = begin(me, &|_| 0).len();
    let end = begin_length + rest.len();
    let skip = |at: usize| (end - at - 1) as i16;
    [
        begin(me, &skip),
        rest,
        // r0 = 0; exit
        vec![set(0, 0), op(0x95, 0, 0, 0, 0)],
    ]
    .concat()
}

fn bpf(what: &str, command: u64, attribute: &[u64; 16]) -> i32 {
    let place = attribute.as_ptr() as u64;
    // SAFETY: the attribute's addresses are of what stays meanwhile, and as large as is said.
    let answer = unsafe { syscall::call(321, [command, place, 128, 0, 0, 0]) };
    if answer < 0 {
        eprintln!("raw_tracepoint: {what}: errno {}", -answer);
        exit(1);
    }
    answer as i32
}

const fn two(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// An attribute that begins with these words.
fn words(first: &[u64]) -> [u64; 16] {
    let mut all = [0; 16];
    all[..first.len()].copy_from_slice(first);
    all
}

/// Bytes in the ring: nobody reads, so what was ever written.
fn ring_bytes(fd: i32) -> u64 {
    // SAFETY: mmap of the producer's page, to be read.
    let page = unsafe { syscall::call(9, [0, 4096, 1, 1, fd as u64, 4096]) };
    assert!(page > 0, "mmap: errno {}", -page);
    // SAFETY: the page's first word is its position.
    unsafe { (page as *const u64).read_volatile() }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next().unwrap_or_default();
    let command = arguments.next().unwrap_or_default();
    let description = match way.as_str() {
        "output" | "submit" => words(&[two(RING, 0), two(0, RING_BYTES)]),
        "array" => words(&[two(ARRAY, 4), two(RECORD as u32, 1)]),
        _ => panic!("usage: raw_tracepoint output|submit|array COMMAND..."),
    };
    let fd = bpf("map", 0, &description);
    let me = std::process::id() as i32;
    let program = program(&way, fd, me);
    let mut log = vec![0_u8; 1 << 16];
    let description = words(&[
        two(RAW_TRACEPOINT, program.len() as u32),
        program.as_ptr() as u64,
        c"GPL".as_ptr() as u64,
        two(1, log.len() as u32),
        log.as_mut_ptr() as u64,
    ]);
    let loaded = {
        let place = description.as_ptr() as u64;
        // SAFETY: as in `bpf`.
        unsafe { syscall::call(321, [5, place, 128, 0, 0, 0]) }
    };
    if loaded < 0 {
        let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
        eprintln!("raw_tracepoint: program: errno {}", -loaded);
        eprintln!("{}", String::from_utf8_lossy(&log[..end]));
        exit(1);
    }
    let place = words(&[c"sys_enter".as_ptr() as u64, loaded as u64]);
    bpf("tracepoint", 17, &place);
    let status = Command::new(command).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()));
    let bytes = match way.as_str() {
        "array" => {
            let (key, mut value) = (0_u32, [0_u32; 4]);
            let (at, to) = (&raw const key as u64, value.as_mut_ptr() as u64);
            bpf("array", 1, &words(&[fd as u64, at, to]));
            u64::from(value[0]) * RECORD as u64
        }
        _ => {
            let stride = HEADER + RECORD as u64;
            ring_bytes(fd) / stride * RECORD as u64
        }
    };
    println!("{way}: {bytes} bytes");
}
