// SPDX-License-Identifier: GPL-2.0
//! A checked DOF file as the framework takes it.

use crate::program::{Program, Unfit};
use dof::{Action, Description, Ecb};
use dtrace_provider::memory::List;
use dtrace_provider::{ActionDescription, ClauseDescription, Pattern};

/// The clauses of a file, in order, with their programs copied and checked. `strsize`: that option, as
/// it will be when they are enabled. Task context.
///
/// # Errors
///
/// Why a program of it will not run.
pub fn clauses<'a, E>(
    description: &Description<'a>,
    strsize: u32,
) -> Result<List<ClauseDescription<'a, Program<E>>>, Unfit> {
    let mut clauses = List::new();
    for ecb in description.ecbs() {
        clauses.push(clause(&ecb, strsize)?)?;
    }
    Ok(clauses)
}

fn clause<'a, E>(ecb: &Ecb<'a>, strsize: u32) -> Result<ClauseDescription<'a, Program<E>>, Unfit> {
    let mut actions = List::new();
    for part in ecb.actions.iter() {
        actions.push(action(&part, strsize)?)?;
    }
    let predicate = ecb.predicate.as_ref();
    Ok(ClauseDescription {
        pattern: Pattern {
            id: ecb.probe.id,
            provider: ecb.probe.provider,
            module: ecb.probe.module,
            function: ecb.probe.function,
            name: ecb.probe.name,
        },
        predicate: predicate
            .map(|difo| Program::new(difo, strsize))
            .transpose()?,
        actions,
        user_argument: ecb.user_argument,
    })
}

fn action<E>(action: &Action<'_>, strsize: u32) -> Result<ActionDescription<Program<E>>, Unfit> {
    let difo = action.difo.as_ref();
    Ok(ActionDescription {
        kind: action.kind,
        expression: difo.map(|difo| Program::new(difo, strsize)).transpose()?,
        key_actions: action.tuple,
        argument: action.argument,
        user_argument: action.user_argument,
        format: action.format.map(List::copied).transpose()?,
    })
}
