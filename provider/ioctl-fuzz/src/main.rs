// SPDX-License-Identifier: GPL-2.0
//! `dtrace-ioctl-fuzz CALLS [SEED]`: random and mutated calls on `/dev/dtrace/dtrace`, as root, by two
//! threads on the same files. Each must end with an errno or a value; the machine must live, and nothing
//! be held afterwards. The same seed makes the same calls of each thread.

use dtrace_interface::{ioctl, DEVICE};
use dtrace_ioctl_fuzz::held::Held;
use dtrace_ioctl_fuzz::memory::Arena;
use dtrace_ioctl_fuzz::random::Random;
use dtrace_ioctl_fuzz::{programs, sys};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

/// Files that are open at a time.
const FILES: usize = 4;

/// Threads that use them.
const THREADS: u64 = 2;

/// GO and STOP that cannot answer do nothing: what they would have begun or ended can be, afterwards.
fn unanswered() {
    let file = open();
    let mut cpu = 0_i32;
    let good = (&raw mut cpu) as u64;
    // SAFETY: the kernel writes an i32 to `good`; it refuses the other address.
    let ask = |request: u32, at: u64| unsafe { sys::ioctl(&file, request, at) };
    const EFAULT: i32 = 14;
    for request in [ioctl::GO, ioctl::STOP] {
        assert_eq!(ask(request, 8), EFAULT);
        assert_eq!(
            ask(request, good),
            0,
            "it was done, and its answer was lost"
        );
    }
}

/// All requests that the module knows.
const REQUESTS: &[(&str, u32)] = &[
    ("PROVIDER", ioctl::PROVIDER),
    ("PROBES", ioctl::PROBES),
    ("BUFSNAP", ioctl::BUFSNAP),
    ("PROBEMATCH", ioctl::PROBEMATCH),
    ("ENABLE", ioctl::ENABLE),
    ("AGGSNAP", ioctl::AGGSNAP),
    ("EPROBE", ioctl::EPROBE),
    ("PROBEARG", ioctl::PROBEARG),
    ("CONF", ioctl::CONF),
    ("STATUS", ioctl::STATUS),
    ("GO", ioctl::GO),
    ("STOP", ioctl::STOP),
    ("AGGDESC", ioctl::AGGDESC),
    ("FORMAT", ioctl::FORMAT),
    ("DOFGET", ioctl::DOFGET),
    ("REPLICATE", ioctl::REPLICATE),
    ("ACCOUNTING", ioctl::ACCOUNTING),
    ("REFUSAL", ioctl::REFUSAL),
];

/// Other system calls on a file, by their numbers on x86-64: what they answer is the kernel's matter, and
/// none may do harm. Their arguments are addresses and sizes like those of ioctls.
const CALLS: &[(&str, i64)] = &[
    ("read", 0),
    ("write", 1),
    ("poll", 7),
    ("lseek", 8),
    ("mmap", 9),
    ("pread64", 17),
    ("readv", 19),
    ("fsync", 74),
    ("ftruncate", 77),
    ("fallocate", 285),
];

fn open() -> File {
    let file = File::options().read(true).write(true).open(DEVICE);
    file.unwrap_or_else(|error| panic!("{DEVICE}: {error}"))
}

/// How often each call ended with each errno.
type Answers = BTreeMap<(&'static str, i32), u64>;

/// Files that the threads share.
type Files = [Mutex<Arc<File>>];

/// A call of the kernel on a file that is none of the module's ioctls.
fn other(file: &File, random: &mut Random, arena: &mut Arena) -> (&'static str, i32) {
    let (name, number) = CALLS[random.below(CALLS.len())];
    let fd = file.as_raw_fd() as u64;
    let at = arena.argument(random);
    let size = random.below(8192) as u64;
    let arguments = match name {
        "poll" => [arena.poll(fd as u32), 1, 0, 0, 0, 0],
        // Shared, private or neither; no address wished for.
        "mmap" => [0, 4096, random.any() % 8, random.any() % 4, fd, 0],
        "readv" => [fd, at, random.below(4) as u64, 0, 0, 0],
        "lseek" | "ftruncate" | "fallocate" => [fd, random.odd(), random.odd() % 4, size, 0, 0],
        _ => [fd, at, size, random.odd(), 0, 0],
    };
    // SAFETY: the kernel writes to memory of the arena, which nothing else uses, or refuses.
    (name, unsafe { sys::call(number, arguments) })
}

fn thread(files: &Files, calls: u64, seed: u64) -> Answers {
    let mut random = Random::new(seed);
    let mut arena = Arena::map();
    let programs = programs::all();
    let mut answers = Answers::new();
    for _ in 0..calls {
        let place = &files[random.below(FILES)];
        if random.below(40) == 0 {
            // Whoever is in a call on the old one keeps it open meanwhile.
            *place.lock().expect("no panic") = Arc::new(open());
        }
        let file = place.lock().expect("no panic").clone();
        let (name, answer) = match random.below(40) {
            0 => other(&file, &mut random, &mut arena),
            kind => {
                let known = REQUESTS[random.below(REQUESTS.len())];
                let (name, request) = match kind {
                    1 => ("another", random.any() as u32),
                    2 => ("another", known.1 ^ (1 << random.below(32))),
                    _ => known,
                };
                let argument = match name {
                    "ENABLE" => arena.program(&mut random, &programs),
                    _ => arena.argument(&mut random),
                };
                // SAFETY: as above.
                (name, unsafe { sys::ioctl(&file, request, argument) })
            }
        };
        assert!((0..134).contains(&answer), "{name}: errno {answer}");
        *answers.entry((name, answer)).or_default() += 1;
    }
    answers
}

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let mut word = |default| words.next().and_then(Result::ok).unwrap_or(default);
    let (calls, seed) = (word(100_000), word(1));
    Held::assert_nothing("before");
    unanswered();
    let files: Vec<_> = (0..FILES).map(|_| Mutex::new(Arc::new(open()))).collect();
    let mut answers = Answers::new();
    std::thread::scope(|scope| {
        let files = &files;
        let threads: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || thread(files, calls / THREADS, seed * THREADS + n)))
            .collect();
        for thread in threads {
            for (answer, count) in thread.join().expect("no panic") {
                *answers.entry(answer).or_default() += count;
            }
        }
    });
    for ((name, errno), count) in &answers {
        println!("{name:12} {errno:4} {count:8}");
    }
    // Each request was answered well at least once, but for those that are not offered.
    for (name, _) in REQUESTS {
        let well = answers.contains_key(&(name, 0));
        assert!(
            well || *name == "REPLICATE" || calls < 50_000,
            "{name} never succeeded"
        );
    }
    println!("at the end: {}", Held::now());
    drop(files);
    Held::assert_nothing("when all files are closed");
    println!("{calls} calls, {THREADS} threads, seed {seed}: nothing held");
}
