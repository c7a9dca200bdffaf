// SPDX-License-Identifier: GPL-2.0
//! Objects as text that the assembler takes.

use std::collections::BTreeSet;
use std::fmt::Write;

use dof::Object;
use dtrace_interface::dif::{self, Instruction, Variable};
use dtrace_interface::opcode::{Opcode, Operands};
use dtrace_interface::subroutine::Subroutine;
use dtrace_interface::variable::BuiltIn;

use crate::builder::{use_of, Scope};
use crate::operand::{is_name, quote};
use crate::types;

/// One instruction of an object, for error messages. What no instruction can be is a `.word`.
pub fn instruction(object: &Object, index: usize) -> String {
    match object.instructions.get(index) {
        Some(word) => text(object, Instruction(*word))
            .filter(|_| leads_forward(object, index))
            .unwrap_or_else(|| format!(".word {word:#010x}")),
        None => format!("// no instruction {index}"),
    }
}

/// All of an object: directives, then instructions, an indented line each.
pub fn listing(object: &Object) -> String {
    let mut lines = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        lines
            .write_fmt(text)
            .and_then(|()| lines.write_str("\n"))
            .expect("a String has room");
    };
    line(format_args!(".returns {}", types::Text(object.return_type)));
    for (index, variable) in object.variables.iter().enumerate() {
        match declaration(object, index, variable) {
            Some(text) => line(format_args!("{text}")),
            None => line(format_args!(
                "// variable {:#x} cannot be declared",
                variable.id
            )),
        }
    }
    let targets: BTreeSet<_> = (0..object.instructions.len())
        .filter(|index| leads_forward(object, *index))
        .filter_map(|index| target(object, index))
        .collect();
    for index in 0..object.instructions.len() {
        if targets.contains(&index) {
            line(format_args!("L{index}:"));
        }
        line(format_args!("    {}", instruction(object, index)));
    }
    lines
}

/// Where the instruction branches to.
fn target(object: &Object, index: usize) -> Option<usize> {
    let branch = Instruction(*object.instructions.get(index)?);
    let opcode = branch.opcode()?;
    (opcode.operands() == Operands::Branch).then(|| branch.label() as usize)
}

/// Whether it is no branch, or one that the assembler would take.
fn leads_forward(object: &Object, index: usize) -> bool {
    target(object, index).is_none_or(|to| index < to && to < object.instructions.len())
}

fn string(object: &Object, offset: u32) -> Option<&[u8]> {
    let rest = object.strings.get(offset as usize..)?;
    rest.get(..rest.iter().position(|byte| *byte == 0)?)
}

fn scope(variable: &Variable) -> Option<Scope> {
    match variable.scope {
        dif::SCOPE_GLOBAL => Some(Scope::Global),
        dif::SCOPE_THREAD => Some(Scope::Thread),
        dif::SCOPE_LOCAL => Some(Scope::Local),
        _ => None,
    }
}

/// A declared variable's name, if the assembler would take it for this one.
fn name<'a>(object: &'a Object, variable: &Variable) -> Option<&'a str> {
    let name = std::str::from_utf8(string(object, variable.name)?).ok()?;
    let same_name = |other: &&Variable| {
        other.scope == variable.scope && string(object, other.name) == Some(name.as_bytes())
    };
    let is_one = object.variables.iter().filter(same_name).count() == 1;
    (is_name(name) && is_one).then_some(name)
}

fn declaration(object: &Object, index: usize, variable: &Variable) -> Option<String> {
    let directive = match scope(variable)? {
        _ if variable.id < u32::from(dif::OTHER_USER_BASE) => return None,
        Scope::Global => ".global",
        Scope::Thread => ".thread",
        Scope::Local => ".local",
    };
    let is_first = object
        .variables
        .iter()
        .take(index)
        .all(|old| (old.id, old.scope) != (variable.id, variable.scope));
    let id = u16::try_from(variable.id).ok().filter(|_| is_first)?;
    let array = match variable.kind {
        dif::KIND_SCALAR => "",
        dif::KIND_ARRAY => "[]",
        _ => return None,
    };
    let name = name(object, variable)?;
    let of_type = types::Text(variable.variable_type);
    Some(format!("{directive} {name}{array} @{id:#x}: {of_type}"))
}

