// SPDX-License-Identifier: GPL-2.0
//! An assembler, a machine's memory and an environment made up for tests.
#![allow(dead_code)]

pub mod programs;

use dif::variables::{declare, scope_of, slots_for, Slot};
use dif::*;
use dtrace_interface::dif::*;
use dtrace_interface::opcode::Opcode;
use dtrace_interface::subroutine::Subroutine;
use std::collections::BTreeMap;

/// Where the environment's kernel memory begins.
pub const KERNEL: u64 = 0xffff_8880_0000_1000;
/// Where its user memory begins.
pub const USER: u64 = 0x7fff_0000_1000;
pub const STRSIZE: u32 = 64;

/// A program in the making.
#[derive(Clone)]
pub struct Code {
    pub words: Vec<u32>,
    pub integers: Vec<u64>,
    pub strings: Vec<u8>,
    pub variables: Vec<Variable>,
    pub return_type: DifType,
}

impl Code {
    pub fn new() -> Self {
        Self {
            words: vec![],
            integers: vec![],
            strings: vec![0],
            variables: vec![],
            return_type: DifType::INT64,
        }
    }

    pub fn op(mut self, opcode: Opcode, r1: u8, r2: u8, rd: u8) -> Self {
        self.words
            .push(dtrace_interface::dif::Instruction::new(opcode, r1, r2, rd).0);
        self
    }

    pub fn indexed(mut self, opcode: Opcode, index: u16, rd: u8) -> Self {
        self.words
            .push(dtrace_interface::dif::Instruction::with_index(opcode, index, rd).0);
        self
    }

    pub fn branch(mut self, opcode: Opcode, label: u32) -> Self {
        let word = dtrace_interface::dif::Instruction::branch(opcode, label);
        self.words.push(word.unwrap().0);
        self
    }

    /// setx
    pub fn set(mut self, rd: u8, value: u64) -> Self {
        self.integers.push(value);
        let index = self.integers.len() as u16 - 1;
        self.indexed(Opcode::Setx, index, rd)
    }

    /// sets
    pub fn string(mut self, rd: u8, text: &str) -> Self {
        let offset = self.strings.len() as u16;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        self.indexed(Opcode::Sets, offset, rd)
    }

    pub fn push(self, rs: u8) -> Self {
        self.op(Opcode::Pushtv, TYPE_CTF, 0, rs)
    }

    /// A string reference of `strsize` bytes at most.
    pub fn push_string(self, rs: u8) -> Self {
        self.op(Opcode::Pushtr, TYPE_STRING, 0, rs)
    }

    pub fn flush(self) -> Self {
        self.op(Opcode::Flushts, 0, 0, 0)
    }

    pub fn call(self, subroutine: Subroutine, rd: u8) -> Self {
        self.indexed(Opcode::Call, subroutine.raw(), rd)
    }

    pub fn ret(self, rd: u8) -> Self {
        self.op(Opcode::Ret, 0, 0, rd)
    }

    pub fn returns(mut self, return_type: DifType) -> Self {
        self.return_type = return_type;
        self
    }

    pub fn declares(mut self, scope: u8, kind: u8, id: u32, variable_type: DifType) -> Self {
        self.variables.push(Variable {
            name: 0,
            id,
            kind,
            scope,
            flags: 0,
            variable_type,
        });
        self
    }

    pub fn object(&self) -> Object<'_> {
        Object {
            instructions: &self.words,
            integers: &self.integers,
            strings: &self.strings,
            variables: &self.variables,
            return_type: self.return_type,
        }
    }
}

/// A state: its variables and their memory, and one CPU's scratch.
pub struct State {
    pub globals: (Vec<Slot>, u32),
    pub threads: (Vec<Slot>, u32),
    pub locals: (Vec<Slot>, u32),
    pub global_words: Vec<Word>,
    pub local_words: Vec<u64>,
    pub store_words: Vec<Word>,
    pub shape: Option<Shape>,
    pub scratch: Vec<u8>,
    pub strsize: u32,
}

impl State {
    pub fn new() -> Self {
        let store_words: Vec<Word> = (0..4096).map(|_| Word::new(0)).collect();
        let shape = Shape::new(store_words.len(), 2, 64);
        Store::new(&store_words, shape.unwrap()).unwrap().format();
        Self {
            globals: (vec![], 0),
            threads: (vec![], 0),
            locals: (vec![], 0),
            global_words: vec![],
            local_words: vec![],
            store_words,
            shape,
            scratch: vec![0xee; 4096],
            strsize: STRSIZE,
        }
    }

    pub fn declare(&mut self, code: &Code) -> Result<(), variables::BadDeclaration> {
        for variable in &code.variables {
            let (slots, words) = match scope_of(variable)? {
                Scope::Global => &mut self.globals,
                Scope::Thread => &mut self.threads,
                Scope::Local => &mut self.locals,
            };
            let needed = slots_for(variable);
            if slots.len() < needed {
                slots.resize(needed, Slot::UNDECLARED);
            }
            declare(slots, words, variable, self.strsize)?;
        }
        let words = self.globals.1 as usize;
        self.global_words.resize_with(words, || Word::new(0));
        self.local_words = vec![0; self.locals.1 as usize];
        Ok(())
    }

