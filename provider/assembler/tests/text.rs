// SPDX-License-Identifier: GPL-2.0
//! Text becomes an object and text again.

use dif_assembler::{assemble, instruction, listing, BuildError, Builder, Scope};
use dof::Object;
use dtrace_interface::dif::{self, DifType, Variable};
use dtrace_interface::opcode::Opcode;
use proptest::collection::vec;
use proptest::prelude::*;

#[track_caller]
fn words(text: &str) -> Vec<u32> {
    assemble(text).unwrap().instructions
}

/// One of each layout, by hand from the numbers in the interface.
#[test]
fn layouts() {
    for (text, word) in [
        ("add %r1, %r2, %r3", 0x0701_0203),
        ("not %r1, %r3", 0x0d01_0003),
        ("cmp %r1, %r2", 0x0f01_0200),
        ("tst %r4", 0x1004_0000),
        ("ldx [%r1], %r2", 0x2201_0002),
        ("stx %r1, [%r2]", 0x3f01_0002),
        ("ret %r7", 0x2300_0007),
        ("nop", 0x2400_0000),
        ("ldga args, %r1, %r2", 0x2800_0102),
        ("ldgs execname, %r1", 0x2901_1801),
        ("ldgs %r1, execname", 0x2901_1801),
        ("ldgs 0x501, %r1", 0x2905_0101),
        ("stgs 0x501, %r1", 0x2a05_0101),
        ("call strlen, %r5", 0x2f00_0c05),
        ("pushtr string, %r2, %r1", 0x3001_0201),
        ("pushtv int, %r1", 0x3100_0001),
        ("flushts", 0x3300_0000),
        (".word 0xfeedface", 0xfeed_face),
    ] {
        assert_eq!(words(text), [word], "{text}");
    }
}

#[test]
fn tables_are_shared() {
    let object = assemble(
        r#"setx 5, %r1; setx -1, %r2; setx 0x5, %r3; sets "a;b,//", %r4; sets "\x41\n", %r4; sets "A\n", %r5"#,
    )
    .unwrap();
    assert_eq!(object.integers, [5, u64::MAX]);
    assert_eq!(object.strings, b"a;b,//\0A\n\0");
    assert_eq!(
        object.instructions,
        [
            0x2500_0001,
            0x2500_0102,
            0x2500_0003,
            0x2600_0004,
            0x2600_0704,
            0x2600_0705
        ]
    );
}

