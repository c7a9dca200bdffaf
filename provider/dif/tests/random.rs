// SPDX-License-Identifier: GPL-2.0
//! Random programs: none panics, none leaves its memory, valid ones pass validation.
//!
//! `cargo test -p dif --release -- --ignored` runs a few million; `DIF_SEED` and `DIF_CASES` choose
//! which and how many.

mod support;

use dif::*;
use support::programs::*;
use support::*;

struct Random(u64);

impl Source for Random {
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
            mutate(&mut code, &mut random);
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
