// SPDX-License-Identifier: GPL-2.0
//! Random programs: none panics, none leaves its memory, valid ones pass validation.
//!
//! `cargo test -p dif --release -- --ignored` runs a few million; `DIF_SEED` and `DIF_CASES` choose
//! which and how many.

mod support;

use dif::*;
use dtrace_interface::dif::*;
use dtrace_interface::opcode::{Opcode, Operands};
use dtrace_interface::subroutine::Subroutine;
use support::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const ID: u16 = OTHER_USER_BASE;

/// Numbers that lead somewhere, or just beside.
fn interesting(random: &mut Random) -> u64 {
    let bases = [
        0,
        1,
        8,
        63,
        u64::from(STRSIZE),
        1 << 31,
        i64::MAX as u64,
        u64::MAX,
        KERNEL,
        KERNEL + 255,
        USER,
        USER + 21,
        Window::Scratch.address(0),
        Window::Scratch.address(4096),
        Window::Scratch.address(u32::MAX),
        Window::Strings.address(0),
        Window::Globals.address(0),
        Window::Globals.address(64),
        Window::Locals.address(0),
        Window::Dynamic.address(0),
        Window::Dynamic.address(400),
        Window::Dynamic.address(4096 * 8),
    ];
    let near = random.below(9).wrapping_sub(4);
    match random.chance(70) {
        true => random.pick(&bases).wrapping_add(near),
        false => random.next() >> random.below(64),
    }
}

/// A program that validation takes.
fn valid(random: &mut Random) -> Code {
    let by_ref = DifType {
        kind: TYPE_CTF,
        flags: TYPE_BY_REF,
        size: 1 + random.below(40) as u32,
        ..DifType::INT64
    };
    let types = [DifType::INT64, DifType::string(0), by_ref];
    let mut code = Code::new();
    for scope in [SCOPE_GLOBAL, SCOPE_THREAD, SCOPE_LOCAL] {
        for n in 0..3 {
            let array = n == 2 && scope != SCOPE_LOCAL;
            let kind = match array {
                true => KIND_ARRAY,
                false => KIND_SCALAR,
            };
            let of_type = random.pick(&types);
            code = code.declares(scope, kind, u32::from(ID) + n, of_type);
        }
    }
    // The first lead to memory there is, or are small.
    code.integers = vec![KERNEL + 8, USER, 8, 3];
    code.integers.extend((0..8).map(|_| interesting(random)));
    code.strings = b"\0a\0/usr/../bin//x/\0,;\0needle in a haystack\0".to_vec();
    let length = 2 + random.below(40);
    for _ in 0..length {
        let opcode = loop {
            let opcode = random.pick(Opcode::ALL);
            let rare = [Opcode::Xlate, Opcode::Xlarg, Opcode::Ldta];
            // A return now and then, so that programs have some length.
            if !rare.contains(&opcode) && (opcode != Opcode::Ret || random.chance(10)) {
                break opcode;
            }
        };
        // Seven registers are written; few are used, so that values meet.
        let read = random.below(5) as u8;
        let other = random.below(5) as u8;
        let written = 1 + random.below(4) as u8;
        code = prepared(code, random, opcode, read);
        code = match opcode.operands() {
            Operands::None => code.op(opcode, 0, 0, 0),
            Operands::Three if opcode == Opcode::Copys => code.op(opcode, read, other, written),
            Operands::Three => code.op(opcode, read, other, written),
            Operands::Two | Operands::Load => code.op(opcode, read, 0, written),
            Operands::Store => code.op(opcode, read, 0, other),
            Operands::Compare => code.op(opcode, read, other, 0),
            Operands::Test => code.op(opcode, read, 0, 0),
            Operands::Branch => {
                // What it leads to is appended if need be.
                let at = code.words.len() as u32;
                code.branch(opcode, at + 1 + random.below(6) as u32)
            }
            Operands::Return => code.op(opcode, 0, 0, read),
            Operands::Integer => {
                let index = random.below(code.integers.len() as u64) as u16;
                code.indexed(opcode, index, written)
            }
            Operands::String => {
                let offset = random.below(code.strings.len() as u64) as u16;
                code.indexed(opcode, offset, written)
            }
            Operands::LoadElement => {
                let known = [BuiltIn::Args, BuiltIn::Uregs];
                code.op(opcode, random.pick(&known).raw() as u8, read, written)
            }
            Operands::LoadVariable | Operands::StoreVariable => {
                let array = matches!(
                    opcode,
                    Opcode::Ldgaa | Opcode::Ldtaa | Opcode::Stgaa | Opcode::Sttaa
                );
                let scalars = match opcode {
                    Opcode::Ldls | Opcode::Stls => 3,
                    _ => 2,
                };
                let variable = match array {
                    true => ID + 2,
                    false if opcode == Opcode::Ldgs && random.chance(50) => {
                        let built_ins = BuiltIn::ALL.iter().filter(|one| !one.is_array());
                        let all: Vec<_> = built_ins.copied().collect();
                        random.pick(&all).raw()
                    }
                    false => ID + random.below(scalars) as u16,
                };
                let register = match opcode.operands() {
                    Operands::StoreVariable => read,
                    _ => written,
                };
                code.indexed(opcode, variable, register)
            }
            Operands::Call => {
                let supported = Subroutine::ALL.iter().filter(|one| is_supported(**one));
                let all: Vec<_> = supported.copied().collect();
                code.call(random.pick(&all), written)
            }
            Operands::Push => code.op(opcode, random.below(2) as u8, other, read),
            Operands::Translator => code,
        };
    }
    for _ in 0..6 {
        code = code.op(Opcode::Nop, 0, 0, 0);
    }
    code.ret(random.below(5) as u8).returns(random.pick(&types))
}

