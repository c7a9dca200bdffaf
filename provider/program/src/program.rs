// SPDX-License-Identifier: GPL-2.0
//! A checked DIF object in memory of its own.

use crate::cpu::Cpu;
use crate::firing::Firing;
use crate::state::{Scopes, State};
use core::fmt;
use core::marker::PhantomData;
use dif::{plain, validate, Plain};
use dif::{
    BuiltIn, Environment, FaultKind, Instruction, Limits, Machine, Memory, Needs, Object, Refusal,
};
use dof::Difo;
use dtrace_interface::dif::{DifType, Variable};
use dtrace_interface::record::write_number;
use dtrace_provider::memory::{List, OutOfMemory};
use dtrace_provider::{AtHand, Error, Expression, Fault, Options, Site};

/// A checked DIF object, run in the environment `E` of a machine.
pub struct Program<E> {
    instructions: List<u32>,
    /// The same, decoded: empty if it is not run by the interpreter.
    code: List<Instruction>,
    integers: List<u64>,
    strings: List<u8>,
    variables: List<Variable>,
    return_type: DifType,
    form: Form,
    _environment: PhantomData<fn(E)>,
}

/// How it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By the interpreter.
    Code,
    /// It says a number that is at hand.
    AtHand(AtHand),
    /// It says another built-in variable.
    BuiltIn(BuiltIn),
}

impl Form {
    fn of(object: &Object<'_>) -> Self {
        let first = BuiltIn::Arg0.raw();
        match plain(object) {
            None => Self::Code,
            Some(Plain::Integer(number)) => Self::AtHand(AtHand::Integer(number)),
            Some(Plain::BuiltIn(BuiltIn::Pid)) => Self::AtHand(AtHand::Process),
            Some(Plain::BuiltIn(built_in)) => match built_in.raw().checked_sub(first) {
                Some(index @ 0..10) => Self::AtHand(AtHand::Argument(index as u8)),
                _ => Self::BuiltIn(built_in),
            },
        }
    }
}

/// Why an object becomes no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// What DIF's rules say.
    Dif(Refusal),
    /// Its variables are too many, or there is no memory.
    Other(Error),
}

impl From<OutOfMemory> for Unfit {
    fn from(none: OutOfMemory) -> Self {
        Self::Other(none.into())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dif(refusal) => refusal.fmt(f),
            Self::Other(error) => write!(f, "DIF object: {error}"),
        }
    }
}

impl<E> Program<E> {
    /// Copies and checks an object, with the option `strsize` as it is now: it is checked again when
    /// tracing begins. Task context.
    pub fn new(difo: &Difo<'_>, strsize: u32) -> Result<Self, Unfit> {
        let mut program = Self {
            instructions: collected(difo.instructions.iter())?,
            code: List::new(),
            integers: collected(difo.integers.iter())?,
            strings: List::copied(difo.strings)?,
            variables: collected(difo.variables.iter())?,
            return_type: difo.return_type,
            form: Form::Code,
            _environment: PhantomData,
        };
        let mut scopes = Scopes::default();
        scopes
            .add(&program.variables, strsize)
            .map_err(Unfit::Other)?;
        let limits = Limits {
            strsize,
            ..Limits::default()
        };
        validate(program.object(), &scopes.declared(), &limits).map_err(Unfit::Dif)?;
        program.form = Form::of(&program.object());
        if program.form == Form::Code {
            program.code = decoded(&program.object())?;
        }
        Ok(program)
    }

    pub(crate) fn object(&self) -> Object<'_> {
        Object {
            instructions: &self.instructions,
            integers: &self.integers,
            strings: &self.strings,
            variables: &self.variables,
            return_type: self.return_type,
        }
    }
}

/// A list of what an iterator gives.
fn collected<T>(values: impl ExactSizeIterator<Item = T>) -> Result<List<T>, OutOfMemory> {
    let mut list = List::new();
    list.reserve(values.len())?;
    for value in values {
        list.push(value)?;
    }
    Ok(list)
}

/// The instructions of a validated object.
fn decoded(object: &Object<'_>) -> Result<List<Instruction>, Unfit> {
    let mut code = List::new();
    code.reserve(object.instructions.len())?;
    for instruction in object.decoded() {
        let instruction = instruction.map_err(|_| Unfit::Other(Error::Invalid))?;
        code.push(instruction)?;
    }
    Ok(code)
}

