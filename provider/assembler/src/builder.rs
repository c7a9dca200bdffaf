// SPDX-License-Identifier: GPL-2.0
//! An object as it is put together.

use std::collections::HashMap;
use std::fmt;

use dof::Object;
use dtrace_interface::dif::{self, DifType, Instruction, Variable};
use dtrace_interface::opcode::{Opcode, Operands};

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// One for all.
    Global = dif::SCOPE_GLOBAL,
    /// One for each thread: `self->`.
    Thread = dif::SCOPE_THREAD,
    /// One for each firing of a clause: `this->`.
    Local = dif::SCOPE_LOCAL,
}

/// A place that branches lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(usize);

/// An object cannot be built so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A table has no room for more: 16 bits number its entries.
    TableFull(&'static str),
    /// A string or name has a NUL within.
    Nul,
    /// A variable's number is below those of a program's variables.
    BuiltIn(u16),
    /// A variable is declared twice, and not alike.
    Declared(String),
    /// The label leads backward, or is placed twice.
    Backward,
    /// The label is not placed.
    Unplaced,
    /// The label is beyond 24 bits.
    Far,
    /// The opcode takes other operands.
    Operands(Opcode),
    /// There is no code.
    Empty,
}

impl std::error::Error for BuildError {}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFull(what) => write!(f, "too many {what}"),
            Self::Nul => f.write_str("a NUL within a string"),
            Self::BuiltIn(id) => write!(f, "{id:#x} is the number of no variable of a program"),
            Self::Declared(name) => write!(f, "{name}: declared before, and not alike"),
            Self::Backward => f.write_str("the label leads backward or stands twice"),
            Self::Unplaced => f.write_str("the label stands nowhere"),
            Self::Far => f.write_str("the label is too far"),
            Self::Operands(opcode) => write!(f, "{} takes other operands", opcode.name()),
            Self::Empty => f.write_str("no code"),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Target {
    place: Option<u32>,
    /// Branches that wait for the place.
    branches: Vec<usize>,
}

/// Puts an object together.
///
/// Equal integers and strings share their place in the tables; a declared variable's flags follow
/// from the instructions that use it.
///
/// ```
/// use dif_assembler::Builder;
/// use dtrace_interface::dif::DifType;
/// use dtrace_interface::opcode::Opcode;
/// use dtrace_interface::variable::BuiltIn;
///
/// // pid == 1 ? 7 : 0
/// let mut code = Builder::new(DifType::INT64);
/// let no = code.label();
/// code.variable(Opcode::Ldgs, BuiltIn::Pid.raw(), 1)?;
/// code.setx(1, 2)?;
/// code.three(Opcode::Cmp, 1, 2, 0)?;
/// code.branch(Opcode::Bne, no)?;
/// code.setx(7, 1)?;
/// code.ret(1);
/// code.place(no)?;
/// code.ret(0);
/// let object = code.finish()?;
/// assert_eq!(object.integers, [1, 7]);
/// # Ok::<(), dif_assembler::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    object: Object,
    integers: HashMap<u64, usize>,
    strings: HashMap<Vec<u8>, u32>,
    targets: Vec<Target>,
}

impl Builder {
    /// No code yet.
    pub fn new(return_type: DifType) -> Self {
        let object = Object {
            return_type,
            instructions: vec![],
            integers: vec![],
            strings: vec![],
            variables: vec![],
        };
        Self {
            object,
            integers: HashMap::new(),
            strings: HashMap::new(),
            targets: vec![],
        }
    }

    /// Changes what the object returns.
    pub fn returns(&mut self, return_type: DifType) {
        self.object.return_type = return_type;
    }

    /// How many instructions there are: the index of the next.
    pub fn len(&self) -> usize {
        self.object.instructions.len()
    }

    /// Whether there is no instruction.
    pub fn is_empty(&self) -> bool {
        self.object.instructions.is_empty()
    }

    /// Adds any instruction; indices and variables are taken as they are.
    pub fn word(&mut self, word: u32) {
        let instruction = Instruction(word);
        self.mark(instruction);
        self.object.instructions.push(word);
    }

    fn push(&mut self, instruction: Instruction) {
        self.word(instruction.0);
    }

