// SPDX-License-Identifier: GPL-2.0
//! Every opcode does what the header says, once.

mod support;

use dif::{BuiltIn, DifType, FaultKind, Machine, Window};
use dtrace_interface::dif::*;
use dtrace_interface::opcode::Opcode::{self, *};
use support::*;

fn binary(opcode: Opcode, one: u64, other: u64) -> u64 {
    value(
        Code::new()
            .set(1, one)
            .set(2, other)
            .op(opcode, 1, 2, 3)
            .ret(3),
    )
}

const MINUS_7: u64 = -7i64 as u64;

#[test]
fn arithmetic() {
    for (opcode, one, other, result) in [
        (Or, 0b1100, 0b1010, 0b1110),
        (Xor, 0b1100, 0b1010, 0b0110),
        (And, 0b1100, 0b1010, 0b1000),
        (Sll, 1, 63, 1 << 63),
        (Sll, 3, 64, 3),
        (Srl, 1 << 63, 63, 1),
        (Sra, MINUS_7, 1, -4i64 as u64),
        (Sub, 1, 2, u64::MAX),
        (Add, u64::MAX, 2, 1),
        (Mul, 1 << 63, 2, 0),
        (Mul, MINUS_7, 3, -21i64 as u64),
        (Sdiv, MINUS_7, 2, -3i64 as u64),
        (Sdiv, i64::MIN as u64, u64::MAX, i64::MIN as u64),
        (Udiv, MINUS_7, 2, MINUS_7 / 2),
        (Srem, MINUS_7, 2, -1i64 as u64),
        (Srem, i64::MIN as u64, u64::MAX, 0),
        (Urem, MINUS_7, 10, MINUS_7 % 10),
    ] {
        let name = opcode.name();
        assert_eq!(binary(opcode, one, other), result, "{name} {one} {other}");
    }
}

#[test]
fn division_by_zero_is_a_fault() {
    for opcode in [Sdiv, Udiv, Srem, Urem] {
        let fault = fault(Code::new().set(1, 5).op(opcode, 1, 0, 2).ret(2));
        assert_eq!(
            (fault.kind, fault.instruction),
            (FaultKind::DivideByZero, 1)
        );
    }
}

#[test]
fn not_mov_nop() {
    assert_eq!(value(Code::new().set(1, 5).op(Not, 1, 0, 2).ret(2)), !5u64);
    assert_eq!(value(Code::new().set(1, 5).op(Mov, 1, 0, 2).ret(2)), 5);
    assert_eq!(value(Code::new().op(Nop, 0, 0, 0).ret(0)), 0);
}

/// Whether the branch is taken after `set up`.
fn taken(opcode: Opcode, before: Code) -> bool {
    // The label jumps over the one instruction that sets r3.
    let code = before.set(3, 1);
    let label = code.words.len() as u32 + 2;
    let code = code.branch(opcode, label).set(3, 0).ret(3);
    value(code) == 1
}

#[test]
fn branches_after_cmp_tst_scmp() {
    let pairs: [(u64, u64); 6] = [
        (1, 1),
        (1, 2),
        (2, 1),
        (MINUS_7, 1),
        (1, MINUS_7),
        // The difference does not fit into 64 bits.
        (i64::MIN as u64, i64::MAX as u64),
    ];
    for (one, other) in pairs {
        let (s1, s2) = (one as i64, other as i64);
        for (opcode, result) in [
            (Ba, true),
            (Be, one == other),
            (Bne, one != other),
            (Bg, s1 > s2),
            (Bgu, one > other),
            (Bge, s1 >= s2),
            (Bgeu, one >= other),
            (Bl, s1 < s2),
            (Blu, one < other),
            (Ble, s1 <= s2),
            (Bleu, one <= other),
        ] {
            let before = Code::new().set(1, one).set(2, other).op(Cmp, 1, 2, 0);
            assert_eq!(
                taken(opcode, before),
                result,
                "{} {one} {other}",
                opcode.name()
            );
        }
    }
    let test = |number| Code::new().set(1, number).op(Tst, 1, 0, 0);
    assert!(taken(Be, test(0)) && !taken(Be, test(1)));
    assert!(taken(Bl, test(MINUS_7)) && !taken(Bl, test(7)));
    let compare = |one, other| {
        Code::new()
            .string(1, one)
            .string(2, other)
            .op(Scmp, 1, 2, 0)
    };
    assert!(taken(Be, compare("abc", "abc")));
    assert!(taken(Bl, compare("abc", "abd")) && taken(Blu, compare("abc", "abd")));
    assert!(taken(Bl, compare("ab", "abc")) && taken(Bg, compare("b", "abc")));
    // 0xff is a large byte, not a negative one.
    assert!(taken(Bg, compare("\u{ff}", "a")));
    let long = "x".repeat(STRSIZE as usize);
    let (one, other) = (format!("{long}1"), format!("{long}2"));
    assert!(taken(Be, compare(&one, &other)), "beyond strsize");
}

