// SPDX-License-Identifier: GPL-2.0
//! `dtrace-kill ROUNDS`: kills consumers (SIGKILL) in every state there is, under load, and in the middle
//! of ioctls. After each: dtrace.ko holds what it held before, and goes at once.
//!
//! Which ioctl a victim was in is read off a number that it shares with us, and that it can no longer change.

use dtrace_interface::buffer::BufferDescription;
use dtrace_interface::status::Status;
use dtrace_interface::{ioctl, Plain, DEVICE};
use dtrace_ioctl_fuzz::held::Held;
use dtrace_ioctl_fuzz::random::Random;
use dtrace_ioctl_fuzz::{programs, sys};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

const MODULE: &str = "/modules/dtrace.ko";

/// How long a victim may take to come to its state.
const LIMIT: Duration = Duration::from_secs(120);

/// Where a victim is when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Open, nothing enabled.
    Inactive,
    /// In ENABLE of every system call.
    Enabling,
    /// Enabled, before GO.
    Enabled,
    /// In GO: warmup.
    Warmup,
    /// Tracing, under load.
    Active,
    /// In BUFSNAP, under load.
    Snapshot,
    /// In AGGSNAP, under load.
    AggregationSnapshot,
    /// In STATUS and BUFSNAP of two threads at once.
    Threads,
    /// exit() was called, STOP not yet.
    Draining,
    /// In STOP: draining and cooldown.
    Cooldown,
    /// After STOP.
    Stopped,
    /// Its tracing was ended by the deadman.
    Killed,
    /// A fork holds the file as well: it is killed later.
    Forked,
    /// It has become another program, with the file.
    Executed,
    /// Another consumer traces meanwhile.
    Beside,
}

const STATES: &[State] = &[
    State::Inactive,
    State::Enabling,
    State::Enabled,
    State::Warmup,
    State::Active,
    State::Snapshot,
    State::AggregationSnapshot,
    State::Threads,
    State::Draining,
    State::Cooldown,
    State::Stopped,
    State::Killed,
    State::Forked,
    State::Executed,
    State::Beside,
];

impl State {
    /// The ioctl that it is killed in.
    fn within(self) -> Option<u32> {
        match self {
            Self::Enabling => Some(ioctl::ENABLE),
            Self::Warmup => Some(ioctl::GO),
            Self::Snapshot => Some(ioctl::BUFSNAP),
            Self::AggregationSnapshot => Some(ioctl::AGGSNAP),
            Self::Cooldown => Some(ioctl::STOP),
            _ => None,
        }
    }

    fn parameters(self) -> &'static std::ffi::CStr {
        match self {
            Self::Killed => c"deadman_ms=300",
            _ => c"",
        }
    }
}

/// What a victim tells.
struct Told {
    /// It is in its state.
    ready: &'static AtomicU32,
    /// The ioctl it is in, or 0.
    within: &'static AtomicU32,
    /// The process that it forked.
    fork: &'static AtomicU32,
}

/// A consumer.
struct Consumer<'a> {
    file: File,
    told: &'a Told,
}

