// SPDX-License-Identifier: GPL-2.0
//! A program from its file to its records, on a machine of one CPU.

use dif::{BuiltIn, Environment, FaultKind};
use dif_assembler::assemble;
use dof::{ActionSpec, ProbeSpec};
use dtrace_interface::action::ActionKind;
use dtrace_interface::options::{BufferResize, OptionId};
use dtrace_program::{clauses, Cpu, Program, State};
use dtrace_provider::memory::host;
use dtrace_provider::{
    Called, ConsumerId, Control, DynamicDrops, Error, Expression, Machine, Options, Provider,
    Surroundings,
};

/// What programs see: a process, and memory that holds its own addresses.
struct Fake {
    reads_of_the_clock: u64,
}

impl Environment for Fake {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        if address < 0x1000 {
            return Err(FaultKind::BadAddress);
        }
        for (byte, at) in into.iter_mut().zip(address..) {
            *byte = at as u8;
        }
        Ok(())
    }

    fn user(&mut self, _: u64, _: &mut [u8]) -> Result<(), FaultKind> {
        Err(FaultKind::BadAddress)
    }

    fn number(&mut self, builtin: BuiltIn, _: u64) -> Result<u64, FaultKind> {
        match builtin {
            BuiltIn::Pid => Ok(7),
            BuiltIn::Timestamp => {
                self.reads_of_the_clock += 1;
                Ok(self.reads_of_the_clock)
            }
            _ => Err(FaultKind::IllegalOperation),
        }
    }

    fn text(&mut self, _: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        into[..4].copy_from_slice(b"fake");
        Ok(4)
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
        7
    }

    fn kernel_stack(&mut self, _: usize) -> &[u64] {
        &[]
    }

    fn user_stack(&mut self, _: usize) -> &[u64] {
        &[]
    }
}

struct Host;

// SAFETY: one CPU, which is the thread of the test: nothing interrupts it, and a call to it is a call.
unsafe impl Machine for Host {
    type Irqs = ();
    type Environment = Cpu<Fake>;
    type Expression = Program<Fake>;