    /// Notes that a declared variable is read or written.
    fn mark(&mut self, instruction: Instruction) {
        let Some((scope, flags)) = instruction.opcode().and_then(use_of) else {
            return;
        };
        let array = matches!(instruction.opcode(), Some(Opcode::Ldga | Opcode::Ldta));
        let id = if array {
            instruction.r1().into()
        } else {
            u32::from(instruction.index())
        };
        for variable in &mut self.object.variables {
            if variable.id == id && variable.scope == scope as u8 {
                variable.flags |= flags;
            }
        }
    }

    /// Adds an instruction of registers: arithmetic, comparison, load, store, `mov`, `allocs`.
    ///
    /// # Errors
    /// The opcode takes other operands.
    pub fn three(&mut self, opcode: Opcode, r1: u8, r2: u8, rd: u8) -> Result<(), BuildError> {
        match opcode.operands() {
            Operands::Three
            | Operands::Two
            | Operands::Compare
            | Operands::Test
            | Operands::Load
            | Operands::Store
            | Operands::None => {
                self.push(Instruction::new(opcode, r1, r2, rd));
                Ok(())
            }
            _ => Err(BuildError::Operands(opcode)),
        }
    }

    /// Adds `setx`: an integer into a register.
    ///
    /// # Errors
    /// The integer table is full.
    pub fn setx(&mut self, value: u64, rd: u8) -> Result<(), BuildError> {
        let index = *self.integers.entry(value).or_insert_with(|| {
            self.object.integers.push(value);
            self.object.integers.len() - 1
        });
        let index = u16::try_from(index).map_err(|_| BuildError::TableFull("integers"))?;
        self.push(Instruction::with_index(Opcode::Setx, index, rd));
        Ok(())
    }