impl Consumer<'_> {
    fn new(told: &Told) -> Consumer<'_> {
        let file = File::options().read(true).write(true).open(DEVICE);
        let file = file.unwrap_or_else(|error| panic!("{DEVICE}: {error}"));
        Consumer { file, told }
    }

    /// An ioctl on an argument; whether it succeeded.
    fn ask(&self, request: u32, argument: &mut [u8]) -> bool {
        self.told.within.store(request, SeqCst);
        let at = argument.as_mut_ptr() as u64;
        // SAFETY: as long as the request's structure, or a program that is only read.
        let errno = unsafe { sys::ioctl(&self.file, request, at) };
        self.told.within.store(0, SeqCst);
        errno == 0
    }

    fn enable(&self, program: &[u8]) {
        assert!(self.ask(ioctl::ENABLE, &mut program.to_vec()), "ENABLE");
    }

    fn go(&self) {
        assert!(self.ask(ioctl::GO, &mut [0; 4]), "GO");
    }

    fn stop(&self) {
        assert!(self.ask(ioctl::STOP, &mut [0; 4]), "STOP");
    }

    fn status(&self) -> Status {
        let mut bytes = [0; Status::SIZE];
        assert!(self.ask(ioctl::STATUS, &mut bytes), "STATUS");
        Status::from_bytes(&bytes).expect("as many bytes")
    }

    fn snapshot(&self, request: u32, cpu: u32, room: &mut [u8]) {
        let asked = BufferDescription {
            cpu,
            data: room.as_mut_ptr() as u64,
            size: room.len() as u64,
            ..BufferDescription::ZERO
        };
        let mut bytes = [0; BufferDescription::SIZE];
        asked.to_bytes(&mut bytes).expect("as many bytes");
        assert!(self.ask(request, &mut bytes), "snapshot of CPU {cpu}");
    }

    fn ready(&self) {
        self.told.ready.store(1, SeqCst);
    }
}

fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn for_ever() -> ! {
    loop {
        sleep_ms(1000);
    }
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

/// A victim's life.
fn victim(state: State, told: &Told) {
    let busy = programs::busy();
    let tracing = || {
        let consumer = Consumer::new(told);
        consumer.enable(&busy);
        consumer.go();
        consumer
    };
    let snapshots = |request| {
        let consumer = tracing();
        let mut room = vec![0; programs::BUFFER];
        consumer.ready();
        loop {
            for cpu in 0..cpus() {
                consumer.snapshot(request, cpu, &mut room);
            }
        }
    };
    match state {
        State::Inactive => {
            let consumer = Consumer::new(told);
            consumer.ready();
            for_ever()
        }
        State::Enabling => loop {
            let consumer = Consumer::new(told);
            consumer.ready();
            consumer.enable(&busy);
        },
        State::Enabled => {
            let consumer = Consumer::new(told);
            consumer.enable(&busy);
            consumer.ready();
            for_ever()
        }
        State::Warmup => loop {
            let consumer = Consumer::new(told);
            consumer.enable(&programs::slow());
            consumer.ready();
            consumer.go();
        },
        State::Active | State::Beside => {
            let consumer = tracing();
            consumer.ready();
            for_ever()
        }
        State::Snapshot => snapshots(ioctl::BUFSNAP),
        State::AggregationSnapshot => snapshots(ioctl::AGGSNAP),
        State::Threads => {
            let consumer = &tracing();
            std::thread::scope(|scope| {
                scope.spawn(|| loop {
                    consumer.status();
                });
                scope.spawn(|| {
                    let mut room = vec![0; programs::BUFFER];
                    loop {
                        consumer.snapshot(ioctl::BUFSNAP, 0, &mut room);
                        consumer.ready();
                    }
                });
            });
        }
        State::Draining => {
            let consumer = Consumer::new(told);
            consumer.enable(&programs::ending());
            consumer.go();
            while consumer.status().exiting == 0 {
                sleep_ms(1);
            }
            consumer.ready();
            for_ever()
        }
        State::Cooldown => loop {
            let consumer = Consumer::new(told);
            consumer.enable(&programs::few());
            consumer.go();
            consumer.ready();
            consumer.stop();
        },
        State::Stopped => {
            let consumer = tracing();
            consumer.stop();
            consumer.ready();
            for_ever()
        }
        State::Killed => {
            let consumer = tracing();
            loop {
                sleep_ms(700);
                if consumer.status().killed != 0 {
                    break;
                }
            }
            consumer.ready();
            for_ever()
        }
        State::Forked => {
            let consumer = tracing();
            let fork = sys::spawn_free(|| for_ever());
            told.fork.store(fork as u32, SeqCst);
            consumer.ready();
            for_ever()
        }
        State::Executed => {
            let consumer = tracing();
            consumer.ready();
            sys::execute(c"/bin/sleep", c"10000", &consumer.file)
        }
    }
}

/// Waits until `is` holds.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < end, "{what}: not in {LIMIT:?}");
        std::thread::yield_now();
    }
}

