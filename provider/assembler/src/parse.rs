// SPDX-License-Identifier: GPL-2.0
//! The assembler.

use std::collections::HashMap;
use std::fmt;

use dof::Object;
use dtrace_interface::dif::{self, DifType};
use dtrace_interface::opcode::{Opcode, Operands};
use dtrace_interface::subroutine::Subroutine;
use dtrace_interface::variable::BuiltIn;

use crate::builder::{use_of, BuildError, Builder, Label, Scope};
use crate::operand::{self, number, split, Operand};
use crate::types;

/// A text is no DIF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl From<BuildError> for String {
    fn from(error: BuildError) -> Self {
        error.to_string()
    }
}

/// The object of a text; see the crate's page.
///
/// # Errors
/// What is wrong, and in which line.
pub fn assemble(text: &str) -> Result<Object, Error> {
    let mut assembler = Assembler {
        code: Builder::new(DifType::INT64),
        labels: HashMap::new(),
        names: HashMap::new(),
        next: HashMap::new(),
    };
    let mut last = 1;
    for (line, text) in (1..).zip(text.lines()) {
        let at = |what| Error { line, what };
        for statement in split(without_comment(text), |mark| mark == ';') {
            assembler.statement(statement.trim()).map_err(at)?;
        }
        last = line;
    }
    assembler.finish(last)
}

fn without_comment(line: &str) -> &str {
    // A comment's slashes are outside of quotes, where nothing else has one.
    split(line, |mark| mark == '/')
        .first()
        .copied()
        .unwrap_or(line)
}

struct NamedLabel {
    label: Label,
    /// It stands somewhere.
    is_placed: bool,
    /// A branch leads to it.
    is_used: bool,
}

struct Assembler {
    code: Builder,
    labels: HashMap<String, NamedLabel>,
    names: HashMap<(Scope, String), u16>,
    next: HashMap<Scope, u16>,
}

impl Assembler {
    fn finish(self, line: usize) -> Result<Object, Error> {
        let lost = self
            .labels
            .iter()
            .filter(|(_, one)| one.is_used && !one.is_placed);
        if let Some((name, _)) = lost.min_by_key(|(name, _)| *name) {
            return Err(Error {
                line,
                what: format!("the label {name} stands nowhere"),
            });
        }
        self.code.finish().map_err(|error| Error {
            line,
            what: error.into(),
        })
    }