#[test]
fn variables_are_declared() {
    let object = assemble(
        "
        .returns string
        .global count: int64   // counts
        .thread at[] @0x777: string(64)
        .local here: bytes(16)
        ldgs count, %r1
        stgs count, %r1
        stls this->here, %r1
        ldtaa self->at, %r1
        ret %r1
        ",
    )
    .unwrap();
    assert_eq!(object.return_type, DifType::string(0));
    let seen: Vec<_> = object
        .variables
        .iter()
        .map(|one| {
            (
                one.id,
                one.kind,
                one.scope,
                one.flags,
                one.variable_type.size,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (0x500, dif::KIND_SCALAR, dif::SCOPE_GLOBAL, 3, 8),
            (0x777, dif::KIND_ARRAY, dif::SCOPE_THREAD, 1, 64),
            (0x500, dif::KIND_SCALAR, dif::SCOPE_LOCAL, 2, 16),
        ]
    );
    assert_eq!(object.strings, b"count\0at\0here\0");
    assert_eq!(
        listing(&object),
        "\
.returns string
.global count @0x500: int64
.thread at[] @0x777: string(64)
.local here @0x500: bytes(16)
    ldgs count, %r1
    stgs count, %r1
    stls this->here, %r1
    ldtaa self->at, %r1
    ret %r1
"
    );
    assert_eq!(assemble(&listing(&object)), Ok(object));
}

#[test]
fn labels_lead_forward() {
    let object = assemble("tst %r1; be yes; ba no; yes: no: ret %r1").unwrap();
    assert_eq!(object.instructions[1..3], [0x1200_0003, 0x1100_0003]);
    assert_eq!(instruction(&object, 1), "be L3");
    assert_eq!(assemble(&listing(&object)), Ok(object));
}

#[test]
fn errors_name_the_line() {
    for (text, why) in [
        ("nop\nfrob %r1", "line 2: frob: no such opcode"),
        ("add %r1, %r2", "line 1: add takes other operands"),
        ("nop %r1", "line 1: nop takes other operands"),
        ("ret %r8", "line 1: registers are %r0 to %r7"),
        ("ldx [%r9], %r1", "line 1: registers are %r0 to %r7"),
        ("ldgs nobody, %r1", "line 1: nobody: not declared"),
        ("ldts pid, %r1", "line 1: pid: not declared"),
        ("ldgs 65536, %r1", "line 1: 0x10000: no variable's number"),
        (
            "ldga execname, %r1, %r1",
            "line 1: 0x118: no array's number",
        ),
        ("call nobody, %r1", "line 1: nobody: no such subroutine"),
        ("sets \"a, %r1", "line 1: \"a, %r1: no operand"),
        ("sets \"\\q\", %r1", "line 1: \"\\q\": no operand"),
        ("sets \"\\x00\", %r1", "line 1: a NUL within a string"),
        (
            "setx 99999999999999999999, %r1",
            "line 1: 99999999999999999999: no operand",
        ),
        (
            "pushtv frob, %r1",
            "line 1: the first operand is int, string or a number",
        ),
        ("be gone\nret %r1", "line 2: the label gone stands nowhere"),
        (
            "a: nop\nba a",
            "line 2: the label leads backward or stands twice",
        ),
        ("a: nop\na: nop", "line 2: the label a stands twice"),
        (".returns frob", "line 1: frob: no such type"),
        (".global x", "line 1: x: no type"),
        (
            ".global x @0x10: int8",
            "line 1: 0x10 is the number of no variable of a program",
        ),
        (
            ".global x: int8\n.global y @0x500: int8",
            "line 2: y: declared before, and not alike",
        ),
        (".global 9x: int8", "line 1: 9x: no name"),
        (".word 0x100000000", "line 1: 0x100000000: no instruction"),
        ("", "line 1: no code"),
    ] {
        assert_eq!(assemble(text).unwrap_err().to_string(), why, "{text}");
    }
}

#[test]
fn every_opcode_has_its_text() {
    for opcode in Opcode::ALL {
        let object = |word| Object {
            return_type: DifType::INT64,
            instructions: vec![word, 0x2400_0000],
            integers: vec![3],
            strings: b"s\0".to_vec(),
            variables: vec![],
        };
        let branch = u32::from(opcode.operands() == dtrace_interface::opcode::Operands::Branch);
        let object = object((u32::from(opcode.raw()) << 24) | branch);
        let text = instruction(&object, 0);
        if matches!(opcode, Opcode::Xlate | Opcode::Xlarg) {
            assert!(text.starts_with(".word 0x4"), "{text}");
        } else {
            assert_eq!(text.split(' ').next(), Some(opcode.name()));
        }
        assert_eq!(
            assemble(&listing(&object)).unwrap().instructions,
            object.instructions
        );
    }
}

#[test]
fn a_builder_refuses_what_an_opcode_does_not_take() {
    let mut code = Builder::new(DifType::INT64);
    assert_eq!(
        code.three(Opcode::Ldgs, 1, 2, 3),
        Err(BuildError::Operands(Opcode::Ldgs))
    );
    assert_eq!(
        code.variable(Opcode::Add, 1, 2),
        Err(BuildError::Operands(Opcode::Add))
    );
    assert_eq!(
        code.element(Opcode::Ldgs, 1, 2, 3),
        Err(BuildError::Operands(Opcode::Ldgs))
    );
    assert_eq!(
        code.pusht(Opcode::Ret, 1, 2, 3),
        Err(BuildError::Operands(Opcode::Ret))
    );
    let label = code.label();
    assert_eq!(
        code.branch(Opcode::Ret, label),
        Err(BuildError::Operands(Opcode::Ret))
    );
    code.branch(Opcode::Ba, label).unwrap();
    assert_eq!(code.clone().finish(), Err(BuildError::Unplaced));
    code.place(label).unwrap();
    assert_eq!(code.place(label), Err(BuildError::Backward));
    let declare = |code: &mut Builder, size| {
        code.declare("x", 0x500, Scope::Global, false, DifType::integer(size))
    };
    assert_eq!(declare(&mut code, 8), Ok(()));
    assert_eq!(declare(&mut code, 8), Ok(()));
    assert_eq!(declare(&mut code, 4), Err(BuildError::Declared("x".into())));
    for value in 0..=u64::from(u16::MAX) {
        code.setx(value, 1).unwrap();
    }
    assert_eq!(
        code.setx(u64::MAX, 1),
        Err(BuildError::TableFull("integers"))
    );
}

fn any_object() -> impl Strategy<Value = Object> {
    let word = prop_oneof![
        any::<u32>(),
        // Mostly opcodes and small operands.
        (1..80_u32, 0..9_u32, 0..9_u32, 0..9_u32)
            .prop_map(|(op, a, b, c)| op << 24 | a << 16 | b << 8 | c),
    ];
    let variable = (
        0..12_u32,
        0x4fe..0x503_u32,
        0..3_u8,
        0..4_u8,
        any::<[u8; 4]>(),
        0..9_u32,
    )
        .prop_map(|(name, id, kind, scope, [k, c, f, pad], size)| Variable {
            name,
            id,
            kind,
            scope,
            flags: 0,
            variable_type: DifType {
                kind: k % 2,
                ctf_kind: c,
                flags: f % 2,
                pad,
                size,
            },
        });
    (
        vec(word, 1..20),
        vec(any::<u64>(), 0..4),
        vec(prop_oneof![Just(0), any::<u8>(), b'a'..b'e'], 0..12),
        vec(variable, 0..4),
    )
        .prop_map(|(instructions, integers, strings, variables)| Object {
            return_type: DifType::INT64,
            instructions,
            integers,
            strings,
            variables,
        })
}

proptest! {
    /// Whatever an object is, its text is taken and says the same again.
    #[test]
    fn listings_are_taken(object in any_object()) {
        let text = listing(&object);
        let again = assemble(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(again.instructions.len(), object.instructions.len());
        let code = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("//")).map(str::to_string).collect()
        };
        prop_assert_eq!(code(&listing(&again)), code(&text));
    }

    #[test]
    fn any_text_is_answered(text in "[ -~\n]{0,60}") {
        let _ = assemble(&text);
    }

    #[test]
    fn almost_a_text_is_answered(
        text in "(ldgs|sets|be|\\.global|x:|add|pushtr|call)( |,|%r[0-9]|\\[%r1\\]|\"|\\\\|:|@|x|;|[0-9]|\n){0,12}",
    ) {
        let _ = assemble(&text);
    }
}
