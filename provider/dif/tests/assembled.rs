// SPDX-License-Identifier: GPL-2.0
//! Text, through the assembler, a DOF file and its loader, runs as it reads.

mod support;

use dif::{BuiltIn, Plain};
use dif_assembler::assemble;
use dof::{ActionSpec, Program};
use dtrace_interface::action::ActionKind;
use dtrace_interface::opcode::Opcode;
use support::{Code, State};

/// The program of a text as it comes out of a file.
fn loaded(text: &str) -> Code {
    let object = assemble(text).unwrap();
    let file = Program::new()
        .clause(
            ["BEGIN".parse().unwrap()],
            None,
            [ActionSpec::new(ActionKind::DifExpression).difo(object)],
        )
        .to_bytes()
        .unwrap();
    let description = dof::load(&file).unwrap();
    let ecb = description.ecbs().next().unwrap();
    let difo = ecb.actions.iter().next().unwrap().difo.unwrap();
    Code {
        words: difo.instructions.iter().collect(),
        integers: difo.integers.iter().collect(),
        strings: difo.strings.to_vec(),
        variables: difo.variables.iter().collect(),
        return_type: difo.return_type,
    }
}

#[track_caller]
fn value(text: &str) -> u64 {
    State::new().run(&loaded(text)).unwrap().0
}

#[track_caller]
fn string(text: &str) -> String {
    support::string(loaded(text))
}

#[test]
fn numbers() {
    assert_eq!(
        value("setx 6, %r1; setx 7, %r2; mul %r1, %r2, %r3; ret %r3"),
        42
    );
    assert_eq!(
        value("setx -7, %r1; setx 2, %r2; sdiv %r1, %r2, %r3; ret %r3"),
        (-3_i64) as u64
    );
    let larger = "cmp %r1, %r2; bg one; ret %r2; one: ret %r1";
    assert_eq!(value(&format!("setx 3, %r1; setx 9, %r2; {larger}")), 9);
    assert_eq!(value(&format!("setx 9, %r1; setx 3, %r2; {larger}")), 9);
}

#[test]
fn strings() {
    let joined = r#"
        .returns string
        sets "left ", %r1
        sets "right", %r2
        pushtr string, %r0, %r1
        pushtr string, %r0, %r2
        call strjoin, %r3
        flushts
        ret %r3
    "#;
    assert_eq!(string(joined), "left right");
    assert_eq!(
        value(r#"sets "abc", %r1; pushtr string, %r1; call strlen, %r2; ret %r2"#),
        3
    );
    let same = |a, b| {
        value(&format!(
            r#"sets "{a}", %r1; sets "{b}", %r2; scmp %r1, %r2; be yes; ret %r0; yes: setx 1, %r1; ret %r1"#
        ))
    };
    assert_eq!((same("abc", "abc"), same("abc", "abd")), (1, 0));
}

#[test]
fn variables() {
    let counts = loaded(
        ".global n: int64; ldgs n, %r1; setx 1, %r2; add %r1, %r2, %r1; stgs n, %r1; ret %r1",
    );
    let mut state = State::new();
    assert_eq!([1, 2, 3].map(|_| state.run(&counts).unwrap().0), [1, 2, 3]);

    let keyed = "
        .global at[]: int64
        .local key: int32
        setx 5, %r1
        stls this->key, %r1
        ldls this->key, %r2
        pushtv int, %r0, %r2
        setx 99, %r3
        stgaa at, %r3
        flushts
        pushtv int, %r0, %r1
        ldgaa at, %r4
        flushts
        ret %r4";
    assert_eq!(value(keyed), 99);
    // What the environment of these tests tells: a variable's number, 100 and the index.
    assert_eq!(value("ldgs arg0, %r1; ret %r1"), 0x106);
    assert_eq!(value("setx 0, %r1; ldga args, %r1, %r2; ret %r2"), 100);
}

#[test]
fn every_opcode_that_text_can_say_is_known() {
    for opcode in Opcode::ALL {
        let known = dif::Instruction::decode((u32::from(opcode.raw()) << 24) | 1);
        let is_translator = matches!(opcode, Opcode::Xlate | Opcode::Xlarg);
        assert!(
            known.is_ok() || is_translator,
            "{}: {known:?}",
            opcode.name()
        );
    }
}

#[test]
fn programs_that_only_say_a_value_are_known() {
    let plain = |text| dif::plain(&loaded(text).object());
    assert_eq!(
        plain("ldgs pid, %r1; ret %r1"),
        Some(Plain::BuiltIn(BuiltIn::Pid))
    );
    assert_eq!(
        plain("ldgs arg9, %r7; ret %r7"),
        Some(Plain::BuiltIn(BuiltIn::Arg9))
    );
    assert_eq!(plain("setx 77, %r2; ret %r2"), Some(Plain::Integer(77)));
    for other in [
        "ldgs pid, %r1; ret %r0",
        "ldgs pid, %r1; ret %r2",
        "ret %r0",
        "nop; ret %r1",
        "ldgs pid, %r1; nop; ret %r1",
        ".global n: int64\nldgs 0x500, %r1; ret %r1",
        ".returns string\nldgs execname, %r1; ret %r1",
        ".returns bytes(8)\nldgs curthread, %r1; ret %r1",
    ] {
        assert_eq!(plain(other), None, "{other}");
    }
}
