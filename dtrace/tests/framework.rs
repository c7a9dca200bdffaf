// SPDX-License-Identifier: GPL-2.0
//! The command's sessions on the module's own framework and interpreter, on a machine of threads that
//! do not exist: what the kernel's side writes is what the command's side reads.

use dif::{BuiltIn, Environment, FaultKind};
use dtrace::device::{Aggregation, Buffer, Device, EnabledProbe, Probe, Snapshot};
use dtrace::event::Event;
use dtrace::name::ProbeName;
use dtrace::options::Options;
use dtrace::program::{Aggregate, Clause, Equals, Printa, Printf};
use dtrace::record::Value;
use dtrace::session::{matching, Session, Standing};
use dtrace::symbols::Symbols;
use dtrace_interface::accounting::Accounting;
use dtrace_interface::action::ActionKind;
use dtrace_interface::conf::Configuration;
use dtrace_interface::options::{OptionId, UNSET};
use dtrace_interface::status::Status;
use dtrace_interface::variable::BuiltIn as Variable;
use dtrace_interface::{Plain, CPU_ALL};
use dtrace_program::{clauses, Cpu, Program, State};
use dtrace_provider::{
    Called, ConsumerId, Control, Error, Expression, Machine, Pattern, Provider, Surroundings,
};
use std::cell::{Cell, RefCell};
use std::io;

const CPUS: usize = 2;

/// The process that traces.
const TRACER: u32 = 99;

/// Where the traced process has a string.
const STRING_AT: u64 = 0x7000_0000;

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
    static PROCESS: Cell<u32> = const { Cell::new(7) };
}

struct Fake;

impl Environment for Fake {
    fn kernel(&mut self, _: u64, _: &mut [u8]) -> Result<(), FaultKind> {
        Err(FaultKind::BadAddress)
    }

    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        const TEXT: &[u8] = b"/etc/passwd\0";
        let from = address
            .checked_sub(STRING_AT)
            .ok_or(FaultKind::BadAddress)? as usize;
        if from > TEXT.len() {
            return Err(FaultKind::BadAddress);
        }
        let all = TEXT[from..].iter().copied().chain(std::iter::repeat(0));
        into.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        Ok(())
    }

    fn number(&mut self, builtin: BuiltIn, _: u64) -> Result<u64, FaultKind> {
        match builtin {
            BuiltIn::Pid => Ok(PROCESS.get().into()),
            BuiltIn::Uid => Ok(u32::MAX.into()),
            _ => Ok(0),
        }
    }

    fn text(&mut self, _: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        into[..3].copy_from_slice(b"cat");
        Ok(3)
    }

    fn thread(&mut self) -> u64 {
        1
    }

    fn progeny_of(&mut self, _: u64) -> Result<bool, FaultKind> {
        Ok(false)
    }

    fn random(&mut self) -> u64 {
        4
    }
}

impl Surroundings for Fake {
    fn process(&self) -> u32 {
        PROCESS.get()
    }

    fn kernel_stack(&mut self, frames: usize) -> &[u64] {
        const STACK: &[u64] = &[0xffff_1000, 0xffff_2000];
        &STACK[..frames.min(STACK.len())]
    }

    fn user_stack(&mut self, _: usize) -> &[u64] {
        &[0x40_1000]
    }
}

struct Host;

// SAFETY: one thread plays all CPUs in turn, so nothing interrupts a firing, and a call is a call.
unsafe impl Machine for Host {
    type Irqs = ();
    type Environment = Cpu<Fake>;
    type Expression = Program<Fake>;

    fn irqs_off(&self) {}
    fn irqs_restore(&self, (): ()) {}

    fn this_cpu(&self) -> usize {
        CPU.get()
    }

    fn call(&self, cpu: usize, function: &(dyn Fn() + Sync)) -> Called {
        let from = CPU.replace(cpu);
        function();
        CPU.set(from);
        Called::Ran
    }

    fn hold_cpus(&self) {}
    fn release_cpus(&self) {}

