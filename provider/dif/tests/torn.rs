// SPDX-License-Identifier: GPL-2.0
//! Strings in global variables that several CPUs write and read at once: they may be mixed, and never
//! run beyond their variable.

mod support;

use dif::variables::Slot;
use dif::*;
use dtrace_interface::dif::*;
use dtrace_interface::opcode::Opcode::*;
use dtrace_interface::subroutine::Subroutine;
use support::*;

const SIZE: u32 = 200;
const LINE: usize = 64;
const TEXT: u32 = 0x500;

/// What every CPU shares.
struct Shared {
    globals: Vec<Word>,
    slots: Vec<Slot>,
}

impl Shared {
    fn new() -> Self {
        let mut state = State::new();
        state.strsize = SIZE;
        state.declare(&declares(Code::new())).unwrap();
        Self {
            globals: state.global_words,
            slots: state.globals.0,
        }
    }

    /// Runs a program as a CPU does: scratch and tuple are its own.
    fn run<R>(
        &self,
        code: &Code,
        environment: &mut impl Environment,
        then: impl FnOnce(&mut Machine<'_>, &Program<'_>, u64) -> R,
    ) -> R {
        let declared = Declarations {
            globals: &self.slots,
            ..Declarations::default()
        };
        let limits = Limits {
            strsize: SIZE,
            ..Limits::default()
        };
        let program = validate(code.object(), &declared, &limits).unwrap();
        let mut scratch = vec![0xee; 1024];
        let mut tuple = Box::<Tuple>::default();
        let memory = Memory {
            scratch: &mut scratch,
            locals: &mut [],
            globals: &self.globals,
            store: None,
            declared,
            strsize: SIZE,
            cpu: 0,
        };
        let mut machine = Machine::new(memory, &mut tuple);
        let value = machine.run(&program, environment).unwrap();
        then(&mut machine, &program, value)
    }

    /// text = the string of the environment's memory.
    fn write(&self, environment: &mut impl Environment) {
        let code = declares(
            Code::new()
                .set(1, KERNEL)
                .indexed(Stgs, TEXT as u16, 1)
                .ret(1),
        );
        self.run(&code, environment, |_, _, _| ());
    }

    /// What a record of it, its length, and it joined to another, make of the variable now.
    fn check(&self) {
        let mut fake = Fake::new();
        let load = declares(Code::new().indexed(Ldgs, TEXT as u16, 1));
        let of_it = load.clone().ret(1).returns(DifType::string(0));
        let joined = load
            .clone()
            .string(2, "and ")
            .flush()
            .push_string(2)
            .push_string(1)
            .call(Subroutine::Strjoin, 3)
            .ret(3)
            .returns(DifType::string(0));
        for (code, prefix) in [(of_it, ""), (joined, "and ")] {
            let mut record = vec![0xaa; SIZE as usize];
            self.run(&code, &mut fake, |machine, program, value| {
                machine
                    .write_result(program, &mut Fake::new(), value, &mut record)
                    .unwrap();
            });
            let end = record.iter().position(|byte| *byte == 0);
            let text = &record[..end.expect("a string without an end")];
            let text = text.strip_prefix(prefix.as_bytes()).unwrap_or_default();
            assert!(text.iter().all(|byte| b"ab".contains(byte)), "{text:?}");
        }
        let length = load.flush().push(1).call(Subroutine::Strlen, 2).ret(2);
        let length = self.run(&length, &mut fake, |_, _, value| value);
        assert!(length < u64::from(SIZE), "a length of {length}");
        // The variable's own last byte, and the word of the variable behind it.
        let end = self.globals.len() - 1;
        let word = |at: usize| self.globals[at].load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(word(end - 1).to_ne_bytes()[7], 0);
        assert_eq!(word(end), 0);
    }
}

/// A string of which nobody says the size, and a number behind it.
fn declares(code: Code) -> Code {
    let size = DifType::string(SIZE);
    code.declares(SCOPE_GLOBAL, KIND_SCALAR, TEXT, size)
        .declares(SCOPE_GLOBAL, KIND_SCALAR, TEXT + 1, DifType::INT64)
}

/// Memory full of one letter up to `length`, then `then` at the line number `at` of it that is read.
struct Letters<F> {
    letter: u8,
    length: usize,
    at: usize,
    then: F,
}

impl<F: FnMut()> Environment for Letters<F> {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        if self.at == 0 {
            (self.then)();
        }
        self.at = self.at.wrapping_sub(1);
        for (byte, at) in into.iter_mut().zip(address - KERNEL..) {
            *byte = match (at as usize) < self.length {
                true => self.letter,
                false => 0,
            };
        }
        Ok(())
    }

    fn user(&mut self, _: u64, _: &mut [u8]) -> Result<(), FaultKind> {
        Err(FaultKind::BadAddress)
    }

    fn number(&mut self, _: BuiltIn, _: u64) -> Result<u64, FaultKind> {
        Err(FaultKind::IllegalOperation)
    }

    fn text(&mut self, _: BuiltIn, _: &mut [u8]) -> Result<usize, FaultKind> {
        Err(FaultKind::IllegalOperation)
    }

    fn thread(&mut self) -> u64 {
        0
    }

    fn progeny_of(&mut self, _: u64) -> Result<bool, FaultKind> {
        Ok(false)
    }

    fn random(&mut self) -> u64 {
        4
    }
}

fn letters<F: FnMut()>(letter: u8, length: usize, at: usize, then: F) -> Letters<F> {
    Letters {
        letter,
        length,
        at,
        then,
    }
}

#[test]
fn a_string_that_two_write_ends_within_its_variable() {
    let lengths = [0, 1, 7, 8, 63, 64, 65, 127, 150, 198, 199, 200, 201, 300];
    for one in lengths {
        for other in lengths {
            for at in 0..=one / LINE + 1 {
                let shared = Shared::new();
                let mut between = letters(b'a', one, at, || {
                    shared.check();
                    shared.write(&mut letters(b'b', other, usize::MAX, || ()));
                    shared.check();
                });
                shared.write(&mut between);
                shared.check();
            }
        }
    }
}

#[test]
fn strings_under_threads_end_within_their_variable() {
    let shared = Shared::new();
    let shared = &shared;
    std::thread::scope(|scope| {
        for letter in [b'a', b'b'] {
            scope.spawn(move || {
                for round in 0..4000 {
                    let length = (round * 37 + usize::from(letter)) % 260;
                    shared.write(&mut letters(letter, length, usize::MAX, || ()));
                }
            });
        }
        for _ in 0..4000 {
            shared.check();
        }
    });
}
