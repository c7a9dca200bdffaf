// SPDX-License-Identifier: GPL-2.0
//! Programs that are in order: to be spoilt, or for consumers that are killed.
#![forbid(unsafe_code)]

use crate::random::Random;
use dif_assembler::assemble;
use dof::{ActionSpec, Object, ProbeSpec, Program};
use dtrace_interface::action::ActionKind;
use dtrace_interface::options::OptionId;

fn object(text: &str) -> Object {
    assemble(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn probe(provider: &str, function: &str, name: &str) -> ProbeSpec {
    ProbeSpec {
        provider: provider.to_owned(),
        function: function.to_owned(),
        name: name.to_owned(),
        ..ProbeSpec::default()
    }
}

fn trace(text: &str) -> ActionSpec {
    ActionSpec::new(ActionKind::DifExpression).difo(object(text))
}

/// Small buffers: a file has eight of each CPU's.
fn small(program: Program) -> Vec<u8> {
    let program = program
        .option(OptionId::BufferSize, 16 << 10)
        .option(OptionId::AggregationSize, 16 << 10)
        .option(OptionId::DynamicVariableSize, 64 << 10);
    program.to_bytes().expect("a program in order")
}

/// Objects to be spoilt: variables of each kind, strings, references, subroutines.
const OBJECTS: &[&str] = &[
    "ldgs pid, %r1; ret %r1",
    ".returns string\nldgs execname, %r1; ret %r1",
    ".global n: int64\nldgs 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stgs %r1, 0x500; ret %r1",
    ".thread t: int64\nldts 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stts %r1, 0x500; ret %r1",
    "ldgs arg0, %r1; ldx [%r1], %r2; ret %r2",
    "ldgs arg1, %r1; uldx [%r1], %r2; ret %r2",
    "ldgs arg0, %r1; setx 64, %r2; allocs %r2, %r3; copys %r1, %r2, %r3; ldx [%r3], %r4; ret %r4",
    ".returns string\nldgs execname, %r1; flushts; pushtr string, %r0, %r1; pushtr string, %r0, %r1; call strjoin, %r2; ret %r2",
    "ldgs arg0, %r1; ldgs uid, %r2; cmp %r1, %r2; bg more; be same; ret %r0; more: sub %r1, %r2, %r3; udiv %r3, %r2, %r3; same: ret %r3",
];

/// A file in order, with objects of which some words, integers or strings are not as they were.
pub fn spoilt(random: &mut Random) -> Vec<u8> {
    let mut action = || {
        let mut object = object(OBJECTS[random.below(OBJECTS.len())]);
        for _ in 0..random.below(4) {
            let words = object.instructions.len();
            let integers = object.integers.len();
            let strings = object.strings.len();
            match random.below(6) {
                0 if integers > 0 => object.integers[random.below(integers)] = random.odd(),
                1 if strings > 1 => object.strings[random.below(strings - 1)] = random.any() as u8,
                2 => object.instructions[random.below(words)] = random.any() as u32,
                // Opcodes are below 80; operands stay.
                3 => {
                    let word = &mut object.instructions[random.below(words)];
                    *word = (*word & 0x00ff_ffff) | ((random.below(81) as u32) << 24);
                }
                _ => object.instructions[random.below(words)] ^= 1 << random.below(32),
            }
        }
        ActionSpec::new(ActionKind::DifExpression).difo(object)
    };
    let actions = [action(), action()];
    let probes = [
        probe("syscall", "ioctl", ""),
        probe("syscall", "", "entry"),
        probe("profile", "", "profile-97"),
        probe("dtrace", "", "BEGIN"),
    ];
    let probe = probes[random.below(probes.len())].clone();
    let program = Program::new().clause([probe], None, actions);
    let program = program
        .option(OptionId::BufferSize, 16 << 10)
        .option(OptionId::DynamicVariableSize, 64 << 10);
    // What the writer would not write is of no use here.
    program.to_bytes().unwrap_or_default()
}

/// Their files.
pub fn all() -> Vec<Vec<u8>> {
    let pid = "ldgs pid, %r1; ret %r1";
    let is_root =
        "ldgs uid, %r1; setx 0, %r2; cmp %r1, %r2; be yes; ret %r0; yes: setx 1, %r1; ret %r1";
    let name = ".returns string\nldgs execname, %r1; ret %r1";
    let count = ".global n: int64\nldgs 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stgs %r1, 0x500; ret %r1";
    let thread = ".thread t: int64\nldts 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stts %r1, 0x500; ret %r1";
    let wild = "ldgs arg0, %r1; ldx [%r1], %r2; ret %r2";
    let joined = ".returns string\nldgs execname, %r1; flushts; pushtr string, %r0, %r1; pushtr string, %r0, %r1; call strjoin, %r2; ret %r2";
    let entry = || [probe("syscall", "getppid", "entry")];
    vec![
        small(Program::new()),
        small(Program::new().clause(entry(), None, [])),
        small(Program::new().clause(entry(), Some(object(is_root)), [trace(pid), trace(name)])),
        small(Program::new().clause([probe("dtrace", "", "BEGIN")], None, [trace(count)])),
        small(Program::new().clause(
            [probe("syscall", "ioctl", "")],
            None,
            [trace(thread), trace(count)],
        )),
        small(Program::new().clause([probe("syscall", "", "return")], None, [trace(wild)])),
        small(Program::new().clause([probe("profile", "", "tick-5ms")], None, [trace(joined)])),
        small(
            Program::new().clause(
                [probe("syscall", "*", "entry")],
                None,
                [
                    trace(name),
                    ActionSpec::new(ActionKind::Count).tuple(1),
                    ActionSpec::new(ActionKind::Printf)
                        .format("%d\n")
                        .difo(object(pid)),
                ],
            ),
        ),
        small(Program::new().clause(
            [probe("profile", "", "profile-97")],
            None,
            [
                ActionSpec::new(ActionKind::Stack),
                ActionSpec::new(ActionKind::Ustack),
            ],
        )),
    ]
}

/// Bytes of a half of a principal buffer of the programs below.
pub const BUFFER: usize = 256 << 10;

fn large(program: Program) -> Vec<u8> {
    let program = program
        .option(OptionId::BufferSize, BUFFER as u64)
        .option(OptionId::AggregationSize, BUFFER as u64)
        .option(OptionId::DynamicVariableSize, 1 << 20);
    program.to_bytes().expect("a program in order")
}

fn begin_and_end(program: Program) -> Program {
    let own = |name| [probe("dtrace", "", name)];
    let pid = || [trace("ldgs pid, %r1; ret %r1")];
    program
        .clause(own("BEGIN"), None, pid())
        .clause(own("END"), None, pid())
}

/// Every system call, in and out, with an aggregation and thread-local variables; timers on all CPUs.
pub fn busy() -> Vec<u8> {
    let thread =
        ".thread t: int64\nldts 0x500, %r1; setx 1, %r2; add %r1, %r2, %r1; stts %r1, 0x500; ret %r1";
    let name = ".returns string\nldgs execname, %r1; ret %r1";
    let counted = [
        trace(name),
        ActionSpec::new(ActionKind::Count).tuple(1),
        trace(thread),
    ];
    let timers = ["tick-20ms", "profile-97"].map(|name| probe("profile", "", name));
    let stack = [
        ActionSpec::new(ActionKind::Stack),
        ActionSpec::new(ActionKind::Ustack),
    ];
    let program = begin_and_end(Program::new())
        .clause([probe("syscall", "", "")], None, counted)
        .clause(timers, None, stack);
    large(program)
}

/// One system call, with buffers as large as those of [`busy`].
pub fn few() -> Vec<u8> {
    let pid = [trace("ldgs pid, %r1; ret %r1")];
    let getppid = [probe("syscall", "getppid", "entry")];
    large(begin_and_end(Program::new()).clause(getppid, None, pid))
}

/// The same with buffers that take GO a while.
pub fn slow() -> Vec<u8> {
    let pid = [trace("ldgs pid, %r1; ret %r1")];
    let getppid = [probe("syscall", "getppid", "entry")];
    let program = begin_and_end(Program::new()).clause(getppid, None, pid);
    let program = program.option(OptionId::BufferSize, 4 << 20);
    program.to_bytes().expect("a program in order")
}

/// exit() at the first tick.
pub fn ending() -> Vec<u8> {
    let exit = ActionSpec::new(ActionKind::Exit).difo(object("ldgs pid, %r1; ret %r1"));
    let tick = [probe("profile", "", "tick-5ms")];
    large(begin_and_end(Program::new()).clause(tick, None, [exit]))
}