/// Mostly, what `opcode` reads is made fit for it, so that programs do not fault at once.
fn prepared(code: Code, random: &mut Random, opcode: Opcode, read: u8) -> Code {
    if random.chance(15) || read == 0 {
        return code;
    }
    match opcode.operands() {
        Operands::Load => {
            let user = opcode.name().starts_with('u');
            code.indexed(Opcode::Setx, u16::from(user), read)
        }
        Operands::LoadElement | Operands::Two => code.indexed(Opcode::Setx, 2, read),
        Operands::Call => {
            let mut code = code.flush();
            for _ in 0..1 + random.below(3) {
                code = match random.below(3) {
                    0 => code.indexed(Opcode::Sets, random.below(30) as u16, read),
                    1 => code.indexed(Opcode::Setx, 2 + random.below(2) as u16, read),
                    _ => code.indexed(Opcode::Setx, random.below(2) as u16, read),
                };
                code = code.push(read);
            }
            code
        }
        Operands::StoreVariable | Operands::Push | Operands::Compare => {
            code.indexed(Opcode::Sets, random.below(30) as u16, read)
        }
        _ => code,
    }
}

/// What is around the memory that programs get, and must not change.
const GUARD: u8 = 0x5a;

fn run(state: &mut State, code: &Code, program: &Program<'_>, fake: &mut Fake) -> bool {
    let length = state.scratch.len();
    state.scratch[length - 16..].fill(GUARD);
    let mut scratch = std::mem::take(&mut state.scratch);
    let (inside, guard) = scratch.split_at_mut(length - 16);
    let mut memory = state.memory();
    memory.scratch = inside;
    let mut machine = Machine::new(memory, tuple());
    let mut record = [GUARD; 300];
    let size = (program.result_size(STRSIZE) as usize).min(280);
    let result = machine
        .run(program, fake)
        .and_then(|value| machine.write_result(program, fake, value, &mut record[..size]));
    assert!(record[size..].iter().all(|byte| *byte == GUARD));
    assert!(guard.iter().all(|byte| *byte == GUARD));
    state.scratch = scratch;
    if let Err(fault) = result {
        assert!((fault.instruction as usize) < code.words.len());
    }
    result.is_ok()
}

fn cases(most: u64) -> (u64, u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (
        number("DIF_SEED").unwrap_or(1),
        number("DIF_CASES").unwrap_or(most),
    )
}

fn valid_programs(most: u64) {
    let (seed, cases) = cases(most);
    let mut fine = 0;
    let mut kinds = std::collections::BTreeMap::new();
    for case in 0..cases {
        let mut random = Random((seed + case).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let code = valid(&mut random);
        let mut state = State::new();
        state.declare(&code).unwrap();
        let program = state.validate(&code);
        let program = program.unwrap_or_else(|refusal| panic!("case {case}: {refusal}"));
        let mut fake = Fake::new();
        // Later runs find what earlier ones left in variables.
        for _ in 0..3 {
            fine += u64::from(run(&mut state, &code, &program, &mut fake));
        }
        if let Err(fault) = Machine::new(state.memory(), tuple()).run(&program, &mut fake) {
            *kinds.entry(fault.kind).or_insert(0) += 1;
        }
    }
    // Else the programs do not do much.
    assert!(
        fine * 10 > cases,
        "{fine} runs of {cases} programs without a fault, {kinds:?}"
    );
    assert!(cases < 1000 || kinds.len() >= 5, "{kinds:?}");
}

/// Valid programs with some bits changed, or words that are all random: whether validation takes
/// them or not, the machine withstands them.
fn mutated_programs(most: u64) {
    let (seed, cases) = cases(most);
    let (mut taken, mut refused) = (0u64, 0u64);
    for case in 0..cases {
        let mut random = Random((seed + case).wrapping_mul(0xd134_2543_de82_ef95) | 1);
        let mut code = valid(&mut random);
        let mut state = State::new();
        state.declare(&code).unwrap();
        for _ in 0..1 + random.below(2) {
            match random.below(8) {
                0..=3 => {
                    let at = random.below(code.words.len() as u64) as usize;
                    code.words[at] ^= 1 << random.below(32);
                }
                4 => {
                    let at = random.below(code.words.len() as u64) as usize;
                    code.words[at] = random.next() as u32;
                }
                5 => code
                    .words
                    .truncate(random.below(code.words.len() as u64 + 1).max(1) as usize),
                6 => code
                    .strings
                    .truncate(random.below(code.strings.len() as u64 + 1) as usize),
                _ => code.integers.truncate(random.below(9) as usize),
            }
        }
        code.return_type.size ^= (random.next() as u32) & random.pick(&[0, 0, 0, 7, u32::MAX]);
        let mut fake = Fake::new();
        let validated = state.validate(&code);
        match validated {
            Ok(program) => {
                taken += 1;
                run(&mut state, &code, &program, &mut fake);
            }
            Err(_) => refused += 1,
        }
        // The machine does not rely on it.
        let program = Program::from_validated(code.object(), Needs::default());
        run(&mut state, &code, &program, &mut fake);
    }
    let both = taken * 50 > cases && refused * 50 > cases;
    assert!(both || cases < 100, "{taken} taken, {refused} refused");
}

#[test]
fn valid_programs_run() {
    valid_programs(3_000);
}

#[test]
fn mutated_programs_are_withstood() {
    mutated_programs(3_000);
}

#[test]
#[ignore = "minutes"]
fn many_valid_programs_run() {
    valid_programs(2_000_000);
}

#[test]
#[ignore = "minutes"]
fn many_mutated_programs_are_withstood() {
    mutated_programs(2_000_000);
}
