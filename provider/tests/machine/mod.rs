// SPDX-License-Identifier: GPL-2.0
//! A machine for tests: one thread plays all CPUs in turn, cross-calls run at once, and expressions are
//! Rust. A firing can be interrupted from within an expression, which is how calls land in one.
#![allow(dead_code, reason = "each test file uses its part")]

use dtrace_interface::action::ActionKind;
use dtrace_interface::dif::DifType;
use dtrace_provider::memory::List;
use dtrace_provider::{
    ActionDescription, Called, ClauseDescription, Control, Error, Expression, Fault, Machine,
    Options, Pattern, Provider, Site, Surroundings,
};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

pub const CPUS: usize = 3;

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
    static PROCESS: Cell<u32> = const { Cell::new(100) };
    static OFFLINE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// What happens while the control side pauses: the interrupted firing goes on.
    static ON_PAUSE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
    pub static PAUSES: Cell<u32> = const { Cell::new(0) };
    /// Calls that reach nobody from now on.
    pub static UNREACHED: Cell<u32> = const { Cell::new(0) };
    /// How long a pause of this thread takes, and how long all of them took.
    pub static PAUSE_NS: Cell<u64> = const { Cell::new(0) };
    static PASSED_NS: Cell<u64> = const { Cell::new(0) };
    /// CPUs that were late, and for how many nanoseconds.
    pub static LATE: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
    static HELD: Cell<bool> = const { Cell::new(false) };
    /// Pauses with CPUs held.
    pub static HELD_PAUSES: Cell<u32> = const { Cell::new(0) };
}

/// From now on this thread is that CPU.
pub fn on(cpu: usize) {
    CPU.set(cpu);
}

pub fn as_process(process: u32) {
    PROCESS.set(process);
}

pub fn set_offline(cpus: &[usize]) {
    OFFLINE.set(cpus.to_vec());
}

pub struct Bench;

/// What an expression of tests does with the arguments.
type Run = Box<dyn Fn(&[u64; 10]) -> Result<u64, Fault> + Send + Sync>;

/// An expression of tests.
pub struct Test {
    pub result: DifType,
    pub run: Run,
    /// What is stored of an expression by reference.
    pub text: Vec<u8>,
}

#[derive(Default)]
pub struct Environment {
    frames: Vec<u64>,
}

// SAFETY: one thread plays all CPUs, so nothing interrupts a firing but what a test does in it.
unsafe impl Machine for Bench {
    type Irqs = ();
    type Environment = Environment;
    type Expression = Test;

    fn irqs_off(&self) {}
    fn irqs_restore(&self, (): ()) {}

    fn this_cpu(&self) -> usize {
        CPU.get()
    }

    fn call(&self, cpu: usize, function: &(dyn Fn() + Sync)) -> Called {
        if OFFLINE.with_borrow(|offline| offline.contains(&cpu)) {
            return Called::Offline;
        }
        if UNREACHED.get() > 0 {
            UNREACHED.set(UNREACHED.get() - 1);
            return Called::NotReached;
        }
        let from = CPU.replace(cpu);
        function();
        CPU.set(from);
        Called::Ran
    }

    fn hold_cpus(&self) {
        assert!(!HELD.replace(true));
    }

    fn release_cpus(&self) {
        assert!(HELD.replace(false));
    }

    fn is_online(&self, cpu: usize) -> bool {
        !OFFLINE.with_borrow(|offline| offline.contains(&cpu))
    }

    fn pause(&self) {
        PAUSES.set(PAUSES.get() + 1);
        PASSED_NS.set(PASSED_NS.get() + PAUSE_NS.get());
        HELD_PAUSES.set(HELD_PAUSES.get() + u32::from(HELD.get()));
        assert!(PAUSES.get() < 1_000_000, "it waits for ever");
    }

    fn is_late(&self, cpu: usize, waited_ns: u64) {
        LATE.with_borrow_mut(|late| late.push((cpu, waited_ns)));
    }

    fn now_ns(&self) -> u64 {
        NOW_NS.load(Ordering::Relaxed) + PASSED_NS.get()
    }

    fn environment(&self, _: usize) -> Result<Environment, Error> {
        Ok(Environment::default())
    }

    fn variables(
        &self,
        _: &Options,
        programs: &mut dyn Iterator<Item = &Test>,
    ) -> Result<(), Error> {
        programs.for_each(drop);
        Ok(())
    }
}

pub static NOW_NS: AtomicU64 = AtomicU64::new(0);

impl Surroundings for Environment {
    fn process(&self) -> u32 {
        PROCESS.get()
    }

