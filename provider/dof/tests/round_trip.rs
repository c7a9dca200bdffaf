// SPDX-License-Identifier: GPL-2.0
//! What the writer writes the loader reads back equal.

mod common;

use dof::{ActionSpec, Object, ProbeSpec, Program, WriteError};
use dtrace_interface::action::ActionKind;
use dtrace_interface::dif::{DifType, Variable};
use dtrace_interface::options::OptionId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Clause {
    probes: Vec<ProbeSpec>,
    predicate: Option<Object>,
    actions: Vec<ActionSpec>,
    user_argument: u64,
}

fn types() -> impl Strategy<Value = DifType> {
    (0..2_u8, any::<u8>(), 0..2_u8, any::<u32>()).prop_map(|(kind, ctf_kind, flags, size)| {
        DifType {
            kind,
            ctf_kind,
            flags,
            pad: 0,
            size,
        }
    })
}

fn objects() -> impl Strategy<Value = Object> {
    let names = vec("[a-z]{0,9}", 1..4);
    let variables = vec((any::<u16>(), 0..2_u8, 0..3_u8, 0..4_u16, types()), 0..4);
    (
        types(),
        vec(any::<u32>(), 1..9),
        vec(any::<u64>(), 0..4),
        names,
        variables,
    )
        .prop_map(|(return_type, instructions, integers, names, variables)| {
            let strings: Vec<u8> = names
                .iter()
                .flat_map(|name| format!("{name}\0").into_bytes())
                .collect();
            let variables = variables
                .into_iter()
                .map(|(id, kind, scope, flags, variable_type)| Variable {
                    name: u32::from(id) % strings.len() as u32,
                    id: id.into(),
                    kind,
                    scope,
                    flags,
                    variable_type,
                })
                .collect();
            Object {
                return_type,
                instructions,
                integers,
                strings,
                variables,
            }
        })
}

fn probes() -> impl Strategy<Value = ProbeSpec> {
    (
        any::<u32>(),
        "[a-z*?]{0,63}",
        "[a-z]{0,63}",
        "[a-z]{0,127}",
        "[a-z]{0,63}",
    )
        .prop_map(|(id, provider, module, function, name)| ProbeSpec {
            id,
            provider,
            module,
            function,
            name,
        })
}

fn actions() -> impl Strategy<Value = Vec<ActionSpec>> {
    let kinds = prop::sample::select(&ActionKind::ALL[1..]);
    let action = (
        kinds,
        option::of(objects()),
        option::of("[^\0]{0,20}"),
        any::<[u64; 3]>(),
    );
    vec(action, 0..5).prop_map(|actions| {
        actions
            .into_iter()
            .enumerate()
            .map(
                |(index, (kind, difo, format, [argument, user_argument, tuple]))| {
                    let format = format.filter(|_| kind.has_format());
                    let key = (tuple % (index as u64 + 1)) as u32;
                    let tuple = if kind.is_aggregation() { key } else { 0 };
                    let argument = if format.is_some() { 0 } else { argument };
                    ActionSpec {
                        kind,
                        difo,
                        format,
                        tuple,
                        argument,
                        user_argument,
                    }
                },
            )
            .collect()
    })
}

fn clauses() -> impl Strategy<Value = Clause> {
    (
        vec(probes(), 1..4),
        option::of(objects()),
        actions(),
        any::<u64>(),
    )
        .prop_map(|(probes, predicate, actions, user_argument)| Clause {
            probes,
            predicate,
            actions,
            user_argument,
        })
}

proptest! {
    #[test]
    fn a_program_survives(
        clauses in vec(clauses(), 0..4),
        options in vec((prop::sample::select(OptionId::ALL), any::<u64>()), 0..5),
    ) {
        let mut program = Program::new();
        for clause in &clauses {
            program = program.clause_with(
                clause.probes.clone(),
                clause.predicate.clone(),
                clause.actions.clone(),
                clause.user_argument,
            );
        }
        for (option, value) in &options {
            program = program.option(*option, *value);
        }
        let file = program.to_bytes().unwrap();
        prop_assert_eq!(dof::load_size(&file), Ok(file.len()));
        let description = dof::load(&file).unwrap();

        let mut ecbs = description.ecbs();
        for clause in &clauses {
            for probe in &clause.probes {
                let ecb = ecbs.next().expect("every description of probes makes an ECB");
                prop_assert_eq!(&ecb.probe, probe);
                prop_assert_eq!(&ecb.predicate.map(Object::from), &clause.predicate);
                prop_assert_eq!(ecb.user_argument, clause.user_argument);
                let actions: Vec<_> = ecb.actions.iter().map(|action| ActionSpec {
                    kind: action.kind,
                    difo: action.difo.map(Object::from),
                    format: action.format.map(|text| String::from_utf8(text.to_vec()).unwrap()),
                    tuple: action.tuple,
                    argument: action.argument,
                    user_argument: action.user_argument,
                }).collect();
                prop_assert_eq!(&actions, &clause.actions);
            }
        }
        prop_assert!(ecbs.next().is_none());
        let read: Vec<_> = description.options().map(|set| (set.option, set.value)).collect();
        prop_assert_eq!(read, options);
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(description) = dof::load(&bytes) {
            common::read_all(&description);
        }
    }
}

#[test]
fn clauses_share_their_objects() {
    let one = |count| {
        let actions = vec![ActionSpec::new(ActionKind::DifExpression).difo(common::full()); count];
        Program::new()
            .clause(["BEGIN".parse().unwrap()], None, actions)
            .to_bytes()
            .unwrap()
            .len()
    };
    // 32 bytes are an action's own.
    assert_eq!(one(9) - one(1), 8 * 32);
}

#[test]
fn descriptions_of_probes_are_read_from_the_right() {
    let parse = |text: &str| text.parse::<ProbeSpec>();
    let spec = parse("syscall::read:entry").unwrap();
    assert_eq!(
        (&*spec.provider, &*spec.module, &*spec.function, &*spec.name),
        ("syscall", "", "read", "entry")
    );
    let spec = parse("read:entry").unwrap();
    assert_eq!(
        (&*spec.provider, &*spec.function, &*spec.name),
        ("", "read", "entry")
    );
    assert_eq!(parse("a:b:c:d:e"), Err(WriteError::Probe));
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let probe = ProbeSpec {
        name: "a\0b".into(),
        ..ProbeSpec::default()
    };
    let program = Program::new().clause([probe], None, []);
    assert_eq!(program.to_bytes(), Err(WriteError::Nul { field: "name" }));

    let long = ProbeSpec {
        provider: "p".repeat(64),
        ..ProbeSpec::default()
    };
    let error = Program::new()
        .clause([long], None, [])
        .to_bytes()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "DOF section 1 (PROBEDESC): provider: longer than 63 bytes"
    );

    let count = ActionSpec::new(ActionKind::Count);
    let error = |action: &ActionSpec| {
        let probe = ProbeSpec::default();
        Program::new()
            .clause([probe], None, [action.clone()])
            .to_bytes()
            .unwrap_err()
    };
    assert_eq!(error(&count.clone().format("x")), WriteError::Format);
    assert_eq!(
        error(&count.tuple(1)).to_string(),
        "DOF section 1 (ACTDESC), entry 0: 1 keys, at most 0 are supported"
    );
}
