// SPDX-License-Identifier: GPL-2.0
//! What validation took runs to an end within its memory, and no check that the machine makes once more
//! finds anything: such a fault means that validation let something through.
#![no_main]

#[path = "../input.rs"]
mod input;
#[path = "../../tests/support/mod.rs"]
mod support;

use dif::{
    is_supported, BuiltIn, Environment, Fault, FaultKind, Machine, Memory, Needs, Object, Program,
    Progress, Tuple, MAX_TOUCHED,
};
use dtrace_interface::dif::{DifType, Instruction};
use dtrace_interface::opcode::{Opcode, Operands};
use dtrace_interface::subroutine::Subroutine;
use input::Choices;
use support::programs::Source;
use support::{Code, Fake, State};

/// What is around the memory that programs get, and must not change.
const GUARD: u8 = 0x5a;

/// A process whose memory ends, and that counts what is read of it.
struct Watched {
    fake: Fake,
    touched: u64,
}

impl Environment for Watched {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        self.touched += into.len() as u64;
        self.fake.kernel(address, into)
    }

    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        self.touched += into.len() as u64;
        self.fake.user(address, into)
    }

    fn number(&mut self, built_in: BuiltIn, index: u64) -> Result<u64, FaultKind> {
        self.fake.number(built_in, index)
    }

    fn text(&mut self, built_in: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        self.fake.text(built_in, into)
    }

    fn thread(&mut self) -> u64 {
        self.fake.thread()
    }

    fn progeny_of(&mut self, pid: u64) -> Result<bool, FaultKind> {
        self.fake.progeny_of(pid)
    }

    fn random(&mut self) -> u64 {
        self.fake.random()
    }
}

/// Whether a firing that came so far could not touch 8000 bytes more: no single step asks for as many.
fn is_spent(progress: Progress, tuple: &mut Tuple) -> bool {
    let words = [
        Instruction::with_index(Opcode::Setx, 0, 1),
        Instruction::new(Opcode::Allocs, 1, 0, 2),
        Instruction::new(Opcode::Ret, 0, 0, 2),
    ];
    let object = Object {
        instructions: &words.map(|word| word.0),
        integers: &[8000],
        strings: &[],
        variables: &[],
        return_type: DifType::INT64,
    };
    let mut scratch = vec![0; 8000];
    let memory = Memory {
        scratch: &mut scratch,
        locals: &mut [],
        globals: &[],
        store: None,
        declared: dif::Declarations::default(),
        strsize: 64,
        cpu: 0,
    };
    let mut machine = Machine::resume(memory, tuple, progress.next_clause());
    let program = Program::from_validated(object, Needs::default());
    let fake = &mut Fake::new();
    machine.run(&program, fake).is_err()
}

/// Whether an instruction may be an illegal operation all the same: by its operands, which only running it
/// tells, or as the firing may touch no more.
fn may_be_illegal(word: u32, is_spent: bool) -> bool {
    let word = Instruction(word);
    let Some(opcode) = word.opcode() else {
        return false;
    };
    match opcode.operands() {
        // An argument that was not pushed.
        Operands::Call => Subroutine::from_raw(word.index()).is_some_and(is_supported),
        // An element that is not there.
        Operands::LoadElement => {
            opcode == Opcode::Ldga && BuiltIn::from_raw(word.r1().into()).is_some()
        }
        Operands::Load | Operands::Store => is_spent,
        Operands::LoadVariable | Operands::StoreVariable => is_spent,
        _ => {
            is_spent
                && matches!(
                    opcode,
                    Opcode::Scmp | Opcode::Allocs | Opcode::Copys | Opcode::Ret
                )
        }
    }
}

fn check(code: &Code, fault: Fault, progress: Progress) {
    assert!((fault.instruction as usize) < code.words.len());
    assert!(!fault.to_string().is_empty());
    if fault.kind == FaultKind::IllegalOperation {
        let word = code.words[fault.instruction as usize];
        let is_spent = is_spent(progress, &mut Tuple::default());
        assert!(
            may_be_illegal(word, is_spent),
            "validation took {word:#010x} at {}",
            fault.instruction
        );
    }
}

/// One firing: the program twice in a clause, as a predicate and an action; then in a next clause.
fn fire(state: &mut State, code: &Code, program: &Program<'_>, watched: &mut Watched) {
    let length = state.scratch.len();
    state.scratch[length - 16..].fill(GUARD);
    let mut scratch = std::mem::take(&mut state.scratch);
    let (inside, guard) = scratch.split_at_mut(length - 16);
    let size = program.result_size(state.strsize) as usize;
    let mut tuple = Tuple::default();
    let mut progress = Progress::default();
    watched.touched = 0;
    for clause in 0..2 {
        state.local_words.fill(0);
        let mut memory = state.memory();
        memory.scratch = &mut *inside;
        let mut machine = Machine::resume(memory, &mut tuple, progress);
        for _ in clause..2 {
            let mut record = vec![GUARD; size + 16].into_boxed_slice();
            let result = machine.run(program, watched);
            let result = result.and_then(|value| {
                machine.write_result(program, watched, value, &mut record[..size])
            });
            assert!(record[size..].iter().all(|byte| *byte == GUARD));
            if let Err(fault) = result {
                check(code, fault, machine.progress());
            }
        }
        progress = machine.progress().next_clause();
    }
    assert!(guard.iter().all(|byte| *byte == GUARD));
    assert!(watched.touched <= u64::from(MAX_TOUCHED));
    state.scratch = scratch;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let mut state = State::new();
    state.strsize = choices.pick(&[64, 64, 1, 300, 4096]);
    let scratch = choices.pick(&[4096, 4096, 16, 24, 100, 1 << 20]);
    state.scratch = vec![0xee; scratch];
    let (code, _) = input::program(&mut choices);
    if state.declare(&code).is_err() {
        return;
    }
    let Ok(program) = state.validate(&code) else {
        return;
    };
    // As in a kernel: what was validated can be decoded.
    let decoded: Result<Vec<_>, _> = code.object().decoded().collect();
    let decoded = decoded.expect("validation took it");
    let program = program.with_code(&decoded);
    let fake = Fake::new();
    let mut watched = Watched { fake, touched: 0 };
    // A later firing finds what an earlier one left in variables.
    for _ in 0..2 {
        fire(&mut state, &code, &program, &mut watched);
    }
});