    fn is_online(&self, _: usize) -> bool {
        true
    }

    fn pause(&self) {}

    fn now_ns(&self) -> u64 {
        0
    }

    fn environment(&self, _: usize) -> Result<Cpu<Fake>, Error> {
        Ok(Cpu::new(Fake)?)
    }

    fn variables(
        &self,
        options: &dtrace_provider::Options,
        programs: &mut dyn Iterator<Item = &Program<Fake>>,
    ) -> Result<<Program<Fake> as Expression>::Variables, Error> {
        State::new(options, programs, CPUS)
    }
}

struct Probes;

impl Provider for Probes {
    fn enable(&self, _: u32, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn disable(&self, _: u32, _: u64) {}
}

static PROBES: Probes = Probes;

/// The framework as a device, as the module's ioctls make it one.
struct Framework {
    control: RefCell<Control<Host>>,
    consumer: ConsumerId,
}

impl Framework {
    fn new(functions: &[&str]) -> Self {
        CPU.set(0);
        PROCESS.set(7);
        let mut control = Control::new(Host, CPUS).unwrap();
        let provider = control.register(b"syscall", &PROBES).unwrap();
        for function in functions {
            let function = function.as_bytes();
            control
                .create_probe(provider, b"vmlinux", function, b"entry", 0)
                .unwrap();
        }
        let consumer = control.open(TRACER).unwrap();
        Self {
            control: control.into(),
            consumer,
        }
    }