    fn irqs_off(&self) {}
    fn irqs_restore(&self, (): ()) {}
    fn this_cpu(&self) -> usize {
        0
    }
    fn call(&self, _: usize, function: &(dyn Fn() + Sync)) -> Called {
        function();
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
        Ok(Cpu::new(Fake {
            reads_of_the_clock: 0,
        })?)
    }
    fn variables(
        &self,
        options: &Options,
        programs: &mut dyn Iterator<Item = &Program<Fake>>,
    ) -> Result<<Program<Fake> as Expression>::Variables, Error> {
        State::new(options, programs, 1)
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

/// A framework with the probe p:m:f:n, and its number.
fn framework() -> (Control<Host>, u32) {
    let mut control = Control::new(Host, 1).unwrap();
    let provider = control.register(b"p", &PROBES).unwrap();
    let probe = control.create_probe(provider, b"m", b"f", b"n", 0).unwrap();
    (control, probe)
}

fn trace(text: &str) -> ActionSpec {
    ActionSpec::new(ActionKind::DifExpression).difo(assemble(text).unwrap())
}

/// Enables a clause at the probe and begins.
fn begin(control: &mut Control<Host>, predicate: Option<&str>, actions: &[&str]) -> ConsumerId {
    // Not the tracer's own process.
    let consumer = control.open(99).unwrap();
    enable(control, consumer, predicate, actions);
    control.go(consumer).unwrap();
    consumer
}

/// Enables a clause at the probe.
fn enable(
    control: &mut Control<Host>,
    consumer: ConsumerId,
    predicate: Option<&str>,
    actions: &[&str],
) {
    enable_at(control, consumer, "n", predicate, actions);
}

/// Enables a clause at the probe of that name.
fn enable_at(
    control: &mut Control<Host>,
    consumer: ConsumerId,
    name: &str,
    predicate: Option<&str>,
    actions: &[&str],
) {
    let probes = [ProbeSpec {
        name: name.to_owned(),
        ..ProbeSpec::default()
    }];
    let predicate = predicate.map(|text| assemble(text).unwrap());
    let actions = actions.iter().map(|text| trace(text));
    let program = dof::Program::new().clause(probes, predicate, actions);
    let file = program.to_bytes().unwrap();
    let description = dof::load(&file).unwrap();
    let mut clauses = clauses(&description, 256).unwrap();
    while let Some(clause) = clauses.pop() {
        assert_eq!(control.enable(consumer, clause), Ok(1));
    }
}

/// The bytes of all records.
fn taken(control: &mut Control<Host>, consumer: ConsumerId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let copy = |part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    control.snapshot(consumer, 0, copy).unwrap();
    bytes
}

fn fire(control: &Control<Host>, probe: u32, args: &[u64]) {
    let mut all = [0; 10];
    all[..args.len()].copy_from_slice(args);
    control.framework().fire(probe, &all);
}

const ARG0: &str = "ldgs arg0, %r1; ret %r1";
const IS_FIVE: &str = "ldgs arg0, %r1; setx 5, %r2; cmp %r1, %r2; be yes; ret %r0; yes: ret %r2";

#[test]
fn a_predicate_chooses_and_an_action_records() {
    let (mut control, probe) = framework();
    let consumer = begin(&mut control, Some(IS_FIVE), &[ARG0]);
    for arg in [4, 5, 6] {
        fire(&control, probe, &[arg]);
    }
    let counts = control.counts(consumer, 0, None).unwrap();
    assert_eq!((counts.records, counts.predicate_false), (1, 2));
    let bytes = taken(&mut control, consumer);
    assert_eq!(bytes[..4], 1_u32.to_ne_bytes());
    assert!(bytes.ends_with(&5_u64.to_ne_bytes()));
    control.close(consumer);
}

#[test]
fn strings_of_the_probe_and_of_the_machine() {
    let (mut control, probe) = framework();
    let names = [
        ".returns string\nldgs probefunc, %r1; ret %r1",
        ".returns string\nldgs execname, %r1; ret %r1",
    ];
    let consumer = begin(&mut control, None, &names);
    fire(&control, probe, &[]);
    let bytes = taken(&mut control, consumer);
    assert_eq!(bytes[4..6], *b"f\0");
    assert_eq!(bytes[4 + 256..4 + 256 + 5], *b"fake\0");
    control.close(consumer);
}

#[test]
fn the_clock_is_read_once_in_a_clause() {
    let (mut control, probe) = framework();
    let clock = "ldgs timestamp, %r1; ret %r1";
    let consumer = begin(&mut control, None, &[clock, clock]);
    fire(&control, probe, &[]);
    fire(&control, probe, &[]);
    let bytes = taken(&mut control, consumer);
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
        .filter(|word| *word < 100)
        .collect();
    assert!(words.ends_with(&[2, 2]), "{words:?}");
    assert!(words.windows(2).any(|pair| pair == [1, 1]), "{words:?}");
    control.close(consumer);
}

#[test]
fn global_variables_stay_and_clause_local_ones_do_not() {
    let (mut control, probe) = framework();
    let count = ".global n: int64\nldgs 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stgs %r1, 0x500; ret %r1";
    let local = ".local l: int64\nldls 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stls %r1, 0x500; ret %r1";
    let consumer = begin(&mut control, None, &[count, local]);
    for _ in 0..3 {
        fire(&control, probe, &[]);
    }
    let bytes = taken(&mut control, consumer);
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let end = bytes.len();
    assert_eq!((word(end - 16), word(end - 8)), (3, 1));
    control.close(consumer);
}

const NEXT_LOCAL: &str =
    ".local l: int64\nldls 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stls %r1, 0x500; ret %r1";

#[test]
fn clause_local_variables_and_the_clock_stay_from_clause_to_clause_of_a_firing() {
    let (mut control, probe) = framework();
    let clock = "ldgs timestamp, %r1; ret %r1";
    let consumers = [control.open(99).unwrap(), control.open(98).unwrap()];
    for consumer in consumers {
        enable(&mut control, consumer, None, &[NEXT_LOCAL, clock]);
        enable(&mut control, consumer, None, &[NEXT_LOCAL, clock]);
    }
    for consumer in consumers {
        control.go(consumer).unwrap();
    }
    fire(&control, probe, &[]);
    fire(&control, probe, &[]);
    for (consumer, clocks) in consumers.into_iter().zip([[1, 3], [2, 4]]) {
        let bytes = taken(&mut control, consumer);
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let found: Vec<_> = (0..4)
            .map(|n| (word(24 * n + 8), word(24 * n + 16)))
            .collect();
        let [first, second] = clocks;
        assert_eq!(found, [(1, first), (2, first), (1, second), (2, second)]);
        control.close(consumer);
    }
}

#[test]
fn consumers_whose_clauses_alternate_leave_each_other_s_clause_local_variables() {
    let (mut control, probe) = framework();
    let consumers = [control.open(99).unwrap(), control.open(98).unwrap()];
    for _ in 0..3 {
        for consumer in consumers {
            enable(&mut control, consumer, None, &[NEXT_LOCAL]);
        }
    }
    for consumer in consumers {
        control.go(consumer).unwrap();
    }
    fire(&control, probe, &[]);
    fire(&control, probe, &[]);
    for consumer in consumers {
        let bytes = taken(&mut control, consumer);
        let found: Vec<_> = bytes
            .chunks_exact(16)
            .map(|record| u64::from_ne_bytes(record[8..].try_into().unwrap()))
            .collect();
        assert_eq!(found, [1, 2, 3, 1, 2, 3]);
        control.close(consumer);
    }
}

#[test]
fn an_error_between_clauses_leaves_clause_local_variables() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    enable(&mut control, consumer, None, &[NEXT_LOCAL]);
    let fails = "setx 16, %r1; ldx [%r1], %r2; ret %r2";
    enable(&mut control, consumer, None, &[fails]);
    enable_at(&mut control, consumer, "ERROR", None, &[NEXT_LOCAL]);
    enable(&mut control, consumer, None, &[NEXT_LOCAL]);
    control.go(consumer).unwrap();
    fire(&control, probe, &[]);
    let bytes = taken(&mut control, consumer);
    let found: Vec<_> = bytes
        .chunks_exact(16)
        .map(|record| u64::from_ne_bytes(record[8..].try_into().unwrap()))
        .collect();
    assert_eq!(found, [1, 2, 3]);
    control.close(consumer);
}

#[test]
fn what_a_clause_allocates_is_there_to_its_end() {
    let (mut control, probe) = framework();
    let allocate = ".local p: int64
        setx 8, %r1; flushts; pushtv int, %r0, %r1; call alloca, %r2
        setx 42, %r3; stx %r3, [%r2]; stls %r2, 0x500; ret %r0";
    let read = ".local p: int64
        ldls 0x500, %r1; ldx [%r1], %r2; ret %r2";
    let consumer = begin(&mut control, None, &[allocate, read]);
    fire(&control, probe, &[]);
    fire(&control, probe, &[]);
    let counts = control.counts(consumer, 0, None).unwrap();
    assert_eq!((counts.records, counts.errors), (2, 0));
    let bytes = taken(&mut control, consumer);
    assert!(bytes.ends_with(&42_u64.to_ne_bytes()));
    control.close(consumer);
}

#[test]
fn a_fault_drops_the_record_and_is_told_in_bytes() {
    let (mut control, probe) = framework();
    let consumer = begin(
        &mut control,
        None,
        &["ldgs arg0, %r1; ldx [%r1], %r2; ret %r2"],
    );
    fire(&control, probe, &[0x10]);
    fire(&control, probe, &[0x2000]);
    let counts = control.counts(consumer, 0, None).unwrap();
    assert_eq!((counts.errors, counts.records), (1, 1));
    let bytes = taken(&mut control, consumer);
    assert!(bytes.ends_with(&0x0706_0504_0302_0100_u64.to_ne_bytes()));
    control.close(consumer);
}

#[test]
fn errno_is_the_last_argument() {
    let (mut control, probe) = framework();
    let consumer = begin(&mut control, None, &["ldgs errno, %r1; ret %r1"]);
    fire(&control, probe, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    let bytes = taken(&mut control, consumer);
    assert!(bytes.ends_with(&2_u64.to_ne_bytes()));
    control.close(consumer);
}

#[test]
fn a_program_that_breaks_a_rule_is_named() {
    let probes = [ProbeSpec::default()];
    let back = dof::Object {
        instructions: vec![0x2400_0000, 0x1100_0000],
        ..assemble(ARG0).unwrap()
    };
    let action = ActionSpec::new(ActionKind::DifExpression).difo(back);
    let file = dof::Program::new()
        .clause(probes, None, [action])
        .to_bytes()
        .unwrap();
    let description = dof::load(&file).unwrap();
    let unfit = clauses::<Fake>(&description, 256).err().unwrap();
    assert!(unfit.to_string().contains("instruction 1"), "{unfit}");
}

#[test]
fn the_programs_of_a_firing_touch_so_much_and_no_more() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    // 2 * 4000 bytes, ten times.
    let mut copies =
        ".returns int64\nsetx 8000, %r1; allocs %r1, %r2; setx 4000, %r3; add %r2, %r3, %r4"
            .to_owned();
    for _ in 0..10 {
        copies += "; copys %r2, %r3, %r4";
    }
    copies += "; ret %r0";
    for _ in 0..20 {
        enable(&mut control, consumer, None, &[&copies]);
    }
    control.go(consumer).unwrap();
    for firing in 1..3 {
        fire(&control, probe, &[]);
        let counts = control.counts(consumer, 0, None).unwrap();
        // 88,000 bytes each.
        let whole = u64::from(dif::MAX_TOUCHED) / 88_000;
        assert_eq!(
            (counts.records, counts.errors),
            (whole * firing, (20 - whole) * firing)
        );
    }
    control.close(consumer);
}

#[test]
fn variables_that_were_given_up_are_used_again() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    control
        .set_option(consumer, OptionId::DynamicVariableSize.raw(), 1024)
        .unwrap();
    // self->v = arg0, which 0 removes.
    let store = ".thread v: int64\nldgs arg0, %r1; stts %r1, 0x500; ret %r1";
    enable(&mut control, consumer, None, &[store]);
    control.go(consumer).unwrap();
    let ways: [fn(&mut Control<Host>, ConsumerId); 4] = [
        |control, consumer| {
            control.status(consumer).unwrap();
        },
        |control, consumer| {
            taken(control, consumer);
        },
        |control, consumer| {
            control
                .aggregation_snapshot(consumer, 0, |_| Ok(()))
                .unwrap();
        },
        |control, _| assert_eq!(control.clean(), Some(9_900_990)),
    ];
    for round in 0..100 {
        fire(&control, probe, &[1]);
        fire(&control, probe, &[0]);
        ways[round % 4](&mut control, consumer);
    }
    let status = control.status(consumer).unwrap();
    let drops = status.dynamic_drops + status.dynamic_dirty_drops + status.dynamic_rinsing_drops;
    assert_eq!(drops, 0);
    control.stop(consumer).unwrap();
    assert_eq!(control.clean(), None);
    control.close(consumer);
}