#[test]
fn strings_of_null() {
    let null = |other: u64| Code::new().set(2, other).op(Scmp, 0, 2, 0);
    assert!(taken(Be, null(0)) && !taken(Be, null(KERNEL)));
}

#[test]
fn kernel_loads() {
    // Bytes of the kernel's memory count up from 0.
    let load = |opcode, offset: u64| {
        value(
            Code::new()
                .set(1, KERNEL + offset)
                .op(opcode, 1, 0, 2)
                .ret(2),
        )
    };
    let high = 0xf0;
    for (opcode, offset, result) in [
        (Ldsb, high, 0xffff_ffff_ffff_fff0),
        (Ldsh, high, 0xffff_ffff_ffff_f1f0),
        (Ldsw, high, 0xffff_ffff_f3f2_f1f0),
        (Ldub, high, 0xf0),
        (Lduh, high, 0xf1f0),
        (Lduw, high, 0xf3f2_f1f0),
        (Ldx, high, 0xf7f6_f5f4_f3f2_f1f0),
        (Rldsb, high, 0xffff_ffff_ffff_fff0),
        (Rldsh, high, 0xffff_ffff_ffff_f1f0),
        (Rldsw, high, 0xffff_ffff_f3f2_f1f0),
        (Rldub, high, 0xf0),
        (Rlduh, high, 0xf1f0),
        (Rlduw, high, 0xf3f2_f1f0),
        (Rldx, high, 0xf7f6_f5f4_f3f2_f1f0),
        // Across a line, not aligned.
        (Ldx, 61, 0x4443_4241_403f_3e3d),
        (Ldsb, 0x7f, 0x7f),
    ] {
        assert_eq!(load(opcode, offset), result, "{}", opcode.name());
    }
}

#[test]
fn user_loads() {
    let load = |opcode| {
        let mut fake = Fake::new();
        fake.user = vec![0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7];
        let code = Code::new().set(1, USER).op(opcode, 1, 0, 2).ret(2);
        State::new().run_with(&code, &mut fake).unwrap().0
    };
    for (opcode, result) in [
        (Uldsb, 0xffff_ffff_ffff_fff0),
        (Uldsh, 0xffff_ffff_ffff_f1f0),
        (Uldsw, 0xffff_ffff_f3f2_f1f0),
        (Uldub, 0xf0),
        (Ulduh, 0xf1f0),
        (Ulduw, 0xf3f2_f1f0),
        (Uldx, 0xf7f6_f5f4_f3f2_f1f0),
    ] {
        assert_eq!(load(opcode), result, "{}", opcode.name());
    }
}