/// System calls on each CPU, until it is killed.
fn load() {
    std::thread::scope(|scope| {
        for _ in 0..cpus() {
            scope.spawn(|| loop {
                for _ in 0..50 {
                    // SAFETY: getppid, which touches nothing.
                    unsafe { sys::call(110, [0; 6]) };
                }
                let _ = File::open("/no/such/file");
                std::thread::yield_now();
            });
        }
    });
}

const SIGKILL: i32 = 9;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let rounds: usize = rounds.unwrap_or(200);
    sys::adopt();
    let [ready, within, fork, other_ready, other_within, other_fork, ..] = sys::shared();
    let told = Told {
        ready,
        within,
        fork,
    };
    let other = Told {
        ready: other_ready,
        within: other_within,
        fork: other_fork,
    };
    let load = sys::spawn(load);
    let mut random = Random::new(1);
    let mut killed: BTreeMap<State, (u32, u32)> = BTreeMap::new();
    for round in 0..rounds {
        let state = STATES[round % STATES.len()];
        sys::load_module(MODULE, state.parameters());
        for told in [&told, &other] {
            told.ready.store(0, SeqCst);
            told.within.store(0, SeqCst);
        }
        let beside = (state == State::Beside).then(|| {
            let beside = sys::spawn(|| victim(State::Active, &other));
            until("a consumer beside", || other.ready.load(SeqCst) != 0);
            beside
        });
        if beside.is_some() {
            // The table of consumers has room for two from now on, until there are none.
            drop(Consumer::new(&told));
        }
        let before = Held::now();
        let victim = sys::spawn(|| victim(state, &told));
        until("a victim", || told.ready.load(SeqCst) != 0);
        match state.within() {
            // At some time, or as soon as it is there.
            Some(_) if round % 3 == 0 => sleep_ms(random.below(40) as u64),
            Some(request) => until("an ioctl", || told.within.load(SeqCst) == request),
            None => sleep_ms(random.below(10) as u64),
        }
        if state == State::Executed {
            let comm = format!("/proc/{victim}/comm");
            let is_it = || std::fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n");
            until("another program", is_it);
        }
        sys::kill(victim);
        assert_eq!(sys::wait(victim), SIGKILL, "{state:?}: it ended by itself");
        if state == State::Forked {
            let held = Held::now();
            assert!(held.consumers == 1 && held.bytes > 0, "{held}");
            assert_ne!(
                sys::delete_module(c"dtrace"),
                0,
                "it went while it was open"
            );
            let fork = told.fork.load(SeqCst) as i32;
            sys::kill(fork);
            sys::wait(fork);
        }
        assert_eq!(Held::now(), before, "round {round}, {state:?}");
        if let Some(beside) = beside {
            assert_eq!(before.consumers, 1);
            sys::kill(beside);
            sys::wait(beside);
        }
        Held::assert_nothing(&format!("after round {round}, {state:?}"));
        assert_eq!(
            sys::delete_module(c"dtrace"),
            0,
            "round {round}, {state:?}: it stays"
        );
        let count = killed.entry(state).or_default();
        count.0 += 1;
        let is_within = match state.within() {
            Some(request) => told.within.load(SeqCst) == request,
            None => told.within.load(SeqCst) != 0,
        };
        count.1 += u32::from(is_within);
    }
    sys::kill(load);
    sys::wait(load);
    for (state, (times, within)) in &killed {
        let state_name = format!("{state:?}");
        println!("{state_name:20} {times:4} killed, {within:4} of them in an ioctl");
        let must = state.within().is_some() && rounds >= 4 * STATES.len();
        assert!(!must || *within > 0, "{state:?}: never in its ioctl");
    }
    println!("{rounds} rounds: nothing held, and the module went at once each time");
}