#[test]
fn programs_that_do_not_agree_on_a_variable_are_told_when_they_are_enabled() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    enable(&mut control, consumer, None, &[NEXT_LOCAL]);
    enable(
        &mut control,
        consumer,
        None,
        &[".global n: int64\nldgs 0x500, %r1; ret %r1"],
    );
    assert_eq!(control.check_variables(consumer), Ok(()));
    let others = [
        (".local l: int32\nldls 0x500, %r1; ret %r1", "clause-local"),
        (".global n: string(8)\nldgs 0x500, %r1; ret %r0", "global"),
        (".global n[]: int64\nldgaa 0x500, %r1; ret %r0", "global"),
    ];
    for (other, scope) in others {
        let refused = control.all_or_nothing(consumer, |control| {
            enable(control, consumer, None, &[other]);
            control.check_variables(consumer)
        });
        let refused = refused.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("{scope} variable 0x500: declared before with another kind or type")
        );
        assert_eq!(refused.errno(), 22);
    }
    // What was there before goes on.
    control.go(consumer).unwrap();
    fire(&control, probe, &[]);
    assert_eq!(control.counts(consumer, 0, None).unwrap().records, 2);
    control.close(consumer);
}

#[test]
fn variables_for_which_there_is_no_memory_become_fewer() {
    let (mut control, _) = framework();
    let store = ".thread v: int64\nldgs arg0, %r1; stts %r1, 0x500; ret %r1";
    for (resize, made) in [
        (BufferResize::Manual, Err(Error::OutOfMemory)),
        (BufferResize::Auto, Ok(0)),
    ] {
        let consumer = control.open(99).unwrap();
        let options = [
            (OptionId::BufferSize, 4096),
            (OptionId::DynamicVariableSize, 1 << 20),
            (OptionId::BufferResize, resize.raw()),
        ];
        for (option, value) in options {
            control.set_option(consumer, option.raw(), value).unwrap();
        }
        enable(&mut control, consumer, None, &[store]);
        host::fail_above(300 << 10);
        assert_eq!(control.go(consumer), made);
        host::fail_above(usize::MAX);
        let told = control.options(consumer).unwrap();
        let size = match made {
            Ok(_) => 256 << 10,
            Err(_) => 1 << 20,
        };
        assert_eq!(told.get(OptionId::DynamicVariableSize), size);
        control.close(consumer);
    }
}