#[test]
fn loads_of_bad_addresses_say_which() {
    for (opcode, address) in [
        (Ldx, 0),
        (Ldx, USER),
        (Ldx, KERNEL + 250),
        (Uldx, KERNEL),
        (Uldx, Window::Scratch.address(0)),
        (Ldub, Window::Scratch.address(0)),
        (Ldx, Window::Strings.address(u32::MAX)),
        (Ldx, Window::Globals.address(u32::MAX - 3)),
        (Ldx, Window::Locals.address(0)),
        (Ldx, Window::Dynamic.address(0)),
        (Ldx, u64::MAX),
    ] {
        let fault = fault(Code::new().set(1, address).op(opcode, 1, 0, 2).ret(2));
        assert_eq!(fault.kind, FaultKind::BadAddress);
        assert_eq!(fault.instruction, 1);
        // Of a load across two lines it is where the second begins.
        assert!(fault.address.wrapping_sub(address) < 8, "{fault}");
    }
}

#[test]
fn setx_sets_ret() {
    assert_eq!(value(Code::new().set(7, 42).ret(7)), 42);
    assert_eq!(string(Code::new().string(1, "hello").ret(1)), "hello");
    assert_eq!(value(Code::new().ret(0)), 0);
}

#[test]
fn built_in_variables() {
    let scalar = |built_in: BuiltIn| Code::new().indexed(Ldgs, built_in.raw(), 1).ret(1);
    for built_in in BuiltIn::ALL.iter().copied() {
        match built_in {
            _ if built_in.is_array() => {}
            BuiltIn::Caller => assert_eq!(fault(scalar(built_in)).kind, FaultKind::BadStack),
            _ if built_in.is_string() => assert_eq!(string(scalar(built_in)), built_in.name()),
            _ => assert_eq!(value(scalar(built_in)), u64::from(built_in.raw())),
        }
    }
    let argument = |n| Code::new().set(1, n).op(Ldga, 0, 1, 2).ret(2);
    assert_eq!(value(argument(3)), 103);
    assert_eq!(fault(argument(10)).kind, FaultKind::IllegalOperation);
}

const ID: u16 = OTHER_USER_BASE + 3;

#[test]
fn scalars() {
    for (scope, load, store) in [
        (SCOPE_GLOBAL, Ldgs, Stgs),
        (SCOPE_THREAD, Ldts, Stts),
        (SCOPE_LOCAL, Ldls, Stls),
    ] {
        let declared = || Code::new().declares(scope, KIND_SCALAR, u32::from(ID), DifType::INT64);
        assert_eq!(value(declared().indexed(load, ID, 1).ret(1)), 0);
        let code = declared()
            .set(1, 42)
            .indexed(store, ID, 1)
            .indexed(load, ID, 2)
            .ret(2);
        assert_eq!(value(code), 42);
        let by_ref = || Code::new().declares(scope, KIND_SCALAR, u32::from(ID), DifType::string(0));
        let assigned = by_ref().string(1, "text").indexed(store, ID, 1);
        assert_eq!(string(assigned.clone().indexed(load, ID, 2).ret(2)), "text");
        let nulled = assigned.indexed(store, ID, 0).indexed(load, ID, 2).ret(2);
        assert_eq!(value(nulled), 0);
        let long = "y".repeat(STRSIZE as usize + 9);
        let cut = by_ref().string(1, &long).indexed(store, ID, 1);
        let cut = string(cut.indexed(load, ID, 2).ret(2));
        assert_eq!(cut, long[..STRSIZE as usize - 1]);
    }
}

#[test]
fn structures_by_reference() {
    let structure = DifType {
        kind: TYPE_CTF,
        ctf_kind: 6,
        flags: TYPE_BY_REF,
        pad: 0,
        size: 13,
    };
    for (scope, load, store) in [
        (SCOPE_GLOBAL, Ldgs, Stgs),
        (SCOPE_THREAD, Ldts, Stts),
        (SCOPE_LOCAL, Ldls, Stls),
    ] {
        let code = Code::new()
            .declares(scope, KIND_SCALAR, u32::from(ID), structure)
            .set(1, KERNEL + 60)
            .indexed(store, ID, 1)
            .indexed(load, ID, 2)
            // A member is written, at an offset that is not a word's.
            .set(3, 5)
            .op(Add, 2, 3, 3)
            .set(4, 0xab)
            .op(Stb, 4, 0, 3)
            .ret(2)
            .returns(structure);
        let (_, record) = State::new().run(&code).unwrap();
        let mut expected: Vec<u8> = (60..73).collect();
        expected[5] = 0xab;
        assert_eq!(record, expected);
    }
}