    fn statement(&mut self, mut text: &str) -> Result<(), String> {
        while let Some((name, rest)) = text.split_once(':') {
            if !operand::is_name(name.trim()) {
                break;
            }
            self.place(name.trim())?;
            text = rest.trim();
        }
        if text.is_empty() {
            return Ok(());
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match word {
            ".returns" => self.code.returns(of_type(rest)?),
            ".global" => self.declare(Scope::Global, rest)?,
            ".thread" => self.declare(Scope::Thread, rest)?,
            ".local" => self.declare(Scope::Local, rest)?,
            ".word" => {
                let word = number(rest).and_then(|word| u32::try_from(word).ok());
                self.code
                    .word(word.ok_or_else(|| format!("{rest}: no instruction"))?);
            }
            _ => {
                let opcode =
                    Opcode::from_name(word).ok_or_else(|| format!("{word}: no such opcode"))?;
                self.instruction(opcode, rest)?;
            }
        }
        Ok(())
    }

    fn label(&mut self, name: &str) -> &mut NamedLabel {
        let code = &mut self.code;
        self.labels
            .entry(name.into())
            .or_insert_with(|| NamedLabel {
                label: code.label(),
                is_placed: false,
                is_used: false,
            })
    }

    fn place(&mut self, name: &str) -> Result<(), String> {
        let named = self.label(name);
        if named.is_placed {
            return Err(format!("the label {name} stands twice"));
        }
        named.is_placed = true;
        let label = named.label;
        Ok(self.code.place(label)?)
    }

    /// `NAME: TYPE`, `NAME[]: TYPE`, `NAME @NUMBER: TYPE`
    fn declare(&mut self, scope: Scope, text: &str) -> Result<(), String> {
        let (head, variable_type) = text
            .split_once(':')
            .ok_or_else(|| format!("{text}: no type"))?;
        let (name, id) = match head.split_once('@') {
            Some((name, id)) => {
                let id = number(id.trim()).and_then(|id| u16::try_from(id).ok());
                (name, id.ok_or_else(|| format!("{head}: no such number"))?)
            }
            None => {
                let next = self.next.entry(scope).or_insert(dif::OTHER_USER_BASE);
                let id = *next;
                *next = next.checked_add(1).ok_or("too many variables")?;
                (head, id)
            }
        };
        let name = name.trim();
        let (name, is_array) = match name.strip_suffix("[]") {
            Some(name) => (name.trim(), true),
            None => (name, false),
        };
        if !operand::is_name(name) {
            return Err(format!("{name}: no name"));
        }
        self.code
            .declare(name, id, scope, is_array, of_type(variable_type)?)?;
        self.names.insert((scope, name.into()), id);
        Ok(())
    }

    fn variable(&self, opcode: Opcode, operand: &Operand) -> Result<u16, String> {
        let scope = use_of(opcode).map_or(Scope::Global, |(scope, _)| scope);
        match operand {
            Operand::Number(id) => {
                u16::try_from(*id).map_err(|_| format!("{id:#x}: no variable's number"))
            }
            Operand::Name(name) => {
                if let Some(id) = self.names.get(&(scope, name.clone())) {
                    return Ok(*id);
                }
                BuiltIn::from_name(name)
                    .filter(|_| scope == Scope::Global)
                    .map(BuiltIn::raw)
                    .ok_or_else(|| format!("{name}: not declared"))
            }
            _ => Err(format!("{} takes a variable", opcode.name())),
        }
    }

    fn instruction(&mut self, opcode: Opcode, text: &str) -> Result<(), String> {
        use Operand::{Memory, Name, Number, Register, Text};
        let mut list = Vec::new();
        if !text.is_empty() {
            for one in split(text, |mark| mark == ',') {
                let one = one.trim();
                list.push(operand::parse(one).ok_or_else(|| format!("{one}: no operand"))?);
            }
        }
        // `ldgs %r1, pid` as `ldgs pid, %r1`.
        if let [Register(_), Number(_) | Name(_) | Text(_)] = list[..] {
            list.swap(0, 1);
        }
        let is_known = |operand: &Operand| match operand {
            Register(number) | Memory(number) => usize::from(*number) < dif::INTEGER_REGISTERS,
            _ => true,
        };
        if !list.iter().all(is_known) {
            let last = dif::INTEGER_REGISTERS - 1;
            return Err(format!("registers are %r0 to %r{last}"));
        }
        let code = &mut self.code;
        match (opcode.operands(), list.as_slice()) {
            (Operands::None, []) => code.three(opcode, 0, 0, 0)?,
            (Operands::Three, [Register(r1), Register(r2), Register(rd)]) => {
                code.three(opcode, *r1, *r2, *rd)?;
            }
            (Operands::Two, [Register(r1), Register(rd)])
            | (Operands::Load, [Memory(r1), Register(rd)])
            | (Operands::Store, [Register(r1), Memory(rd)]) => code.three(opcode, *r1, 0, *rd)?,
            (Operands::Compare, [Register(r1), Register(r2)]) => code.three(opcode, *r1, *r2, 0)?,
            (Operands::Test, [Register(r1)]) => code.three(opcode, *r1, 0, 0)?,
            (Operands::Return, [Register(rd)]) => code.ret(*rd),
            (Operands::Branch, [Name(name)]) => {
                let named = self.label(name);
                named.is_used = true;
                let label = named.label;
                self.code.branch(opcode, label)?;
            }
            (Operands::Integer, [Number(value), Register(rd)]) => code.setx(*value, *rd)?,
            (Operands::String, [Text(text), Register(rd)]) => code.sets(text, *rd)?,
            (Operands::LoadElement, [array, Register(index), Register(rd)]) => {
                let id = self.variable(opcode, array)?;
                let id = u8::try_from(id).map_err(|_| format!("{id:#x}: no array's number"))?;
                self.code.element(opcode, id, *index, *rd)?;
            }
            (Operands::LoadVariable | Operands::StoreVariable, [variable, Register(register)]) => {
                let id = self.variable(opcode, variable)?;
                self.code.variable(opcode, id, *register)?;
            }
            (Operands::Call, [Number(id), Register(rd)]) => {
                let id = u16::try_from(*id).map_err(|_| format!("{id}: no subroutine"))?;
                code.call(id, *rd);
            }
            (Operands::Call, [Name(name), Register(rd)]) => {
                let subroutine = Subroutine::from_name(name)
                    .ok_or_else(|| format!("{name}: no such subroutine"))?;
                code.call(subroutine.raw(), *rd);
            }
            (Operands::Push, [of, Register(value)]) => {
                code.pusht(opcode, pushed(of)?, 0, *value)?;
            }
            (Operands::Push, [of, Register(size), Register(value)]) => {
                code.pusht(opcode, pushed(of)?, *size, *value)?;
            }
            _ => return Err(BuildError::Operands(opcode).into()),
        }
        Ok(())
    }
}

fn of_type(text: &str) -> Result<DifType, String> {
    types::parse(text).ok_or_else(|| format!("{}: no such type", text.trim()))
}

fn pushed(operand: &Operand) -> Result<u8, String> {
    let known = match operand {
        Operand::Name(name) if name == "int" => Some(dif::TYPE_CTF),
        Operand::Name(name) if name == "string" => Some(dif::TYPE_STRING),
        Operand::Number(number) => u8::try_from(*number).ok(),
        _ => None,
    };
    known.ok_or_else(|| "the first operand is int, string or a number".into())
}