fn variable(object: &Object, opcode: Opcode, id: u16) -> String {
    let of = use_of(opcode).map(|(scope, _)| scope);
    let declared = object.variables.iter().enumerate().find(|(index, one)| {
        one.id == u32::from(id) && scope(one) == of && declaration(object, *index, one).is_some()
    });
    if let Some(name) = declared.and_then(|(_, one)| name(object, one)) {
        return match of {
            Some(Scope::Thread) => format!("self->{name}"),
            Some(Scope::Local) => format!("this->{name}"),
            _ => name.into(),
        };
    }
    let built_in = BuiltIn::from_raw(id)
        .filter(|_| of == Some(Scope::Global))
        .map(BuiltIn::name);
    // A program may declare a variable of that name: it wins.
    let hidden = |text: &&str| {
        object.variables.iter().any(|one| {
            scope(one) == Some(Scope::Global) && string(object, one.name) == Some(text.as_bytes())
        })
    };
    match built_in.filter(|text| !hidden(text)) {
        Some(text) => text.into(),
        None => format!("{id:#x}"),
    }
}

/// The instruction's text, if that is all it says.
fn text(object: &Object, word: Instruction) -> Option<String> {
    let opcode = word.opcode()?;
    let op = opcode.name();
    let (r1, r2, rd) = (word.r1(), word.r2(), word.rd());
    let registers = match opcode.operands() {
        Operands::None | Operands::Branch => [0, 0, 0],
        Operands::Three => [r1, r2, rd],
        Operands::Two | Operands::Load | Operands::Store => [r1, 0, rd],
        Operands::Compare => [r1, r2, 0],
        Operands::Test => [r1, 0, 0],
        Operands::LoadElement | Operands::Push => [0, r2, rd],
        _ => [0, 0, rd],
    };
    if registers
        .iter()
        .any(|number| usize::from(*number) >= dif::INTEGER_REGISTERS)
    {
        return None;
    }
    let text = match opcode.operands() {
        Operands::None => op.into(),
        Operands::Three => format!("{op} %r{r1}, %r{r2}, %r{rd}"),
        Operands::Two => format!("{op} %r{r1}, %r{rd}"),
        Operands::Compare => format!("{op} %r{r1}, %r{r2}"),
        Operands::Test => format!("{op} %r{r1}"),
        Operands::Branch => format!("{op} L{}", word.label()),
        Operands::Load => format!("{op} [%r{r1}], %r{rd}"),
        Operands::Store => format!("{op} %r{r1}, [%r{rd}]"),
        Operands::Return => format!("{op} %r{rd}"),
        Operands::Integer => {
            let value = *object.integers.get(usize::from(word.index()))?;
            match value as i64 {
                negative @ i64::MIN..0 => format!("{op} {negative}, %r{rd}"),
                _ => format!("{op} {value}, %r{rd}"),
            }
        }
        Operands::String => {
            format!(
                "{op} {}, %r{rd}",
                quote(string(object, word.index().into())?)
            )
        }
        Operands::LoadElement => {
            format!(
                "{op} {}, %r{r2}, %r{rd}",
                variable(object, opcode, r1.into())
            )
        }
        Operands::LoadVariable | Operands::StoreVariable => {
            format!("{op} {}, %r{rd}", variable(object, opcode, word.index()))
        }
        Operands::Call => match Subroutine::from_raw(word.index()) {
            Some(subroutine) => format!("{op} {}, %r{rd}", subroutine.name()),
            None => format!("{op} {}, %r{rd}", word.index()),
        },
        Operands::Push => match r1 {
            dif::TYPE_CTF => format!("{op} int, %r{r2}, %r{rd}"),
            dif::TYPE_STRING => format!("{op} string, %r{r2}, %r{rd}"),
            other => format!("{op} {other}, %r{r2}, %r{rd}"),
        },
        Operands::Translator => return None,
    };
    // Fields that the text leaves out are 0, or it would not say all.
    let unused = match opcode.operands() {
        Operands::None => r1 | r2 | rd,
        Operands::Two | Operands::Load | Operands::Store => r2,
        Operands::Compare => rd,
        Operands::Test => r2 | rd,
        Operands::Return => r1 | r2,
        _ => 0,
    };
    (unused == 0).then_some(text)
}
