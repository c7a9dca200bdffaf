// SPDX-License-Identifier: GPL-2.0
//! A program that has everything, and a reader that looks at everything.
#![allow(dead_code)] // Each test uses its part.

use dof::{ActionSpec, Description, Object, Program};
use dtrace_interface::action::ActionKind;
use dtrace_interface::dif::{self, DifType, Instruction, Variable};
use dtrace_interface::opcode::Opcode;
use dtrace_interface::options::OptionId;

/// `ldgs %r1, variable; ret %r1`
pub fn built_in(variable: u16) -> Object {
    Object {
        return_type: DifType::INT64,
        instructions: vec![
            Instruction::with_index(Opcode::Ldgs, variable, 1).0,
            Instruction::new(Opcode::Ret, 0, 0, 1).0,
        ],
        integers: vec![],
        strings: vec![],
        variables: vec![],
    }
}

/// An object with every table.
pub fn full() -> Object {
    Object {
        return_type: DifType::string(0),
        instructions: vec![0x2500_0001, 0x2600_0001, 0x2300_0001],
        integers: vec![7, u64::MAX],
        strings: b"\0count\0".to_vec(),
        variables: vec![Variable {
            name: 1,
            id: dif::OTHER_USER_BASE.into(),
            kind: dif::KIND_SCALAR,
            scope: dif::SCOPE_GLOBAL,
            flags: dif::VARIABLE_READ | dif::VARIABLE_WRITTEN,
            variable_type: DifType::INT64,
        }],
    }
}

/// Two clauses, two descriptions of probes for the first, all kinds of actions, options.
pub fn sample() -> Program {
    Program::new()
        .clause_with(
            ["syscall::read:entry", "syscall::write*:"].map(|text| text.parse().unwrap()),
            Some(built_in(0x116)),
            [
                ActionSpec::new(ActionKind::DifExpression)
                    .difo(full())
                    .user_argument(5),
                ActionSpec::new(ActionKind::Count).tuple(1).argument(9),
                ActionSpec::new(ActionKind::Printf)
                    .difo(built_in(0x118))
                    .format("%s\n"),
            ],
            77,
        )
        .clause(["END".parse().unwrap()], None, [])
        .option(OptionId::BufferSize, 1 << 16)
        .option(OptionId::StringSize, 128)
}

/// Looks at everything there is; the number depends on all of it.
pub fn read_all(description: &Description<'_>) -> u64 {
    let mut sum = 0_u64;
    let mut see = |bytes: &[u8]| {
        for byte in bytes {
            sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    };
    for ecb in description.ecbs() {
        for pattern in [
            ecb.probe.provider,
            ecb.probe.module,
            ecb.probe.function,
            ecb.probe.name,
        ] {
            see(pattern);
        }
        assert_eq!(
            ecb.actions.iter().count(),
            ecb.actions.len(),
            "an action was lost"
        );
        let mut objects: Vec<_> = ecb.predicate.into_iter().collect();
        for (index, action) in ecb.actions.iter().enumerate() {
            assert!(action.tuple as usize <= index);
            see(action.format.unwrap_or_default());
            objects.extend(action.difo);
        }
        for object in objects {
            assert!(!object.instructions.is_empty());
            assert!(matches!(object.strings.last(), None | Some(0)));
            for variable in object.variables.iter() {
                see(&object.strings[variable.name as usize..]);
            }
            for index in 0..object.instructions.len() {
                see(&object.instructions.get(index).unwrap().to_ne_bytes());
            }
            assert_eq!(object.instructions.get(object.instructions.len()), None);
            object
                .integers
                .iter()
                .for_each(|integer| see(&integer.to_ne_bytes()));
        }
    }
    for option in description.options() {
        see(&option.value.to_ne_bytes());
    }
    sum
}
