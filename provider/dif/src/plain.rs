// SPDX-License-Identifier: GPL-2.0
//! Programs that only say a value: `ldgs VARIABLE, %rN; ret %rN` and `setx NUMBER, %rN; ret %rN`. Most
//! records of a clause are of such ones, and they need no interpreter.

use crate::instruction::{Instruction, Scope};
use crate::object::Object;
use dtrace_interface::dif::OTHER_USER_BASE;
use dtrace_interface::variable::BuiltIn;

/// What such a program says. It cannot do anything else, so it needs no scratch and no variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A built-in that is a number and no array: [`crate::Environment::number`] with index 0. A fault of
    /// it is instruction 0's.
    BuiltIn(BuiltIn),
    /// A number.
    Integer(u64),
}

/// Whether a validated object is such a program. Task context.
pub fn plain(object: &Object<'_>) -> Option<Plain> {
    let [load, end] = *object.instructions else {
        return None;
    };
    if object.return_type.is_by_ref() {
        return None;
    }
    let Instruction::Return { rd: returned } = Instruction::decode(end).ok()? else {
        return None;
    };
    let (value, loaded) = match Instruction::decode(load).ok()? {
        Instruction::LoadScalar {
            scope: Scope::Global,
            variable,
            rd,
        } if variable < OTHER_USER_BASE => {
            let built_in = BuiltIn::from_raw(variable)?;
            let is_number = !built_in.is_array() && !built_in.is_string();
            (Plain::BuiltIn(is_number.then_some(built_in)?), rd)
        }
        Instruction::SetInteger { index, rd } => {
            let number = object.integers.get(usize::from(index))?;
            (Plain::Integer(*number), rd)
        }
        _ => return None,
    };
    (loaded == returned).then_some(value)
}
