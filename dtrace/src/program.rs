// SPDX-License-Identifier: GPL-2.0
//! What is enabled, as a program for the kernel (DOF).

use crate::fields::{Field, Source, Variable};
use crate::name::ProbeName;
use crate::options::Options;
use anyhow::{Context, Result};
use dof::{ActionSpec, Object, ProbeSpec, Program};
use dtrace_interface::action::{ustack_argument, ActionKind};
use dtrace_interface::dif::{DifType, Instruction, TYPE_CTF};
use dtrace_interface::opcode::Opcode;
use dtrace_interface::options::OptionId;
use dtrace_interface::subroutine::Subroutine;
use dtrace_interface::variable::BuiltIn;

/// Probes, and what they do when they fire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// Which probes.
    pub name: ProbeName,
    /// This probe only.
    pub id: Option<u32>,
    /// Only where this holds.
    pub predicate: Option<Equals>,
    /// What to record. Nothing: that it fired.
    pub record: Vec<Field>,
    /// What to print.
    pub printf: Vec<Printf>,
    /// What to count.
    pub aggregate: Option<Aggregate>,
    /// Which aggregation to print.
    pub printa: Option<Printa>,
}

/// Values, as a format shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printf {
    /// The format, in which escapes are characters already.
    pub format: String,
    /// What it takes.
    pub values: Vec<Field>,
}

/// An aggregation, as a format shows each of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printa {
    /// The format, in which escapes are characters already.
    pub format: String,
    /// Which of the session's clauses aggregates.
    pub clause: usize,
}

impl Printf {
    /// What each part of a record is that comes of it; None: nothing that is shown.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Option<&Field>> {
        // The format goes with a number: where it has none of its own, with one that is not shown.
        let is_stack = |field: &Field| matches!(field.source, Source::Stack | Source::UserStack);
        let alone = self.values.first().is_none_or(is_stack);
        let values = self.values.iter().map(Some);
        alone.then_some(None).into_iter().chain(values)
    }
}

/// A variable has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equals {
    /// Which variable: one that holds a number.
    pub variable: BuiltIn,
    /// Which value.
    pub value: u64,
}

/// What to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// By which function.
    pub function: ActionKind,
    /// Of which value; count() has none.
    pub value: Option<Field>,
    /// Apart for each of these.
    pub by: Vec<Field>,
}

/// The number of the clause that tells of errors.
pub const ERROR_CLAUSE: usize = usize::MAX - 1;

/// What arguments of ERROR tell: enabled probe, action, offset, kind of fault, address.
const ERROR_ARGUMENTS: [BuiltIn; 5] = [
    BuiltIn::Arg1,
    BuiltIn::Arg2,
    BuiltIn::Arg3,
    BuiltIn::Arg4,
    BuiltIn::Arg5,
];

/// Bytes of a string, if the option `strsize` says nothing.
const STRING_SIZE: u32 = 256;

/// Frames of a stack, if the options say nothing.
const FRAMES: u32 = 20;

/// The clause that the kernel's copy of its number stands for.
pub fn clause_of(user_argument: u64) -> Option<usize> {
    usize::try_from(user_argument).ok()?.checked_sub(1)
}

fn user_argument(clause: usize) -> u64 {
    clause as u64 + 1
}

/// An expression in DIF.
fn object(code: Vec<Instruction>, integers: Vec<u64>, return_type: DifType) -> Object {
    Object {
        return_type,
        instructions: code.iter().map(|instruction| instruction.0).collect(),
        integers,
        strings: Vec::new(),
        variables: Vec::new(),
    }
}

