// SPDX-License-Identifier: GPL-2.0
//! What docs/dif.md says of a program that validation took, looked at once more and in another way: from
//! the words themselves, without what the crate decodes them into.

use crate::support::Code;
use dif::{is_supported, BuiltIn};
use dtrace_interface::dif::{
    Instruction, INTEGER_REGISTERS, KIND_ARRAY, KIND_SCALAR, OTHER_USER_BASE, SCOPE_GLOBAL,
    SCOPE_LOCAL, SCOPE_THREAD, TYPE_STRING,
};
use dtrace_interface::opcode::{Opcode, Operands};
use dtrace_interface::subroutine::Subroutine;

/// Panics if `code`, which was taken, breaks a rule.
pub fn hold(code: &Code) {
    let length = code.words.len();
    assert!((1..=16_384).contains(&length));
    assert_eq!(
        Instruction(code.words[length - 1]).opcode(),
        Some(Opcode::Ret)
    );
    assert!(code.strings.last().is_none_or(|byte| *byte == 0));
    for variable in &code.variables {
        assert!(
            (variable.name as usize) < code.strings.len(),
            "{variable:?}"
        );
    }
    for (index, word) in code.words.iter().enumerate() {
        instruction(code, index, Instruction(*word));
    }
}

fn instruction(code: &Code, index: usize, word: Instruction) {
    let opcode = word.opcode().expect("an opcode");
    let at = || format!("{} at {index}", opcode.name());
    let read = |register: u8| assert!(usize::from(register) < INTEGER_REGISTERS, "{}", at());
    let written = |register: u8| {
        read(register);
        assert_ne!(register, 0, "{}", at());
    };
    match opcode.operands() {
        Operands::None => {}
        Operands::Three => {
            read(word.r1());
            read(word.r2());
            match opcode {
                Opcode::Copys => read(word.rd()),
                _ => written(word.rd()),
            }
        }
        Operands::Two | Operands::Load => {
            read(word.r1());
            written(word.rd());
        }
        Operands::Compare => {
            read(word.r1());
            read(word.r2());
        }
        Operands::Test => read(word.r1()),
        Operands::Store => {
            read(word.r1());
            read(word.rd());
        }
        Operands::Branch => {
            let target = word.label() as usize;
            assert!(target > index && target < code.words.len(), "{}", at());
        }
        Operands::Return => read(word.rd()),
        Operands::Integer => {
            assert!(usize::from(word.index()) < code.integers.len(), "{}", at());
            written(word.rd());
        }
        Operands::String => {
            assert!(usize::from(word.index()) < code.strings.len(), "{}", at());
            written(word.rd());
        }
        Operands::LoadElement => {
            assert_eq!(opcode, Opcode::Ldga);
            assert!(BuiltIn::from_raw(word.r1().into()).is_some(), "{}", at());
            read(word.r2());
            written(word.rd());
        }
        Operands::LoadVariable => {
            variable(code, opcode, word.index(), false);
            written(word.rd());
        }
        Operands::StoreVariable => {
            variable(code, opcode, word.index(), true);
            read(word.rd());
        }
        Operands::Call => {
            let subroutine = Subroutine::from_raw(word.index());
            assert!(subroutine.is_some_and(is_supported), "{}", at());
            written(word.rd());
        }
        Operands::Push => {
            assert!(word.r1() <= TYPE_STRING, "{}", at());
            read(word.r2());
            read(word.rd());
        }
        Operands::Translator => panic!("{}", at()),
    }
}

fn variable(code: &Code, opcode: Opcode, number: u16, is_stored: bool) {
    use Opcode::*;
    let scope = match opcode {
        Ldgs | Stgs | Ldgaa | Stgaa => SCOPE_GLOBAL,
        Ldts | Stts | Ldtaa | Sttaa => SCOPE_THREAD,
        _ => SCOPE_LOCAL,
    };
    let kind = match opcode {
        Ldgaa | Stgaa | Ldtaa | Sttaa => KIND_ARRAY,
        _ => KIND_SCALAR,
    };
    if number < OTHER_USER_BASE {
        assert!(!is_stored && opcode == Ldgs);
        assert!(BuiltIn::from_raw(number).is_some_and(|one| !one.is_array()));
        return;
    }
    let is_it = |one: &dif::Variable| (one.id, one.scope, one.kind) == (number.into(), scope, kind);
    assert!(
        code.variables.iter().any(is_it),
        "{number:#x} is not declared"
    );
}
