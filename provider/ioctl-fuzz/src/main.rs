// SPDX-License-Identifier: GPL-2.0
//! `dtrace-ioctl-fuzz CALLS [SEED]`: random and mutated ioctls on `/dev/dtrace/dtrace`, as root. Each must
//! end with an errno or a value; the machine must live. The same seed makes the same calls.

mod memory;
mod programs;
mod random;

use dtrace_interface::{ioctl, DEVICE};
use memory::Arena;
use random::Random;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Error;
use std::os::fd::AsRawFd;

/// Files that are open at a time.
const FILES: usize = 4;

/// GO and STOP that cannot answer do nothing: what they would have begun or ended can be, afterwards.
fn unanswered() {
    let file = open();
    let mut cpu = 0_i32;
    let good = (&raw mut cpu) as u64;
    // SAFETY: the kernel writes an i32 to `good`; it refuses the other address.
    let ask =
        |request: u32, at: u64| match unsafe { sys::ioctl(file.as_raw_fd(), request.into(), at) } {
            0.. => 0,
            _ => Error::last_os_error().raw_os_error().unwrap_or(0),
        };
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

mod sys {
    extern "C" {
        pub fn ioctl(file: i32, request: u64, argument: u64) -> i32;
    }
}

fn open() -> File {
    let file = File::options().read(true).write(true).open(DEVICE);
    file.unwrap_or_else(|error| panic!("{DEVICE}: {error}"))
}

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let mut word = |default| words.next().and_then(Result::ok).unwrap_or(default);
    let (calls, seed) = (word(100_000), word(1));
    unanswered();
    let mut random = Random::new(seed);
    let mut arena = Arena::new();
    let programs = programs::all();
    let mut files: Vec<File> = (0..FILES).map(|_| open()).collect();
    let mut answers: BTreeMap<(&str, i32), u64> = BTreeMap::new();
    for _ in 0..calls {
        let file = random.below(FILES);
        if random.below(40) == 0 {
            files[file] = open();
        }
        let (name, request) = match random.below(20) {
            0 => ("another", random.next() as u32),
            1 => (
                "another",
                REQUESTS[random.below(REQUESTS.len())].1 ^ (1 << random.below(32)),
            ),
            _ => REQUESTS[random.below(REQUESTS.len())],
        };
        let argument = match name {
            "ENABLE" => arena.program(&mut random, &programs),
            _ => arena.argument(&mut random),
        };
        // SAFETY: the kernel writes to memory of the arena, which nothing else uses, or refuses.
        let answer = unsafe { sys::ioctl(files[file].as_raw_fd(), request.into(), argument) };
        let answer = match answer {
            0.. => 0,
            _ => Error::last_os_error().raw_os_error().unwrap_or(0),
        };
        assert!((0..134).contains(&answer), "{name}: errno {answer}");
        *answers.entry((name, answer)).or_default() += 1;
    }
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
    println!("{calls} calls, seed {seed}");
}