/// A built-in variable.
fn load(variable: BuiltIn, returns: DifType) -> Object {
    let code = vec![
        Instruction::with_index(Opcode::Ldgs, variable.raw(), 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    object(code, Vec::new(), returns)
}

/// `curcpu->cpu_id`
fn cpu_number() -> Object {
    let code = vec![
        Instruction::with_index(Opcode::Ldgs, BuiltIn::Curcpu.raw(), 1),
        Instruction::new(Opcode::Lduw, 1, 0, 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    object(code, Vec::new(), DifType::integer(4))
}

/// `uregs[number]`
fn user_register(number: u8) -> Object {
    let code = vec![
        Instruction::with_index(Opcode::Setx, 0, 1),
        Instruction::new(Opcode::Ldga, BuiltIn::Uregs.raw() as u8, 1, 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    object(code, vec![number.into()], DifType::integer(8))
}

/// `copyinstr(variable)`
fn copy_in_string(variable: &Variable, returns: DifType) -> Object {
    let code = vec![
        Instruction::with_index(Opcode::Ldgs, variable.built_in.raw(), 1),
        Instruction::new(Opcode::Pushtv, TYPE_CTF, 0, 1),
        Instruction::with_index(Opcode::Call, Subroutine::Copyinstr.raw(), 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    object(code, Vec::new(), returns)
}

/// Whether a variable has a value: 1 or 0.
fn equals(Equals { variable, value }: Equals) -> Result<Object> {
    let last = 6;
    let code = vec![
        Instruction::with_index(Opcode::Ldgs, variable.raw(), 1),
        Instruction::with_index(Opcode::Setx, 0, 2),
        Instruction::new(Opcode::Cmp, 1, 2, 0),
        Instruction::new(Opcode::Mov, 0, 0, 1),
        Instruction::branch(Opcode::Bne, last).context("a branch too far")?,
        Instruction::with_index(Opcode::Setx, 1, 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    Ok(object(code, vec![value, 1], DifType::integer(4)))
}

/// A constant.
fn constant(value: u64) -> Object {
    let code = vec![
        Instruction::with_index(Opcode::Setx, 0, 1),
        Instruction::new(Opcode::Ret, 0, 0, 1),
    ];
    object(code, vec![value], DifType::integer(8))
}

/// A field's value; None: an action of its own makes it.
fn value(field: &Field, options: &Options) -> Option<Object> {
    let size = options.get(OptionId::StringSize);
    let size = size.and_then(|size| u32::try_from(size).ok());
    let string = DifType::string(size.unwrap_or(STRING_SIZE));
    match field.source {
        Source::Variable(variable) => {
            let returns = match variable.holds.size() {
                Some(size) => DifType::integer(size.into()),
                None => string,
            };
            Some(load(variable.built_in, returns))
        }
        Source::UserString(variable) => Some(copy_in_string(variable, string)),
        Source::CpuNumber => Some(cpu_number()),
        Source::UserRegister(number) => Some(user_register(number)),
        Source::Stack | Source::UserStack => None,
    }
}

/// The action that records a field.
fn action(field: &Field, options: &Options) -> ActionSpec {
    let frames = |option| {
        let said = options.get(option);
        said.and_then(|n| u32::try_from(n).ok()).unwrap_or(FRAMES)
    };
    match (field.source, value(field, options)) {
        (Source::Stack, _) => {
            let frames = frames(OptionId::StackFrames);
            ActionSpec::new(ActionKind::Stack).argument(frames.into())
        }
        (Source::UserStack, _) => {
            let frames = frames(OptionId::UserStackFrames);
            ActionSpec::new(ActionKind::Ustack).argument(ustack_argument(frames, 0))
        }
        (_, difo) => ActionSpec {
            difo,
            ..ActionSpec::new(ActionKind::DifExpression)
        },
    }
}

/// The actions of a printf: all but stacks are of its kind, the first has the format.
fn print<'a>(printf: &'a Printf, options: &'a Options) -> impl Iterator<Item = ActionSpec> + 'a {
    let actions = printf.parts().map(|part| {
        let made = part.map(|field| action(field, options));
        match made {
            Some(made) if made.kind != ActionKind::DifExpression => made,
            made => ActionSpec {
                difo: made.map_or_else(|| Some(constant(0)), |made| made.difo),
                ..ActionSpec::new(ActionKind::Printf)
            },
        }
    });
    actions.enumerate().map(|(place, action)| match place {
        0 => action.format(&printf.format),
        _ => action,
    })
}

/// A clause's actions: what it records and prints, then the key and the aggregation.
fn actions(number: usize, clause: &Clause, options: &Options) -> Vec<ActionSpec> {
    let mut all: Vec<ActionSpec> = clause.record.iter().map(|f| action(f, options)).collect();
    all.extend(
        clause
            .printf
            .iter()
            .flat_map(|printf| print(printf, options)),
    );
    all.extend(clause.printa.iter().map(|printa| {
        let of = constant(user_argument(printa.clause));
        let action = ActionSpec::new(ActionKind::Printa).difo(of);
        action.format(&printa.format)
    }));
    let Some(aggregate) = &clause.aggregate else {
        return all;
    };
    // The first part of a key is which aggregation it is, as DTrace has it.
    let variable = user_argument(number);
    all.push(
        ActionSpec::new(ActionKind::DifExpression)
            .difo(constant(variable))
            .user_argument(variable),
    );
    all.extend(aggregate.by.iter().map(|field| action(field, options)));
    let of = aggregate.value.as_ref();
    all.push(ActionSpec {
        difo: of.and_then(|field| value(field, options)),
        tuple: aggregate.by.len() as u32 + 1,
        ..ActionSpec::new(aggregate.function).user_argument(variable)
    });
    all
}

/// The program of one clause.
///
/// # Errors
/// If it has more than a program may have.
pub fn clause(number: usize, clause: &Clause, options: &Options) -> Result<Vec<u8>> {
    let name = clause.name.clone();
    let probe = ProbeSpec {
        id: clause.id.unwrap_or(0),
        provider: name.provider,
        module: name.module,
        function: name.function,
        name: name.name,
    };
    let predicate = clause.predicate.map(equals).transpose()?;
    let actions = actions(number, clause, options);
    Program::new()
        .clause_with([probe], predicate, actions, user_argument(number))
        .to_bytes()
        .with_context(|| format!("no program can be made of {}", clause.name))
}

/// The program that tells of errors.
///
/// # Errors
/// None is known.
pub fn error_clause() -> Result<Vec<u8>> {
    let probe = ProbeSpec {
        id: 0,
        provider: "dtrace".into(),
        module: String::new(),
        function: String::new(),
        name: "ERROR".into(),
    };
    let actions = ERROR_ARGUMENTS.map(|argument| {
        ActionSpec::new(ActionKind::DifExpression).difo(load(argument, DifType::INT64))
    });
    Program::new()
        .clause_with([probe], None, actions, user_argument(ERROR_CLAUSE))
        .to_bytes()
        .context("no program can be made of ERROR")
}

/// The program that sets options.
///
/// # Errors
/// None is known.
pub fn options(options: impl IntoIterator<Item = (OptionId, u64)>) -> Result<Vec<u8>> {
    let program = options
        .into_iter()
        .fold(Program::new(), |program, (o, v)| program.option(o, v));
    program
        .to_bytes()
        .context("no program can be made of the options")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_as_the_loader_reads_it() {
        let wanted = Clause {
            name: "syscall::open*:entry".parse().unwrap(),
            predicate: Some(Equals {
                variable: BuiltIn::Pid,
                value: 42,
            }),
            record: ["pid", "execname", "copyinstr(arg1)", "stack"]
                .map(|field| field.parse().unwrap())
                .to_vec(),
            aggregate: Some(Aggregate {
                function: ActionKind::Quantize,
                value: Some("arg2".parse().unwrap()),
                by: vec!["execname".parse().unwrap()],
            }),
            ..Clause::default()
        };
        let mut options = Options::default();
        options.set(OptionId::StringSize, 64);
        let bytes = clause(4, &wanted, &options).unwrap();
        let program = dof::load(&bytes).unwrap();
        let ecbs: Vec<_> = program.ecbs().collect();
        assert_eq!(ecbs.len(), 1);
        assert_eq!(clause_of(ecbs[0].user_argument), Some(4));
        assert_eq!(ecbs[0].probe.function, b"open*");
        let predicate = ecbs[0].predicate.unwrap();
        assert_eq!(predicate.integers.iter().next(), Some(42));
        let actions: Vec<_> = ecbs[0].actions.iter().collect();
        let kinds: Vec<ActionKind> = actions.iter().map(|action| action.kind).collect();
        let trace = ActionKind::DifExpression;
        assert_eq!(
            kinds,
            [
                trace,
                trace,
                trace,
                ActionKind::Stack,
                trace,
                trace,
                ActionKind::Quantize
            ]
        );
        assert_eq!(actions[6].tuple, 2);
        assert_eq!(actions[3].argument, 20);
        let returns = |number: usize| actions[number].difo.unwrap().return_type;
        assert_eq!(returns(0).size, 4);
        assert!(returns(1).is_by_ref());
        assert_eq!(returns(2).size, 64);
    }

    #[test]
    fn errors_and_options() {
        let bytes = error_clause().unwrap();
        let program = dof::load(&bytes).unwrap();
        let ecb = program.ecbs().next().unwrap();
        assert_eq!(ecb.probe.name, b"ERROR");
        assert_eq!(clause_of(ecb.user_argument), Some(ERROR_CLAUSE));
        assert_eq!(ecb.actions.len(), ERROR_ARGUMENTS.len());
        let bytes = options(Options::default().iter()).unwrap();
        let program = dof::load(&bytes).unwrap();
        assert_eq!(program.ecbs().count(), 0);
        let set: Vec<_> = program.options().collect();
        assert_eq!(set.len(), Options::default().iter().count());
    }
}