/// A fault as the framework tells it.
fn told(fault: dif::Fault) -> Fault {
    Fault {
        kind: fault.kind,
        // In bytes, as DTrace tells it.
        offset: fault.instruction.saturating_mul(4),
        value: fault.address,
    }
}

/// A fault of the first instruction.
fn of_load(kind: FaultKind) -> Fault {
    told(dif::Fault {
        kind,
        instruction: 0,
        address: 0,
    })
}

impl<E: Environment + Send + 'static> Program<E> {
    /// Its value, if that takes no interpreter.
    fn number(&self, site: &Site<'_, State>, cpu: &mut Cpu<E>) -> Option<Result<u64, Fault>> {
        match self.form {
            Form::Code => None,
            Form::BuiltIn(built_in) => Some(Self::built_in(built_in, site, cpu)),
            Form::AtHand(AtHand::Process) => {
                Some(cpu.machine.number(BuiltIn::Pid, 0).map_err(of_load))
            }
            Form::AtHand(number) => Some(Ok(number.number(site.args, 0))),
        }
    }

    fn built_in(built_in: BuiltIn, site: &Site<'_, State>, cpu: &mut Cpu<E>) -> Result<u64, Fault> {
        let mut firing = Firing {
            site,
            machine: &mut cpu.machine,
            timestamp: &mut cpu.timestamp,
        };
        firing.number(built_in, 0).map_err(of_load)
    }

    /// Runs it, and `then` with its value while the memory it may refer to is there.
    fn run<R>(
        &self,
        site: &Site<'_, State>,
        cpu: &mut Cpu<E>,
        then: impl FnOnce(
            &mut Machine<'_>,
            &dif::Program<'_>,
            &mut Firing<'_, E, State>,
            u64,
        ) -> Result<R, dif::Fault>,
    ) -> Result<R, Fault> {
        let state = site.variables;
        let words = state.scopes.local_words();
        cpu.used_locals = words;
        let memory = Memory {
            scratch: &mut cpu.scratch,
            locals: cpu.locals.get_mut(..words).unwrap_or_default(),
            globals: &state.globals,
            store: state.store(),
            declared: state.scopes.declared(),
            strsize: state.strsize,
            cpu: site.cpu as u32,
        };
        let mut machine = Machine::resume(memory, &mut cpu.tuple, cpu.progress);
        let mut firing = Firing {
            site,
            machine: &mut cpu.machine,
            timestamp: &mut cpu.timestamp,
        };
        // What it needs was seen to when the variables were made.
        let program = dif::Program::from_validated(self.object(), Needs::default());
        let program = program.with_code(&self.code);
        let result = machine
            .run(&program, &mut firing)
            .and_then(|value| then(&mut machine, &program, &mut firing, value));
        cpu.progress = machine.progress();
        result.map_err(told)
    }
}

impl<E: Environment + Send + 'static> Expression for Program<E> {
    type Environment = Cpu<E>;
    type Variables = State;

    fn result(&self) -> DifType {
        self.return_type
    }

    fn agree(options: &Options, programs: &mut dyn Iterator<Item = &Self>) -> Result<(), Error> {
        State::agree(options, programs)
    }

    fn words(&self) -> usize {
        match self.form {
            Form::AtHand(_) => 0,
            // A stack may be walked.
            Form::BuiltIn(_) => 16,
            Form::Code => (self.code.len() / 8).saturating_add(16),
        }
    }

    fn at_hand(&self) -> Option<AtHand> {
        match self.form {
            Form::AtHand(number) => Some(number),
            Form::Code | Form::BuiltIn(_) => None,
        }
    }

    fn begin_firing(cpu: &mut Cpu<E>) {
        cpu.begin_firing();
    }

    fn begin(cpu: &mut Cpu<E>) {
        cpu.begin();
    }

    fn begin_clause(cpu: &mut Cpu<E>) {
        cpu.begin_clause();
    }

    fn value(&self, site: &Site<'_, State>, cpu: &mut Cpu<E>) -> Result<u64, Fault> {
        match self.number(site, cpu) {
            Some(value) => value,
            None => self.run(site, cpu, |_, _, _, value| Ok(value)),
        }
    }

    fn store(&self, site: &Site<'_, State>, cpu: &mut Cpu<E>, to: &mut [u8]) -> Result<(), Fault> {
        match self.number(site, cpu) {
            Some(value) => {
                write_number(value?, to);
                Ok(())
            }
            None => self.run(site, cpu, |machine, program, firing, value| {
                machine.write_result(program, firing, value, to)
            }),
        }
    }
}