    fn kernel_stack(&mut self, frames: usize) -> &[u64] {
        self.frames = (0..frames.min(3) as u64).map(|n| 0xffff_0000 + n).collect();
        &self.frames
    }

    fn user_stack(&mut self, frames: usize) -> &[u64] {
        self.frames = (0..frames.min(2) as u64).map(|n| 0x1000 + n).collect();
        &self.frames
    }
}

impl Expression for Test {
    type Environment = Environment;
    type Variables = ();

    fn result(&self) -> DifType {
        self.result
    }

    fn begin_firing(_: &mut Environment) {}

    fn begin(_: &mut Environment) {}

    fn begin_clause(_: &mut Environment) {}

    fn value(&self, site: &Site<'_, ()>, _: &mut Environment) -> Result<u64, Fault> {
        (self.run)(site.args)
    }

    fn store(
        &self,
        site: &Site<'_, ()>,
        environment: &mut Environment,
        to: &mut [u8],
    ) -> Result<(), Fault> {
        let value = self.value(site, environment)?;
        if self.result.is_by_ref() {
            let n = self.text.len().min(to.len());
            to[..n].copy_from_slice(&self.text[..n]);
        } else {
            let n = to.len();
            to.copy_from_slice(&value.to_le_bytes()[..n]);
        }
        Ok(())
    }
}

/// An integer of `size` bytes.
pub fn integer(
    size: u32,
    run: impl Fn(&[u64; 10]) -> Result<u64, Fault> + Send + Sync + 'static,
) -> Test {
    Test {
        result: DifType::integer(size),
        run: Box::new(run),
        text: Vec::new(),
    }
}

pub fn argument(n: usize) -> Test {
    integer(8, move |args| Ok(args[n]))
}

pub fn string(text: &str) -> Test {
    Test {
        result: DifType::string(0),
        run: Box::new(|_| Ok(0)),
        text: text.into(),
    }
}

pub fn action(kind: ActionKind, expression: Option<Test>) -> ActionDescription<Test> {
    ActionDescription {
        kind,
        expression,
        key_actions: 0,
        argument: 0,
        user_argument: 0,
        format: None,
    }
}

pub fn trace(expression: Test) -> ActionDescription<Test> {
    action(ActionKind::DifExpression, Some(expression))
}

pub fn list<T>(values: impl IntoIterator<Item = T>) -> List<T> {
    let mut list = List::new();
    for value in values {
        list.push(value).unwrap();
    }
    list
}

/// A clause at the probes that `pattern` names by `provider:module:function:name`.
pub fn clause<'a>(
    pattern: &'a str,
    predicate: Option<Test>,
    actions: impl IntoIterator<Item = ActionDescription<Test>>,
) -> ClauseDescription<'a, Test> {
    let mut parts = pattern.split(':').map(str::as_bytes);
    let mut next = || parts.next().unwrap_or_default();
    ClauseDescription {
        pattern: Pattern {
            id: 0,
            provider: next(),
            module: next(),
            function: next(),
            name: next(),
        },
        predicate,
        actions: list(actions),
        user_argument: 0,
    }
}

/// A provider that remembers what it was told.
#[derive(Default)]
pub struct Recorder {
    pub told: Mutex<Vec<(&'static str, u32)>>,
    /// The probe that it cannot enable.
    pub refuses: AtomicU64,
}

impl Provider for Recorder {
    fn enable(&self, probe: u32, _: u64) -> Result<(), Error> {
        if self.refuses.load(Ordering::Relaxed) == u64::from(probe) {
            return Err(Error::Unsupported("this probe"));
        }
        self.told.lock().unwrap().push(("enable", probe));
        Ok(())
    }

    fn disable(&self, probe: u32, _: u64) {
        self.told.lock().unwrap().push(("disable", probe));
    }
}

impl Recorder {
    pub fn take(&self) -> Vec<(&'static str, u32)> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// A framework with a provider `test` that has the probes `::a:entry`, `::b:entry`... Their numbers are
/// 4 and on.
pub fn framework(functions: &[&str]) -> (Control<Bench>, &'static Recorder) {
    on(0);
    as_process(100);
    set_offline(&[]);
    PAUSES.set(0);
    let mut control = Control::new(Bench, CPUS).unwrap();
    let recorder: &Recorder = Box::leak(Box::default());
    let provider = control.register(b"test", recorder).unwrap();
    for function in functions {
        control
            .create_probe(provider, b"m", function.as_bytes(), b"entry", 0)
            .unwrap();
    }
    (control, recorder)
}

pub fn args(first: u64) -> [u64; 10] {
    let mut args = [0; 10];
    args[0] = first;
    args
}