#[test]
fn dropped_variables_are_counted_by_what_stood_in_the_way() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    control
        .set_option(consumer, OptionId::DynamicVariableSize.raw(), 256)
        .unwrap();
    // v[arg0] = arg1, which 0 removes.
    let store = ".global v[]: int64\nldgs arg0, %r2; flushts; pushtv int, %r0, %r2
        ldgs arg1, %r1; stgaa %r1, 0x500; ret %r1";
    enable(&mut control, consumer, None, &[store]);
    assert_eq!(
        control.dynamic_drops(consumer, None),
        Ok(DynamicDrops::default())
    );
    control.go(consumer).unwrap();
    for key in 0..100 {
        fire(&control, probe, &[key, 1]);
    }
    let full = control.dynamic_drops(consumer, None).unwrap();
    assert!(full.full > 0 && full.full < 100);
    // All that there is given up, and not cleaned yet.
    for key in 0..100 {
        fire(&control, probe, &[key, 0]);
    }
    fire(&control, probe, &[1, 1]);
    let wanted = DynamicDrops { dirty: 1, ..full };
    assert_eq!(control.dynamic_drops(consumer, Some(0)), Ok(wanted));
    assert_eq!(
        control.dynamic_drops(consumer, Some(1)),
        Ok(DynamicDrops::default())
    );
    let status = control.status(consumer).unwrap();
    assert_eq!(
        (status.dynamic_drops, status.dynamic_dirty_drops),
        (wanted.full, 1)
    );
    // That cleaned.
    fire(&control, probe, &[1, 1]);
    assert_eq!(control.dynamic_drops(consumer, None), Ok(wanted));
    control.close(consumer);
}