    /// A probe fires on a CPU.
    fn fire(&self, cpu: usize, function: &str, args: &[u64]) {
        let control = self.control.borrow();
        let pattern = Pattern {
            function: function.as_bytes(),
            ..Pattern::default()
        };
        let probe = control.first_match(0, &pattern).unwrap().id;
        let mut all = [0; 10];
        all[..args.len()].copy_from_slice(args);
        CPU.set(cpu);
        control.framework().fire(probe, &all);
        CPU.set(0);
    }
}

fn refused(error: Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

impl Device for Framework {
    fn configuration(&self) -> io::Result<Configuration> {
        Ok(Configuration {
            buffers: CPUS as u32,
            ..Configuration::ZERO
        })
    }

    fn probe(&self, from: u32, name: &ProbeName) -> io::Result<Option<Probe>> {
        let pattern = Pattern {
            id: 0,
            provider: name.provider.as_bytes(),
            module: name.module.as_bytes(),
            function: name.function.as_bytes(),
            name: name.name.as_bytes(),
        };
        let control = self.control.borrow();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok(control.first_match(from, &pattern).map(|probe| Probe {
            id: probe.id,
            name: ProbeName {
                provider: text(probe.name.provider()),
                module: text(probe.name.module()),
                function: text(probe.name.function()),
                name: text(probe.name.name()),
            },
        }))
    }

    fn enable(&self, dof: &[u8]) -> io::Result<u32> {
        let mut control = self.control.borrow_mut();
        let program = dof::load(dof).expect("the command writes programs that hold");
        for setting in program.options() {
            let set = control.set_option(self.consumer, setting.option.raw(), setting.value);
            set.map_err(refused)?;
        }
        let strsize = control.options(self.consumer).unwrap().string_size();
        let clauses = clauses(&program, strsize);
        let mut clauses = clauses.unwrap_or_else(|unfit| panic!("a program is refused: {unfit}"));
        clauses.reverse();
        let mut count = 0;
        while let Some(clause) = clauses.pop() {
            count += control.enable(self.consumer, clause).map_err(refused)?;
        }
        Ok(count as u32)
    }

    fn refusal(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn go(&self) -> io::Result<u32> {
        let went = self.control.borrow_mut().go(self.consumer);
        went.map(|cpu| cpu as u32).map_err(refused)
    }

    fn stop(&self) -> io::Result<u32> {
        let stopped = self.control.borrow_mut().stop(self.consumer);
        stopped.map(|cpu| cpu as u32).map_err(refused)
    }

    fn status(&self) -> io::Result<Status> {
        let mut control = self.control.borrow_mut();
        control.status(self.consumer).map_err(refused)
    }

    fn enabled(&self, epid: u32) -> io::Result<EnabledProbe> {
        let control = self.control.borrow();
        let found = control
            .enabled_probe(self.consumer, epid)
            .map_err(refused)?;
        Ok(EnabledProbe {
            epid,
            probe: found.probe,
            user_argument: found.clause.user_argument(),
            size: found.clause.size() as u32,
            records: found.clause.records().copied().collect(),
        })
    }

    fn aggregation(&self, id: u32) -> io::Result<Aggregation> {
        let control = self.control.borrow();
        let found = control.aggregation(self.consumer, id).map_err(refused)?;
        let (epid, size, records) = found;
        Ok(Aggregation {
            id,
            epid,
            size,
            records: records.copied().collect(),
        })
    }

    fn format(&self, number: u16) -> io::Result<String> {
        let control = self.control.borrow();
        let text = control.format(self.consumer, number).map_err(refused)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn options(&self) -> io::Result<Vec<(OptionId, u64)>> {
        let control = self.control.borrow();
        let options = control.options(self.consumer).map_err(refused)?;
        let all = OptionId::ALL.iter().map(|id| (*id, options.get(*id)));
        Ok(all.filter(|(_, value)| *value != UNSET).collect())
    }

    fn snapshot(&self, buffer: Buffer, cpu: u32, room: &mut [u8]) -> io::Result<Option<Snapshot>> {
        let mut control = self.control.borrow_mut();
        let copy = |bytes: &[u8]| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(())
        };
        let cpu = cpu as usize;
        let taken = match buffer {
            Buffer::Principal => control.snapshot(self.consumer, cpu, copy),
            Buffer::Aggregation => control.aggregation_snapshot(self.consumer, cpu, copy),
        };
        let taken = taken.map_err(refused)?;
        Ok(Some(Snapshot {
            size: taken.size as u64,
            oldest: taken.oldest as u64,
            drops: taken.drops,
            errors: taken.errors as u32,
        }))
    }

    fn accounting(&self, cpu: u32, epid: u32) -> io::Result<Accounting> {
        let control = self.control.borrow();
        let on = (cpu != CPU_ALL).then_some(cpu as usize);
        let counts = control.counts(self.consumer, epid, on).map_err(refused)?;
        Ok(Accounting {
            cpu,
            hits: counts.hits,
            records: counts.records,
            drops: counts.drops,
            predicate_false: counts.predicate_false,
            self_filtered: counts.self_filtered,
            inactive: counts.inactive,
            errors: counts.errors,
            ..Accounting::ZERO
        })
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set(OptionId::BufferSize, 4096);
    options.set(OptionId::AggregationSize, 8192);
    options
}

fn clause(name: &str, record: &[&str]) -> Clause {
    Clause {
        name: name.parse().unwrap(),
        record: record.iter().map(|field| field.parse().unwrap()).collect(),
        ..Clause::default()
    }
}

/// What a session told of: records as text, and the rest.
#[derive(Default)]
struct Told {
    records: Vec<String>,
    others: Vec<String>,
}

impl Told {
    fn note(&mut self, event: Event<'_>) -> anyhow::Result<()> {
        match event {
            Event::Record(record) => {
                let name = &record.enabled.probe.name;
                let values: Vec<String> = record
                    .values()
                    .map(|(_, value)| match value {
                        Value::Signed(number) => number.to_string(),
                        Value::Unsigned(number) => number.to_string(),
                        Value::Text(text) => text,
                        other => format!("{other:x?}"),
                    })
                    .collect();
                let what = format!("{}:{}", name.function, name.name);
                self.records
                    .push(format!("{} {what} {}", record.cpu, values.join(" ")));
                if let Some(printed) = record.printed(&Symbols::default()) {
                    self.others.push(printed);
                }
            }
            Event::Printed(printed) => self.others.push(format!("{printed:?}")),
            Event::Drops(drops) => self.others.push(drops.to_string()),
            Event::Fault(fault) => self.others.push(fault.to_string()),
            Event::Damage(damage) => self.others.push(damage.to_string()),
            Event::Exit(status) => self.others.push(format!("exit {status}")),
        }
        Ok(())
    }
}

#[test]
fn every_kind_of_field() {
    let device = Framework::new(&["openat"]);
    let mut session = Session::new(&device, options()).unwrap();
    let fields = [
        "pid",
        "uid",
        "execname",
        "copyinstr(arg1)",
        "arg0",
        "probefunc",
        "stack",
        "ustack",
    ];
    assert_eq!(session.enable(clause("BEGIN", &[])).unwrap(), 1);
    assert_eq!(session.enable(clause("openat:", &fields)).unwrap(), 1);
    assert_eq!(session.enable(clause("END", &["pid"])).unwrap(), 1);
    session.go().unwrap();
    device.fire(1, "openat", &[-100_i64 as u64, STRING_AT]);
    device.fire(0, "openat", &[1, STRING_AT + 5]);
    let mut told = Told::default();
    session.consume(&mut |event| told.note(event)).unwrap();
    device.fire(1, "openat", &[2, STRING_AT]);
    session.stop(&mut |event| told.note(event)).unwrap();
    let stacks = "Stack([ffff1000, ffff2000]) Stack([401000])";
    assert_eq!(
        told.records,
        [
            "0 :BEGIN ".to_owned(),
            format!("0 openat:entry 7 4294967295 cat passwd 1 openat {stacks}"),
            format!("1 openat:entry 7 4294967295 cat /etc/passwd -100 openat {stacks}"),
            format!("1 openat:entry 7 4294967295 cat /etc/passwd 2 openat {stacks}"),
            "0 :END 7".to_owned(),
        ]
    );
    assert_eq!(told.others, [""; 0]);
}

#[test]
fn predicates_filters_and_accounting() {
    let device = Framework::new(&["getppid"]);
    let mut session = Session::new(&device, options()).unwrap();
    let mut only = clause("getppid:", &["arg4"]);
    only.predicate = Some(Equals {
        variable: Variable::Arg5,
        value: 0x7863_616c_6c2d_7072,
    });
    session.enable(only).unwrap();
    device.fire(0, "getppid", &[]);
    session.go().unwrap();
    for (sequence, magic) in [
        (1, 0x7863_616c_6c2d_7072),
        (2, 5),
        (3, 0x7863_616c_6c2d_7072),
    ] {
        device.fire(0, "getppid", &[0, 0, 0, 0, sequence, magic]);
    }
    PROCESS.set(TRACER);
    device.fire(0, "getppid", &[0, 0, 0, 0, 4, 0x7863_616c_6c2d_7072]);
    PROCESS.set(7);
    let mut told = Told::default();
    session.stop(&mut |event| told.note(event)).unwrap();
    assert_eq!(told.records, ["0 getppid:entry 1", "0 getppid:entry 3"]);
    let counts = device.accounting(CPU_ALL, 0).unwrap();
    let seen = (counts.hits, counts.records, counts.predicate_false);
    assert_eq!(seen, (5, 2, 1));
    assert_eq!((counts.self_filtered, counts.inactive), (1, 1));
    assert_eq!(dtrace::output::accounting::missing(&counts), 0);
}

#[test]
fn faults_are_told_and_their_records_are_not_there() {
    let device = Framework::new(&["openat"]);
    let mut session = Session::new(&device, options()).unwrap();
    session
        .enable(clause("openat:", &["pid", "copyinstr(arg1)"]))
        .unwrap();
    session.go().unwrap();
    device.fire(1, "openat", &[0, 0x10]);
    device.fire(1, "openat", &[0, STRING_AT]);
    let mut told = Told::default();
    session.stop(&mut |event| told.note(event)).unwrap();
    assert_eq!(told.records, ["1 openat:entry 7 /etc/passwd"]);
    assert_eq!(told.others.len(), 1);
    let fault = &told.others[0];
    let expected = "error on enabled probe ID 2 (ID 4: syscall:vmlinux:openat:entry): \
                    invalid address (0x10) in action #2 at DIF offset";
    assert!(fault.starts_with(expected), "{fault}");
}

#[test]
fn drops_are_counted_to_the_last() {
    let device = Framework::new(&["getppid"]);
    let mut session = Session::new(&device, options()).unwrap();
    session.enable(clause("getppid:", &["arg4"])).unwrap();
    session.go().unwrap();
    let mut told = Told::default();
    for round in 0..3 {
        for sequence in 0..1000 {
            device.fire(round % 2, "getppid", &[0, 0, 0, 0, sequence]);
        }
        session.consume(&mut |event| told.note(event)).unwrap();
    }
    session.stop(&mut |event| told.note(event)).unwrap();
    let counts = device.accounting(CPU_ALL, 0).unwrap();
    assert_eq!(counts.records, told.records.len() as u64);
    assert_eq!(counts.records + counts.drops, 3000);
    let of_one = counts.drops / 3;
    let drops = [0, 1, 0].map(|cpu| format!("{of_one} drops on CPU {cpu}"));
    assert_eq!(told.others, drops);
}

#[test]
fn a_ring_keeps_the_newest_in_order() {
    let device = Framework::new(&["getppid"]);
    let mut options = options();
    options.set(OptionId::BufferSize, 100);
    options.set_text("bufpolicy=ring").unwrap();
    let mut session = Session::new(&device, options).unwrap();
    session.enable(clause("getppid:", &["arg4"])).unwrap();
    session.go().unwrap();
    let mut told = Told::default();
    for fired in 1..=50 {
        device.fire(0, "getppid", &[0, 0, 0, 0, fired]);
    }
    session.consume(&mut |event| told.note(event)).unwrap();
    assert!(told.records.is_empty());
    session.stop(&mut |event| told.note(event)).unwrap();
    let sequences: Vec<u64> = told
        .records
        .iter()
        .map(|record| record.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(sequences.len() >= 4, "{sequences:?}");
    assert_eq!(sequences.last(), Some(&50));
    assert!(
        sequences.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{sequences:?}"
    );
    assert_eq!(told.others, [""; 0]);
}

#[test]
fn a_fill_buffer_ends_the_tracing_when_one_is_full() {
    let device = Framework::new(&["getppid"]);
    let mut options = options();
    options.set(OptionId::BufferSize, 64);
    options.set_text("bufpolicy=fill").unwrap();
    let mut session = Session::new(&device, options).unwrap();
    session.enable(clause("getppid:", &["arg4"])).unwrap();
    session.go().unwrap();
    let mut told = Told::default();
    let mut sink = |event: Event<'_>| told.note(event);
    device.fire(1, "getppid", &[0; 5]);
    assert_eq!(session.check(&mut sink).unwrap(), Standing::Tracing);
    (0..20).for_each(|fired| device.fire(0, "getppid", &[0, 0, 0, 0, fired]));
    assert_eq!(session.check(&mut sink).unwrap(), Standing::Exiting);
    // The others go on until it stops.
    (1..20).for_each(|fired| device.fire(1, "getppid", &[0, 0, 0, 0, fired]));
    session.stop(&mut sink).unwrap();
    let counts = device.accounting(CPU_ALL, 0).unwrap();
    assert_eq!(counts.records, told.records.len() as u64);
    assert_eq!(counts.records + counts.drops, 40);
    // END fired on CPU 0, which therefore comes last.
    assert_eq!(told.records[0], "1 getppid:entry 0");
}

/// The keys and values of one aggregation.
fn aggregated(
    function: ActionKind,
    value: Option<&str>,
    by: &[&str],
) -> Vec<(Vec<Value>, Vec<u64>)> {
    let device = Framework::new(&["read"]);
    let mut session = Session::new(&device, options()).unwrap();
    let mut summary = clause("read:", &[]);
    summary.aggregate = Some(Aggregate {
        function,
        value: value.map(|field| field.parse().unwrap()),
        by: by.iter().map(|field| field.parse().unwrap()).collect(),
    });
    session.enable(summary).unwrap();
    session.go().unwrap();
    let mut told = Told::default();
    for (cpu, size) in [(0, 5), (1, 6), (1, -3_i64 as u64)] {
        device.fire(cpu, "read", &[size]);
        session.aggregate(&mut |event| told.note(event)).unwrap();
    }
    session.stop(&mut |event| told.note(event)).unwrap();
    assert!(told.records.is_empty() && told.others.is_empty());
    let tables: Vec<_> = session.tables().collect();
    assert_eq!(tables.len(), 1);
    let (clause, table) = &tables[0];
    assert_eq!(clause.unwrap().name.function, "read");
    let all = table.sorted(false, false).into_iter();
    all.map(|(key, words)| (key.to_vec(), words.to_vec()))
        .collect()
}

#[test]
fn aggregations_come_back_whole() {
    let key = vec![Value::Text("cat".into()), Value::Signed(7)];
    let by = ["execname", "pid"];
    assert_eq!(aggregated(ActionKind::Count, None, &by), [(key, vec![3])]);
    let one = |function| aggregated(function, Some("arg0"), &[]).remove(0);
    assert_eq!(one(ActionKind::Sum), (vec![], vec![8]));
    assert_eq!(one(ActionKind::Min).1, [-3_i64 as u64]);
    assert_eq!(one(ActionKind::Max).1, [6]);
    assert_eq!(one(ActionKind::Avg).1, [3, 8]);
    assert_eq!(one(ActionKind::Stddev).1, [3, 8, 25 + 36 + 9, 0]);
    let buckets = one(ActionKind::Quantize).1;
    assert_eq!(buckets.iter().sum::<u64>(), 3);
}

#[test]
fn probes_are_listed() {
    let device = Framework::new(&["read", "write"]);
    let all = matching(&device, &ProbeName::default()).unwrap();
    let names: Vec<String> = all.iter().map(|probe| probe.name.to_string()).collect();
    assert_eq!(names.len(), 5);
    assert_eq!(names[4], "syscall:vmlinux:write:entry");
    assert_eq!(matching(&device, &"w*:".parse().unwrap()).unwrap().len(), 1);
}

#[test]
fn formats_are_printed_as_the_module_keeps_them() {
    let device = Framework::new(&["openat"]);
    let mut session = Session::new(&device, options()).unwrap();
    let print = |format: &str, values: &[&str]| Printf {
        format: format.to_owned(),
        values: values.iter().map(|field| field.parse().unwrap()).collect(),
    };
    let mut wanted = clause("openat:", &["tid"]);
    wanted.printf = vec![
        print("<%s> %-4d|%x", &["copyinstr(arg1)", "pid", "arg0"]),
        print("none", &[]),
        print("%k", &["stack"]),
        print("%d %k %d", &["pid", "ustack", "arg0"]),
    ];
    wanted.aggregate = Some(Aggregate {
        function: ActionKind::Count,
        value: None,
        by: vec!["execname".parse().unwrap()],
    });
    session.enable(wanted).unwrap();
    let mut end = clause("dtrace:::END", &[]);
    let format = "%s: %@d".to_owned();
    end.printa = Some(Printa { format, clause: 0 });
    session.enable(end).unwrap();
    session.go().unwrap();
    device.fire(1, "openat", &[255, STRING_AT]);
    let mut told = Told::default();
    session.stop(&mut |event| told.note(event)).unwrap();
    assert_eq!(told.records, ["1 openat:entry 0", "0 :END "]);
    let stack = "\n              0xffff1000\n              0xffff2000\n";
    let user = "\n              0x401000\n";
    let printed = format!("</etc/passwd> 7   |ffnone{stack}7 {user} 255");
    assert_eq!(told.others[0], printed);
    assert!(told.others[1].contains("[1]"), "{:?}", told.others);
    // Printed once.
    assert_eq!(session.tables().count(), 0);
}
