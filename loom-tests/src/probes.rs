// SPDX-License-Identifier: GPL-2.0
//! A machine for models of probes: CPU 0 is a loom thread that fires, CPU 1 the control side.
//!
//! A cross-call to CPU 0 is a word: the control side puts it to ASKED, CPU 0 looks at it at the points of a
//! firing that the model names (the call lands there, as an NMI would), and when it has nothing more to do
//! it is off line for good, so that calls still to come act on its behalf.
//!
//! The control side parks while it waits for a call, whose end wakes it. Its pauses wake by nothing, as
//! that would order what the code under test has to; the first of them end at once, so that it may ask
//! again before anything has happened.

use dtrace_interface::dif::DifType;
use dtrace_provider::memory::List;
use dtrace_provider::model::{set_hook, Point};
use dtrace_provider::{
    ActionDescription, Called, ClauseDescription, ConsumerId, Control, DynamicDrops, Error,
    Expression, Fault, Framework, Machine, Options, Pattern, Provider, Site, Surroundings,
    Variables,
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread::{self, Thread};
use std::cell::Cell;
use std::sync::atomic::AtomicU32 as StdAtomicU32;
use std::sync::Mutex;

/// The first probe that is not the framework's own.
pub const PROBE: u32 = 4;

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const RUNNING: u32 = 2;
const DONE: u32 = 3;
/// CPU 0 is off line.
const AWAY: u32 = 4;
/// So it is, and the last call is done.
const AWAY_DONE: u32 = 5;

loom::thread_local! {
    static CPU: Cell<usize> = Cell::new(1);
}

/// A call's function, on the control side's stack until it is done.
struct Call(*const (dyn Fn() + Sync));

// SAFETY: the caller waits until the call is done.
unsafe impl Send for Call {}

/// The machine.
pub struct Bench {
    word: AtomicU32,
    /// The machine's, not the code's under test: not loom's.
    call: Mutex<Option<Call>>,
    /// Whether CPU 0 is on line for GO, which makes buffers.
    online: AtomicBool,
    /// The control side's thread while it may park.
    control: Mutex<Option<Thread>>,
    /// Pauses that end at once.
    short_pauses: StdAtomicU32,
}

impl Bench {
    /// Runs the call that was asked for. Within it no other lands.
    fn run(&self, then: u32) {
        self.word.store(RUNNING, Ordering::Relaxed);
        let call = self.call.lock().unwrap().take();
        if let Some(call) = call {
            // SAFETY: the caller waits until the call is done.
            unsafe { (*call.0)() };
        }
        self.word.store(then, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let control = self.control.lock().unwrap().clone();
        if let Some(control) = control {
            control.unpark();
        }
    }

    /// CPU 0 reaches `point`; a call may land at `at`.
    pub fn reached(&self, point: Point, at: Option<Point>) {
        if Some(point) == at && self.word.load(Ordering::Acquire) == ASKED {
            self.run(DONE);
        }
    }

    /// CPU 0: a call lands here.
    fn land(&self) {
        while self.word.load(Ordering::Acquire) != ASKED {
            thread::yield_now();
        }
        self.run(DONE);
    }

    /// CPU 0: nothing more to do.
    fn go_away(&self) {
        loop {
            let to = match self.word.load(Ordering::Acquire) {
                ASKED => {
                    self.run(AWAY_DONE);
                    return;
                }
                IDLE => (IDLE, AWAY),
                done => (done, AWAY_DONE),
            };
            // The control side asks, or takes note of DONE, at the same time: once more then.
            if self.step(to.0, to.1) {
                return;
            }
        }
    }

    fn step(&self, from: u32, to: u32) -> bool {
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

// SAFETY: a loom thread plays a CPU; what interrupts it is what a model puts at its points.
unsafe impl Machine for &'static Bench {
    type Irqs = ();
    type Environment = Environment;
    type Expression = Value;

    fn irqs_off(&self) {}
    fn irqs_restore(&self, (): ()) {}

    fn this_cpu(&self) -> usize {
        CPU.with(Cell::get)
    }

    fn call(&self, cpu: usize, function: &(dyn Fn() + Sync)) -> Called {
        if cpu == 1 {
            function();
            return Called::Ran;
        }
        // SAFETY: the lifetime is taken off for a call that is waited for below.
        let call = unsafe {
            std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(function)
        };
        *self.call.lock().unwrap() = Some(Call(call));
        if !self.step(IDLE, ASKED) {
            self.call.lock().unwrap().take();
            return Called::Offline;
        }
        loop {
            match self.word.load(Ordering::Acquire) {
                DONE | AWAY_DONE => {
                    // Away it stays.
                    self.step(DONE, IDLE);
                    return Called::Ran;
                }
                _ => thread::park(),
            }
        }
    }

    fn hold_cpus(&self) {}
    fn release_cpus(&self) {}

    fn is_online(&self, cpu: usize) -> bool {
        cpu == 1 || self.online.load(Ordering::Relaxed)
    }

    fn pause(&self) {
        // Not loom's: it is the machine, and the control side's alone.
        let short = self.short_pauses.load(Ordering::Relaxed);
        if short > 0 {
            self.short_pauses.store(short - 1, Ordering::Relaxed);
            return;
        }
        thread::yield_now();
    }

    fn now_ns(&self) -> u64 {
        0
    }

    fn environment(&self, _: usize) -> Result<Environment, Error> {
        Ok(Environment)
    }

    fn variables(
        &self,
        _: &Options,
        programs: &mut dyn Iterator<Item = &Value>,
    ) -> Result<Life, Error> {
        programs.for_each(drop);
        Ok(Life::new())
    }
}

/// Memory that a probe may read: a read after its end fails the model, as loom sees both.
pub struct Life(UnsafeCell<u32>);

// SAFETY: loom reports accesses that nothing orders, which is what the models are for.
unsafe impl Sync for Life {}
// SAFETY: as for Sync.
unsafe impl Send for Life {}

impl Life {
    fn new() -> Self {
        Self(UnsafeCell::new(1))
    }

    fn is_read(&self) {
        // SAFETY: loom checks it.
        let alive = self.0.with(|life| unsafe { *life });
        assert_eq!(alive, 1, "read after its end");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // SAFETY: loom checks it.
        self.0.with_mut(|life| unsafe { *life = 0 });
    }
}

impl Variables for Life {
    fn drops(&self, _: Option<usize>) -> DynamicDrops {
        DynamicDrops::default()
    }

    fn clean(&self, _: &dyn Fn()) -> bool {
        false
    }
}

pub struct Environment;

impl Surroundings for Environment {
    fn process(&self) -> u32 {
        7
    }

    fn kernel_stack(&mut self, _: usize) -> &[u64] {
        &[]
    }

    fn user_stack(&mut self, _: usize) -> &[u64] {
        &[]
    }
}

/// The first argument.
pub struct Value(Life);

impl Expression for Value {
    type Environment = Environment;
    type Variables = Life;

    fn result(&self) -> DifType {
        DifType::integer(8)
    }

    fn begin_firing(_: &mut Environment) {}

    fn begin(_: &mut Environment) {}

    fn begin_clause(_: &mut Environment) {}

    fn value(&self, site: &Site<'_, Life>, _: &mut Environment) -> Result<u64, Fault> {
        self.0.is_read();
        site.variables.is_read();
        Ok(site.args[0])
    }

    fn store(
        &self,
        site: &Site<'_, Life>,
        environment: &mut Environment,
        to: &mut [u8],
    ) -> Result<(), Fault> {
        let value = self.value(site, environment)?;
        to.copy_from_slice(&value.to_ne_bytes());
        Ok(())
    }
}

struct Quiet;

impl Provider for Quiet {
    fn enable(&self, _: u32, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn disable(&self, _: u32, _: u64) {}
}

/// A machine, its framework and a probe.
pub struct Probes {
    pub bench: &'static Bench,
    pub control: Control<&'static Bench>,
}

impl Probes {
    pub fn new() -> Self {
        Self::with_cpu_online(true)
    }

    /// With CPU 0 off line when GO makes the buffers.
    pub fn with_cpu_online(is_online: bool) -> Self {
        let bench: &'static Bench = Box::leak(Box::new(Bench {
            word: AtomicU32::new(IDLE),
            call: Mutex::new(None),
            online: AtomicBool::new(is_online),
            control: Mutex::new(Some(thread::current())),
            short_pauses: StdAtomicU32::new(2),
        }));
        let mut control = Control::new(bench, 2).unwrap();
        let provider = control.register(b"test", &Quiet).unwrap();
        let probe = control.create_probe(provider, b"", b"", b"p", 0);
        assert_eq!(probe, Ok(PROBE));
        Self { bench, control }
    }

    /// CPU 0 is on line from now on.
    pub fn bring_online(&self) {
        self.bench.online.store(true, Ordering::Relaxed);
    }

    /// A consumer that records the first argument.
    pub fn consumer(&mut self) -> ConsumerId {
        let consumer = self.control.open(1).unwrap();
        for option in [0, 3] {
            self.control.set_option(consumer, option, 64).unwrap();
        }
        self.enable(consumer);
        consumer
    }

    pub fn enable(&mut self, consumer: ConsumerId) {
        let mut actions = List::new();
        let action = ActionDescription {
            kind: dtrace_interface::action::ActionKind::DifExpression,
            expression: Some(Value(Life::new())),
            key_actions: 0,
            argument: 0,
            user_argument: 0,
            format: None,
        };
        actions.push(action).unwrap();
        let clause = ClauseDescription {
            pattern: Pattern {
                id: PROBE,
                ..Pattern::default()
            },
            predicate: None,
            actions,
            user_argument: 0,
        };
        assert_eq!(self.control.enable(consumer, clause), Ok(1));
    }

    /// CPU 0 does `work` and then goes away.
    pub fn on_cpu_0(
        &self,
        work: impl FnOnce(&'static Bench, &Framework<&'static Bench>) + 'static,
    ) -> thread::JoinHandle<()> {
        let bench = self.bench;
        let framework = self.control.framework().clone();
        thread::spawn(move || {
            CPU.with(|cpu| cpu.set(0));
            work(bench, &framework);
            bench.go_away();
        })
    }

    /// CPU 0 fires each of `values`; a call may land at `at` of each firing.
    pub fn fires(&self, at: Option<Point>, values: &'static [u64]) -> thread::JoinHandle<()> {
        self.on_cpu_0(move |bench, framework| {
            set_hook(Box::new(move |point| {
                bench.reached(point, at);
            }));
            for value in values {
                framework.fire(PROBE, &args(*value));
            }
        })
    }

    /// CPU 0 fires each of `values`; a call lands at the first of the points `at` that it comes to, one at
    /// the next then, and so on: it waits for them there.
    pub fn fires_asked_at(&self, at: Vec<Point>, values: &'static [u64]) -> thread::JoinHandle<()> {
        self.on_cpu_0(move |bench, framework| {
            let mut left = at.into_iter().peekable();
            set_hook(Box::new(move |point| {
                if left.next_if_eq(&point).is_some() {
                    bench.land();
                }
            }));
            for value in values {
                framework.fire(PROBE, &args(*value));
            }
        })
    }

    /// Waits for CPU 0's end. Nothing wakes this thread meanwhile: loom takes a join for a park.
    pub fn join(&self, cpu: thread::JoinHandle<()>) {
        *self.bench.control.lock().unwrap() = None;
        cpu.join().unwrap();
    }

    /// The values in CPU 0's buffer, which must be whole records, and none dropped.
    pub fn snapshot(&mut self, consumer: ConsumerId) -> Vec<u64> {
        let (values, drops) = self.snapshot_and_drops(consumer);
        assert_eq!(drops, 0);
        values
    }

    /// The same, and how many were dropped.
    pub fn snapshot_and_drops(&mut self, consumer: ConsumerId) -> (Vec<u64>, u64) {
        let mut values = vec![];
        let copy = |bytes: &[u8]| {
            for record in bytes.chunks(16) {
                let long = |at| u64::from_ne_bytes(record[at..at + 8].try_into().unwrap());
                assert_eq!(long(0), 1, "half a record");
                values.push(long(8));
            }
            Ok(())
        };
        let snapshot = self.control.snapshot(consumer, 0, copy).unwrap();
        assert_eq!(snapshot.errors, 0);
        (values, snapshot.drops)
    }
}

pub fn args(first: u64) -> [u64; 10] {
    let mut args = [0; 10];
    args[0] = first;
    args
}

/// Every step of a firing.
pub const POINTS: [Point; 8] = [
    Point::Entered,
    Point::EcbSeen,
    Point::Admitted,
    Point::Reserved,
    Point::Written,
    Point::Committed,
    Point::Served,
    Point::Left,
];