    /// Adds `sets`: a string's address into a register.
    ///
    /// # Errors
    /// The string table is full, or the string has a NUL within.
    pub fn sets(&mut self, text: &[u8], rd: u8) -> Result<(), BuildError> {
        let offset = self.string(text)?;
        let offset = u16::try_from(offset).map_err(|_| BuildError::TableFull("strings"))?;
        self.push(Instruction::with_index(Opcode::Sets, offset, rd));
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<u32, BuildError> {
        if text.contains(&0) {
            return Err(BuildError::Nul);
        }
        if let Some(offset) = self.strings.get(text) {
            return Ok(*offset);
        }
        let offset = u32::try_from(self.object.strings.len())
            .map_err(|_| BuildError::TableFull("strings"))?;
        self.object.strings.extend(text);
        self.object.strings.push(0);
        self.strings.insert(text.to_vec(), offset);
        Ok(offset)
    }

    /// Declares a variable, which instructions then name by its number.
    ///
    /// # Errors
    /// The number is below 0x500, or it is declared already, and not alike.
    pub fn declare(
        &mut self,
        name: &str,
        id: u16,
        scope: Scope,
        is_array: bool,
        variable_type: DifType,
    ) -> Result<(), BuildError> {
        if id < dif::OTHER_USER_BASE {
            return Err(BuildError::BuiltIn(id));
        }
        let kind = if is_array {
            dif::KIND_ARRAY
        } else {
            dif::KIND_SCALAR
        };
        let variable = Variable {
            name: self.string(name.as_bytes())?,
            id: id.into(),
            kind,
            scope: scope as u8,
            flags: 0,
            variable_type,
        };
        let same = |old: &&Variable| old.id == variable.id && old.scope == variable.scope;
        match self.object.variables.iter().find(same) {
            Some(old) if Variable { flags: 0, ..*old } == variable => Ok(()),
            Some(_) => Err(BuildError::Declared(name.into())),
            None => {
                self.object.variables.push(variable);
                Ok(())
            }
        }
    }

    /// The declared variables.
    pub fn declared(&self) -> &[Variable] {
        &self.object.variables
    }

    /// Adds a load or store of a variable by its number. `register` takes or gives the value.
    ///
    /// # Errors
    /// The opcode takes other operands.
    pub fn variable(&mut self, opcode: Opcode, id: u16, register: u8) -> Result<(), BuildError> {
        match opcode.operands() {
            Operands::LoadVariable | Operands::StoreVariable => {
                self.push(Instruction::with_index(opcode, id, register));
                Ok(())
            }
            _ => Err(BuildError::Operands(opcode)),
        }
    }

    /// Adds `ldga` or `ldta`: an element of a built-in array.
    ///
    /// # Errors
    /// The opcode takes other operands.
    pub fn element(
        &mut self,
        opcode: Opcode,
        array: u8,
        index: u8,
        rd: u8,
    ) -> Result<(), BuildError> {
        match opcode.operands() {
            Operands::LoadElement => {
                self.push(Instruction::new(opcode, array, index, rd));
                Ok(())
            }
            _ => Err(BuildError::Operands(opcode)),
        }
    }

    /// Adds `call`: the pushed tuple is the arguments.
    pub fn call(&mut self, subroutine: u16, rd: u8) {
        self.push(Instruction::with_index(Opcode::Call, subroutine, rd));
    }

    /// Adds `pushtr` or `pushtv`: a value onto the tuple. `of_type` is
    /// [`TYPE_CTF`](dif::TYPE_CTF) or [`TYPE_STRING`](dif::TYPE_STRING).
    ///
    /// # Errors
    /// The opcode takes other operands.
    pub fn pusht(
        &mut self,
        opcode: Opcode,
        of_type: u8,
        size: u8,
        value: u8,
    ) -> Result<(), BuildError> {
        match opcode.operands() {
            Operands::Push => {
                self.push(Instruction::new(opcode, of_type, size, value));
                Ok(())
            }
            _ => Err(BuildError::Operands(opcode)),
        }
    }

    /// Adds `ret`.
    pub fn ret(&mut self, rd: u8) {
        self.push(Instruction::new(Opcode::Ret, 0, 0, rd));
    }

    /// A new label, to be placed later.
    pub fn label(&mut self) -> Label {
        self.targets.push(Target::default());
        Label(self.targets.len() - 1)
    }

    /// Places a label before the next instruction.
    ///
    /// # Errors
    /// It is placed already.
    pub fn place(&mut self, label: Label) -> Result<(), BuildError> {
        let here = u32::try_from(self.len()).map_err(|_| BuildError::Far)?;
        let target = self.targets.get_mut(label.0).ok_or(BuildError::Unplaced)?;
        if target.place.replace(here).is_some() {
            return Err(BuildError::Backward);
        }
        for at in &target.branches {
            let branch = &mut self.object.instructions[*at];
            let opcode = Instruction(*branch).opcode().ok_or(BuildError::Unplaced)?;
            *branch = Instruction::branch(opcode, here).ok_or(BuildError::Far)?.0;
        }
        Ok(())
    }

    /// Adds a branch to a label that is placed later.
    ///
    /// # Errors
    /// The opcode takes other operands, or the label is placed already: nothing leads backward.
    pub fn branch(&mut self, opcode: Opcode, label: Label) -> Result<(), BuildError> {
        if opcode.operands() != Operands::Branch {
            return Err(BuildError::Operands(opcode));
        }
        let at = self.len();
        let target = self.targets.get_mut(label.0).ok_or(BuildError::Unplaced)?;
        if target.place.is_some() {
            return Err(BuildError::Backward);
        }
        target.branches.push(at);
        self.push(Instruction::new(opcode, 0, 0, 0));
        Ok(())
    }

    /// The object.
    ///
    /// # Errors
    /// There is no code, or a branch's label is not placed.
    pub fn finish(self) -> Result<Object, BuildError> {
        if self
            .targets
            .iter()
            .any(|one| one.place.is_none() && !one.branches.is_empty())
        {
            return Err(BuildError::Unplaced);
        }
        if self.is_empty() {
            return Err(BuildError::Empty);
        }
        Ok(self.object)
    }
}

/// Whose variable an opcode uses, and how.
pub(crate) fn use_of(opcode: Opcode) -> Option<(Scope, u16)> {
    let (read, written) = (dif::VARIABLE_READ, dif::VARIABLE_WRITTEN);
    Some(match opcode {
        Opcode::Ldga | Opcode::Ldgs | Opcode::Ldgaa => (Scope::Global, read),
        Opcode::Stgs | Opcode::Stgaa => (Scope::Global, written),
        Opcode::Ldta | Opcode::Ldts | Opcode::Ldtaa => (Scope::Thread, read),
        Opcode::Stts | Opcode::Sttaa => (Scope::Thread, written),
        Opcode::Ldls => (Scope::Local, read),
        Opcode::Stls => (Scope::Local, written),
        _ => return None,
    })
}
