// SPDX-License-Identifier: GPL-2.0
//! A program as it is put together.

use std::string::String;
use std::vec::Vec;

use dtrace_interface::action::ActionKind;
use dtrace_interface::dof::{
    self, ActionDescription, EcbDescription, OptionDescription, ProbeDescription, SectionKind,
};
use dtrace_interface::options::OptionId;

use super::sections::{table, Sections, Strings};
use super::{Object, ProbeSpec, WriteError};

/// An action to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSpec {
    /// Its kind.
    pub kind: ActionKind,
    /// What computes its value.
    pub difo: Option<Object>,
    /// Its format string.
    pub format: Option<String>,
    /// If it aggregates: how many actions before it are its key.
    pub tuple: u32,
    /// Its argument; 0 with a format.
    pub argument: u64,
    /// The client's argument.
    pub user_argument: u64,
}

impl ActionSpec {
    /// An action with nothing but its kind.
    pub fn new(kind: ActionKind) -> Self {
        Self {
            kind,
            difo: None,
            format: None,
            tuple: 0,
            argument: 0,
            user_argument: 0,
        }
    }

    /// With what computes its value.
    pub fn difo(self, object: Object) -> Self {
        Self {
            difo: Some(object),
            ..self
        }
    }

    /// With a format string.
    pub fn format(self, format: impl Into<String>) -> Self {
        Self {
            format: Some(format.into()),
            ..self
        }
    }

    /// With so many actions before it as its key.
    pub fn tuple(self, tuple: u32) -> Self {
        Self { tuple, ..self }
    }

    /// With an argument.
    pub fn argument(self, argument: u64) -> Self {
        Self { argument, ..self }
    }

    /// With the client's argument.
    pub fn user_argument(self, user_argument: u64) -> Self {
        Self {
            user_argument,
            ..self
        }
    }
}

#[derive(Clone, Debug)]
struct Clause {
    probes: Vec<ProbeSpec>,
    predicate: Option<Object>,
    actions: Vec<ActionSpec>,
    user_argument: u64,
}

/// A program to be written: clauses and options.
///
/// ```
/// use dof::{ActionSpec, Object, Program};
/// use dtrace_interface::action::ActionKind;
/// use dtrace_interface::dif::DifType;
/// use dtrace_interface::options::OptionId;
///
/// // ldgs %r1, pid; ret %r1
/// let pid = Object {
///     return_type: DifType::integer(4),
///     instructions: vec![0x2901_1601, 0x2300_0001],
///     integers: vec![],
///     strings: vec![],
///     variables: vec![],
/// };
/// let file = Program::new()
///     .clause(
///         ["syscall::read:entry".parse()?],
///         None,
///         [ActionSpec::new(ActionKind::DifExpression).difo(pid)],
///     )
///     .option(OptionId::BufferSize, 65536)
///     .to_bytes()?;
///
/// let description = dof::load(&file)?;
/// let ecb = description.ecbs().next().ok_or("no ECB")?;
/// assert_eq!(ecb.probe.function, b"read");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Program {
    clauses: Vec<Clause>,
    options: Vec<OptionDescription>,
}

impl Program {
    /// A program that does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With another clause: an ECB description for each of the descriptions of probes.
    pub fn clause(
        self,
        probes: impl IntoIterator<Item = ProbeSpec>,
        predicate: Option<Object>,
        actions: impl IntoIterator<Item = ActionSpec>,
    ) -> Self {
        self.clause_with(probes, predicate, actions, 0)
    }

    /// As [`clause`](Self::clause), with an argument that EPROBE gives back.
    pub fn clause_with(
        mut self,
        probes: impl IntoIterator<Item = ProbeSpec>,
        predicate: Option<Object>,
        actions: impl IntoIterator<Item = ActionSpec>,
        user_argument: u64,
    ) -> Self {
        let (probes, actions) = (probes.into_iter().collect(), actions.into_iter().collect());
        self.clauses.push(Clause {
            probes,
            predicate,
            actions,
            user_argument,
        });
        self
    }

    /// With an option set.
    pub fn option(mut self, option: OptionId, value: u64) -> Self {
        let (option, strings) = (option.raw(), dof::SECTION_NONE);
        self.options.push(OptionDescription {
            option,
            strings,
            value,
        });
        self
    }

    /// The file.
    ///
    /// # Errors
    /// A text has a NUL within, a format is where none is taken, or [`load`](crate::load) refuses
    /// the file: too long a name, a key that is longer than the actions before it, no code.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let (mut sections, mut strings) = (Sections::new(), Strings::default());
        for clause in &self.clauses {
            write_clause(clause, &mut sections, &mut strings)?;
        }
        if !self.options.is_empty() {
            sections.add_table(SectionKind::OptionDescription, 8, &self.options);
        }
        let file = sections.into_file(strings);
        crate::load(&file).map_err(WriteError::Refused)?;
        Ok(file)
    }
}

fn write_clause(
    clause: &Clause,
    sections: &mut Sections,
    strings: &mut Strings,
) -> Result<(), WriteError> {
    let predicate = match &clause.predicate {
        Some(object) => sections.add_object(object),
        None => dof::SECTION_NONE,
    };
    let mut actions = Vec::new();
    for action in &clause.actions {
        actions.push(write_action(action, sections, strings)?);
    }
    let actions = match &actions[..] {
        [] => dof::SECTION_NONE,
        actions => sections.add_table(SectionKind::ActionDescription, 8, actions),
    };
    for probe in &clause.probes {
        let raw = ProbeDescription {
            strings: Strings::SECTION,
            provider: strings.offset("provider", &probe.provider)?,
            module: strings.offset("module", &probe.module)?,
            function: strings.offset("function", &probe.function)?,
            name: strings.offset("name", &probe.name)?,
            id: probe.id,
        };
        let probes = sections.add(SectionKind::ProbeDescription, 4, 0, table(&[raw]));
        let user_argument = clause.user_argument;
        let ecb = EcbDescription {
            probes,
            predicate,
            actions,
            pad: 0,
            user_argument,
        };
        sections.add(SectionKind::EcbDescription, 8, 0, table(&[ecb]));
    }
    Ok(())
}

fn write_action(
    action: &ActionSpec,
    sections: &mut Sections,
    strings: &mut Strings,
) -> Result<ActionDescription, WriteError> {
    let (table, argument) = match &action.format {
        Some(_) if !action.kind.has_format() || action.argument != 0 => {
            return Err(WriteError::Format);
        }
        Some(format) => (Strings::SECTION, strings.offset("format", format)?.into()),
        None => (dof::SECTION_NONE, action.argument),
    };
    Ok(ActionDescription {
        difo: match &action.difo {
            Some(object) => sections.add_object(object),
            None => dof::SECTION_NONE,
        },
        strings: table,
        kind: action.kind.raw().into(),
        tuple: action.tuple,
        argument,
        user_argument: action.user_argument,
    })
}