#[test]
fn arrays() {
    for (scope, load, store) in [(SCOPE_GLOBAL, Ldgaa, Stgaa), (SCOPE_THREAD, Ldtaa, Sttaa)] {
        let key = |code: Code, number, text| {
            code.flush()
                .set(1, number)
                .push(1)
                .string(2, text)
                .push_string(2)
        };
        let declared = || Code::new().declares(scope, KIND_ARRAY, u32::from(ID), DifType::INT64);
        let stored = || {
            let code = key(declared(), 5, "k").set(3, 77).indexed(store, ID, 3);
            key(code, 6, "k").set(3, 88).indexed(store, ID, 3)
        };
        let loaded = |code, number, text| key(code, number, text).indexed(load, ID, 4).ret(4);
        assert_eq!(value(loaded(stored(), 5, "k")), 77);
        assert_eq!(value(loaded(stored(), 6, "k")), 88);
        assert_eq!(value(loaded(stored(), 5, "other")), 0);
        let removed = key(stored(), 5, "k").indexed(store, ID, 0);
        assert_eq!(value(loaded(removed, 5, "k")), 0);
    }
}

#[test]
fn thread_variables_are_each_thread_s_own() {
    let declared = Code::new().declares(SCOPE_THREAD, KIND_SCALAR, u32::from(ID), DifType::INT64);
    let store = declared.clone().set(1, 42).indexed(Stts, ID, 1).ret(1);
    let load = declared.indexed(Ldts, ID, 1).ret(1);
    let mut state = State::new();
    let (mut one, mut other) = (Fake::new(), Fake::new());
    other.thread = 8;
    state.run_with(&store, &mut one).unwrap();
    assert_eq!(state.run_with(&load, &mut other).unwrap().0, 0);
    assert_eq!(state.run_with(&load, &mut one).unwrap().0, 42);
}

#[test]
fn tuple_stack() {
    // What popts takes away is no argument any more.
    let code = Code::new()
        .string(1, "abc")
        .push(1)
        .push(0)
        .op(Popts, 0, 0, 0)
        .call(dtrace_interface::subroutine::Subroutine::Strlen, 2)
        .ret(2);
    assert_eq!(value(code), 3);
    let mut code = Code::new();
    for _ in 0..=dif::TUPLE_DEPTH {
        code = code.push(0);
    }
    let fault = fault(code.ret(0));
    assert_eq!(fault.kind, FaultKind::TupleOverflow);
    assert_eq!(fault.instruction as usize, dif::TUPLE_DEPTH);
    assert_eq!(value(Code::new().op(Popts, 0, 0, 0).ret(0)), 0);
}

#[test]
fn scratch() {
    let code = Code::new()
        .set(1, 16)
        .op(Allocs, 1, 0, 2)
        .set(3, 0x1122_3344_5566_7788)
        .op(Stx, 3, 0, 2)
        .set(4, 8)
        .op(Add, 2, 4, 4)
        .op(Stw, 3, 0, 4)
        .set(5, 4)
        .op(Add, 4, 5, 5)
        .op(Sth, 3, 0, 5)
        .set(6, 2)
        .op(Add, 5, 6, 6)
        .op(Stb, 3, 0, 6);
    assert_eq!(
        value(code.clone().op(Ldx, 2, 0, 7).ret(7)),
        0x1122_3344_5566_7788
    );
    assert_eq!(value(code.op(Ldx, 4, 0, 7).ret(7)), 0x0088_7788_5566_7788);
    let copied = Code::new()
        .set(1, 100)
        .op(Allocs, 1, 0, 2)
        .set(3, KERNEL + 3)
        .op(Copys, 3, 1, 2)
        .set(4, 96)
        .op(Add, 2, 4, 4)
        .op(Lduw, 4, 0, 5)
        .ret(5);
    assert_eq!(value(copied), 0x6665_6463);
}