#[test]
fn strtok_goes_on_in_the_next_program() {
    let (mut control, probe) = framework();
    let first = ".returns string\nsets \"ab,cd,ef\", %r1; sets \",\", %r2; flushts; pushtr string, %r0, %r1; pushtr string, %r0, %r2; call strtok, %r3; ret %r3";
    let next = ".returns string\nsets \"-----------,\", %r4; sets \",\", %r2; flushts; pushtr string, %r0, %r0; pushtr string, %r0, %r2; call strtok, %r3; ret %r3";
    let consumer = begin(&mut control, None, &[first, next, next]);
    fire(&control, probe, &[]);
    let bytes = taken(&mut control, consumer);
    for (at, token) in [b"ab\0", b"cd\0", b"ef\0"].into_iter().enumerate() {
        assert_eq!(bytes[4 + 256 * at..][..3], *token);
    }
    control.close(consumer);
}

/// The buffer after a firing by `fire` and one by `fire_known`, which leave records of `size` bytes.
fn records_of(actions: &[&str], size: usize) -> Vec<u8> {
    let (mut control, probe) = framework();
    let consumer = begin(&mut control, None, actions);
    let args = [
        0x1122_3344_5566_7788,
        0xffff_ffff_ffff_fff7,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    fire(&control, probe, &args);
    control.framework().fire_known(0, 7, probe, &args);
    // The tracer's own.
    control.framework().fire_known(0, 99, probe, &args);
    let counts = control.counts(consumer, 0, None).unwrap();
    assert_eq!(
        (counts.records, counts.self_filtered, counts.hits),
        (2, 1, 3)
    );
    let bytes = taken(&mut control, consumer);
    control.close(consumer);
    let second = bytes.len() - size;
    assert_eq!(bytes[..size], bytes[second..], "{actions:?}");
    bytes
}

#[test]
fn a_value_at_hand_is_what_the_interpreter_says() {
    let process = (".returns int32\nldgs pid, %r1", 4);
    let first = ("ldgs arg0, %r1", 8);
    let second = (".returns int16\nldgs arg1, %r1", 2);
    let number = (".returns int8\nsetx 300, %r1", 1);
    let epid = ("ldgs epid, %r1", 8);
    // Each with the bytes of a record: dense ones, with the EPID alone in front or with padding, and others.
    for (values, size) in [
        (vec![process, first], 16),
        (vec![first], 16),
        (vec![first, process], 20),
        (vec![process], 8),
        (vec![process, process, first], 24),
        (vec![number, second, number], 12),
        (vec![second, second], 8),
        (vec![process, epid], 16),
        (vec![], 4),
    ] {
        let with = |end: &str| -> Vec<u8> {
            let texts: Vec<String> = values
                .iter()
                .map(|(text, _)| format!("{text}; {end}"))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            records_of(&texts, size)
        };
        assert_eq!(with("ret %r1"), with("mov %r1, %r2; ret %r2"), "{values:?}");
    }
}

#[test]
fn no_byte_of_an_older_record_lies_between_values() {
    let (mut control, probe) = framework();
    let consumer = control.open(99).unwrap();
    let is_first = "ldgs arg1, %r1; ret %r1";
    let byte = ".returns int8\nldgs arg0, %r1; ret %r1";
    enable(&mut control, consumer, Some(is_first), &[ARG0, ARG0, ARG0]);
    enable(&mut control, consumer, None, &[byte, ARG0]);
    enable(&mut control, consumer, None, &[ARG0, byte]);
    control.go(consumer).unwrap();
    // Both halves full of ones.
    for _ in 0..2 {
        for _ in 0..8 {
            fire(&control, probe, &[u64::MAX, 1]);
        }
        taken(&mut control, consumer);
    }
    for _ in 0..3 {
        fire(&control, probe, &[0x11, 0]);
    }
    let bytes = taken(&mut control, consumer);
    // Two records of 16 and 20 bytes and 4 of padding, three times, less the last padding.
    assert_eq!(bytes.len(), 3 * 40 - 4);
    for (at, byte) in bytes.iter().enumerate() {
        let expected = match at % 40 {
            // The EPIDs.
            0 => 2,
            16 => 3,
            // Values.
            4 | 8 | 24 | 32 => 0x11,
            _ => 0,
        };
        assert_eq!(*byte, expected, "at {at}: {bytes:?}");
    }
    control.close(consumer);
}