    pub fn declared(&self) -> Declarations<'_> {
        Declarations {
            globals: &self.globals.0,
            threads: &self.threads.0,
            locals: &self.locals.0,
        }
    }

    pub fn store(&self) -> Option<Store<'_>> {
        Store::new(&self.store_words, self.shape?)
    }

    pub fn memory(&mut self) -> Memory<'_> {
        let declared = Declarations {
            globals: &self.globals.0,
            threads: &self.threads.0,
            locals: &self.locals.0,
        };
        let store = self
            .shape
            .and_then(|shape| Store::new(&self.store_words, shape));
        Memory {
            scratch: &mut self.scratch,
            locals: &mut self.local_words,
            globals: &self.global_words,
            store,
            declared,
            strsize: self.strsize,
            cpu: 0,
        }
    }

    pub fn validate<'a>(&self, code: &'a Code) -> Result<Program<'a>, Refusal> {
        let limits = Limits {
            strsize: self.strsize,
            ..Limits::default()
        };
        validate(code.object(), &self.declared(), &limits)
    }

    /// Declares, validates, runs; the value and, by reference, the bytes of the record.
    pub fn run(&mut self, code: &Code) -> Result<(u64, Vec<u8>), Fault> {
        self.run_with(code, &mut Fake::new())
    }

    pub fn run_with(&mut self, code: &Code, fake: &mut Fake) -> Result<(u64, Vec<u8>), Fault> {
        self.declare(code).unwrap();
        let program = self.validate(code).unwrap();
        // As in a kernel. (What runs random programs has them decoded as they run.)
        let decoded: Result<Vec<_>, _> = code.object().decoded().collect();
        let decoded = decoded.unwrap();
        let program = program.with_code(&decoded);
        let size = program.result_size(self.strsize) as usize;
        let mut machine = Machine::new(self.memory(), tuple());
        let value = machine.run(&program, fake)?;
        let mut record = vec![0xaa; size];
        machine.write_result(&program, fake, value, &mut record)?;
        Ok((value, record))
    }
}

/// The number a program returns.
pub fn value(code: Code) -> u64 {
    State::new().run(&code).unwrap().0
}

/// Its fault.
pub fn fault(code: Code) -> Fault {
    State::new().run(&code).unwrap_err()
}

/// The string it returns.
pub fn string(code: Code) -> String {
    let code = code.returns(DifType::string(0));
    let (_, record) = State::new().run(&code).unwrap();
    let end = record.iter().position(|byte| *byte == 0).unwrap();
    assert!(record[end..].iter().all(|byte| *byte == 0));
    String::from_utf8(record[..end].to_vec()).unwrap()
}

/// Kernel and user memory that ends, and a process.
pub struct Fake {
    pub kernel: Vec<u8>,
    pub user: Vec<u8>,
    pub thread: u64,
    pub numbers: BTreeMap<BuiltIn, u64>,
    /// Accesses outside of the memory above, which were refused.
    pub refused: usize,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            kernel: (0..=255).collect(),
            user: b"user string\0and more\0".to_vec(),
            thread: 7,
            numbers: BTreeMap::new(),
            refused: 0,
        }
    }
}

fn copy(from: &[u8], base: u64, address: u64, into: &mut [u8]) -> Option<()> {
    let offset = usize::try_from(address.checked_sub(base)?).ok()?;
    into.copy_from_slice(from.get(offset..offset.checked_add(into.len())?)?);
    Some(())
}

impl Environment for Fake {
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        assert!(into.len() <= 64);
        assert_eq!(address::Window::of(address), None);
        let first_page = address / 4096;
        let last_page = address.wrapping_add(into.len().max(1) as u64 - 1) / 4096;
        assert_eq!(first_page, last_page, "one page at a time");
        copy(&self.kernel, KERNEL, address, into).ok_or_else(|| {
            self.refused += 1;
            FaultKind::BadAddress
        })
    }

    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind> {
        copy(&self.user, USER, address, into).ok_or_else(|| {
            self.refused += 1;
            FaultKind::BadAddress
        })
    }

    fn number(&mut self, built_in: BuiltIn, index: u64) -> Result<u64, FaultKind> {
        assert!(!built_in.is_string());
        match built_in {
            BuiltIn::Args if index < 10 => Ok(100 + index),
            BuiltIn::Args => Err(FaultKind::IllegalOperation),
            BuiltIn::Caller => Err(FaultKind::BadStack),
            _ => Ok(self
                .numbers
                .get(&built_in)
                .copied()
                .unwrap_or(u64::from(built_in.raw()))),
        }
    }

    fn text(&mut self, built_in: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind> {
        assert!(built_in.is_string());
        let text = built_in.name().as_bytes();
        let length = text.len().min(into.len());
        into[..length].copy_from_slice(&text[..length]);
        Ok(length)
    }

    fn thread(&mut self) -> u64 {
        self.thread
    }

    fn progeny_of(&mut self, pid: u64) -> Result<bool, FaultKind> {
        Ok(pid == 1)
    }

    fn random(&mut self) -> u64 {
        4
    }
}

/// A tuple stack, for as long as the test's process lasts.
pub fn tuple() -> &'static mut dif::Tuple {
    Box::leak(Box::default())
}