#[test]
fn scratch_faults() {
    let allocated = || Code::new().set(1, 16).op(Allocs, 1, 0, 2);
    let unaligned = allocated()
        .set(3, 4)
        .op(Add, 2, 3, 3)
        .op(Stx, 3, 0, 3)
        .ret(0);
    assert_eq!(fault(unaligned).kind, FaultKind::BadAlignment);
    let beyond = allocated()
        .set(3, 16)
        .op(Add, 2, 3, 3)
        .op(Stx, 3, 0, 3)
        .ret(0);
    let beyond = fault(beyond);
    assert_eq!(beyond.kind, FaultKind::BadAddress);
    assert_eq!(beyond.address, Window::Scratch.address(16));
    for address in [KERNEL, USER, 0, Window::Strings.address(0)] {
        let elsewhere = Code::new().set(1, address).op(Stb, 1, 0, 1).ret(0);
        let fault = fault(elsewhere);
        assert_eq!(
            (fault.kind, fault.address),
            (FaultKind::BadAddress, address)
        );
    }
    for size in [4097, u64::MAX, u64::MAX - 7] {
        let much = fault(Code::new().set(1, size).op(Allocs, 1, 0, 2).ret(2));
        assert_eq!(much.kind, FaultKind::NoScratch);
    }
    let long = allocated()
        .set(3, KERNEL)
        .set(4, 17)
        .op(Copys, 3, 4, 2)
        .ret(0);
    assert_eq!(fault(long).kind, FaultKind::BadAddress);
}

#[test]
fn scratch_lasts_for_the_clause_and_is_cleared_when_taken() {
    let take = Code::new().set(1, 8).op(Allocs, 1, 0, 2).ret(2);
    let mut state = State::new();
    let program = state.validate(&take).unwrap();
    let mut fake = Fake::new();
    let mut machine = Machine::new(state.memory(), tuple());
    let one = machine.run(&program, &mut fake).unwrap();
    let other = machine.run(&program, &mut fake).unwrap();
    assert_eq!((one, other), (one, one + 8));
    let progress = machine.progress();
    let mut resumed = Machine::resume(state.memory(), tuple(), progress);
    assert_eq!(resumed.run(&program, &mut fake).unwrap(), one + 16);
    let mut again = Machine::new(state.memory(), tuple());
    assert_eq!(again.run(&program, &mut fake).unwrap(), one);
    let cleared = Code::new()
        .set(1, 8)
        .op(Allocs, 1, 0, 2)
        .op(Ldx, 2, 0, 3)
        .ret(3);
    assert_eq!(value(cleared), 0);
}

#[test]
fn results_in_a_record() {
    let mut state = State::new();
    for (size, expected) in [
        (1, vec![0x88]),
        (2, vec![0x88, 0x77]),
        (4, vec![0x88, 0x77, 0x66, 0x55]),
        (8, vec![0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]),
    ] {
        let code = Code::new()
            .set(1, 0x1122_3344_5566_7788)
            .ret(1)
            .returns(DifType::integer(size));
        assert_eq!(state.run(&code).unwrap().1, expected);
    }
    let null = Code::new().ret(0).returns(DifType::string(0));
    let fault = state.run(&null).unwrap_err();
    assert_eq!((fault.kind, fault.address), (FaultKind::BadAddress, 0));
}

#[test]
fn a_machine_is_small() {
    assert!(
        size_of::<Machine<'_>>() <= 1024,
        "{}",
        size_of::<Machine<'_>>()
    );
}

/// Translators never reach a machine, and it refuses them if they do.
#[test]
fn translators() {
    for opcode in [Xlate, Xlarg] {
        let code = Code::new().indexed(opcode, 0, 1).ret(1);
        let mut state = State::new();
        assert!(state.validate(&code).is_err());
        let program = dif::Program::from_validated(code.object(), Default::default());
        let fault = Machine::new(state.memory(), tuple()).run(&program, &mut Fake::new());
        assert_eq!(fault.unwrap_err().kind, FaultKind::IllegalOperation);
    }
}
