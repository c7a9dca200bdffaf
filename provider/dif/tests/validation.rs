// SPDX-License-Identifier: GPL-2.0
//! What validation refuses, where, and how it says so.

mod support;

use dif::variables::BadDeclaration;
use dif::*;
use dtrace_interface::dif::*;
use dtrace_interface::opcode::Opcode::{self, *};
use dtrace_interface::subroutine::Subroutine;
use support::*;

fn refused(code: &Code) -> Refusal {
    let mut state = State::new();
    state.declare(code).unwrap();
    state.validate(code).unwrap_err()
}

fn reason(code: Code) -> Reason {
    refused(&code).reason
}

const ID: u32 = OTHER_USER_BASE as u32;

#[test]
fn a_good_object_passes_and_says_what_it_needs() {
    let code = Code::new()
        .declares(SCOPE_GLOBAL, KIND_ARRAY, ID, DifType::INT64)
        .declares(SCOPE_THREAD, KIND_SCALAR, ID, DifType::string(20))
        .string(1, "key")
        .push_string(1)
        .push(1)
        .set(2, 30)
        .op(Pushtr, TYPE_STRING, 2, 1)
        .indexed(Stgaa, ID as u16, 1)
        .indexed(Stts, ID as u16, 1)
        .ret(0);
    let mut state = State::new();
    state.declare(&code).unwrap();
    let program = state.validate(&code).unwrap();
    // Header, one word of data, variable, thread; a string of strsize, a number, one of 30 bytes.
    let words = 4 + 1 + 2 + (1 + STRSIZE / 8) + 2 + (1 + 4);
    assert_eq!(program.needs().chunk_words, words);
    assert_eq!(Code::new().ret(0).object().instructions.len(), 1);
    let simple = Code::new().ret(0);
    assert_eq!(state.validate(&simple).unwrap().needs().chunk_words, 0);
}

#[test]
fn words_that_are_no_instructions() {
    let word = |word: u32| {
        let mut code = Code::new();
        code.words = vec![word, 0];
        code.ret(0)
    };
    assert_eq!(reason(word(0)), Reason::Undecodable(Undecodable::Opcode(0)));
    assert_eq!(
        reason(word(80 << 24)),
        Reason::Undecodable(Undecodable::Opcode(80))
    );
    let refusal = refused(&Code::new().op(Nop, 0, 0, 0).op(Add, 1, 8, 1).ret(0));
    assert_eq!(refusal.place, Place::Instruction(1));
    assert_eq!(refusal.to_string(), "DIF instruction 1: no register %r8");
}

/// Each opcode that writes a register refuses %r0, and registers from %r8 on.
#[test]
fn registers() {
    use dtrace_interface::opcode::Operands as Shape;
    for opcode in Opcode::ALL.iter().copied() {
        let word = |r1, r2, rd| dtrace_interface::dif::Instruction::new(opcode, r1, r2, rd).0;
        let decode = |r1, r2, rd| dif::Instruction::decode(word(r1, r2, rd));
        let (reads_r1, reads_r2, writes, reads_rd) = match opcode.operands() {
            Shape::None | Shape::Branch => (false, false, false, false),
            Shape::Three if opcode == Copys => (true, true, false, true),
            Shape::Three => (true, true, true, false),
            Shape::Two | Shape::Load => (true, false, true, false),
            Shape::Compare => (true, true, false, false),
            Shape::Test => (true, false, false, false),
            Shape::Store => (true, false, false, true),
            Shape::Return | Shape::StoreVariable => (false, false, false, true),
            Shape::Integer | Shape::String | Shape::LoadVariable | Shape::Call => {
                (false, false, true, false)
            }
            Shape::Translator => (false, false, true, false),
            Shape::LoadElement => (false, true, true, false),
            Shape::Push => (false, true, false, true),
        };
        let name = opcode.name();
        assert!(decode(1, 1, 1).is_ok(), "{name}");
        let bad = Err(Undecodable::Register(8));
        let check = |reads: bool, decoded: Result<_, _>| match reads {
            true => assert_eq!(decoded, bad, "{name}"),
            false => assert!(decoded.is_ok(), "{name}"),
        };
        check(reads_r1, decode(8, 1, 1));
        check(reads_r2, decode(1, 8, 1));
        check(writes || reads_rd, decode(1, 1, 8));
        match writes {
            true => assert_eq!(decode(1, 1, 0), Err(Undecodable::WritesR0), "{name}"),
            false => assert!(decode(1, 1, 0).is_ok(), "{name}"),
        }
    }
}

#[test]
fn branches() {
    assert_eq!(
        reason(Code::new().branch(Ba, 0).ret(0)),
        Reason::Backward(0)
    );
    let back = Code::new().op(Nop, 0, 0, 0).branch(Be, 0).ret(0);
    assert_eq!(reason(back), Reason::Backward(0));
    assert_eq!(reason(Code::new().branch(Ba, 2).ret(0)), Reason::Outside(2));
    let far = Code::new().branch(Bg, 0xff_ffff).ret(0);
    assert_eq!(reason(far), Reason::Outside(0xff_ffff));
    assert_eq!(value(Code::new().branch(Ba, 1).ret(0)), 0);
}

#[test]
fn the_object_as_a_whole() {
    assert_eq!(reason(Code::new()), Reason::Empty);
    assert_eq!(reason(Code::new().op(Nop, 0, 0, 0)), Reason::NoReturn);
    let last = Code::new().ret(0).op(Nop, 0, 0, 0);
    assert_eq!(refused(&last).place, Place::Instruction(1));
    let mut open = Code::new().ret(0);
    open.strings = b"\0open".to_vec();
    assert_eq!(reason(open), Reason::StringsUnterminated);
    let mut long = Code::new();
    long.words = vec![u32::from(Nop.raw()) << 24; 16_384];
    assert_eq!(reason(long.ret(0)), Reason::TooLong(16_384));
    let code = Code::new().ret(0);
    for strsize in [0, MAX_STRSIZE + 1] {
        let limits = Limits {
            strsize,
            ..Limits::default()
        };
        let refused = validate(code.object(), &Declarations::default(), &limits).unwrap_err();
        assert_eq!(
            (refused.place, refused.reason),
            (Place::Object, Reason::Strsize(strsize))
        );
    }
}

#[test]
fn return_types() {
    let returning = |kind, flags, size| {
        Code::new().ret(0).returns(DifType {
            kind,
            flags,
            size,
            ..DifType::INT64
        })
    };
    assert_eq!(reason(returning(2, 0, 8)), Reason::ReturnType(2));
    assert_eq!(
        reason(returning(TYPE_STRING, 0, 8)),
        Reason::ReturnType(TYPE_STRING)
    );
    assert_eq!(reason(returning(TYPE_CTF, 0, 9)), Reason::ReturnSize(9));
    let string = returning(TYPE_STRING, TYPE_BY_REF, MAX_STRSIZE + 1);
    assert_eq!(reason(string), Reason::ReturnSize(MAX_STRSIZE + 1));
    let data = returning(TYPE_CTF, TYPE_BY_REF, MAX_RESULT + 1);
    assert_eq!(reason(data), Reason::ReturnSize(MAX_RESULT + 1));
    let state = State::new();
    for good in [
        returning(TYPE_CTF, 0, 0),
        returning(TYPE_CTF, TYPE_BY_REF, MAX_RESULT),
        returning(TYPE_STRING, TYPE_BY_REF, MAX_STRSIZE),
    ] {
        assert!(state.validate(&good).is_ok());
    }
    let string = returning(TYPE_STRING, TYPE_BY_REF, 0);
    assert_eq!(state.validate(&string).unwrap().result_size(77), 77);
}

#[test]
fn tables() {
    assert_eq!(
        reason(Code::new().set(1, 5).indexed(Setx, 1, 1).ret(1)),
        Reason::Integer(1)
    );
    assert_eq!(
        reason(Code::new().indexed(Sets, 1, 1).ret(1)),
        Reason::String(1)
    );
    let mut none = Code::new().indexed(Sets, 0, 1).ret(1);
    none.strings.clear();
    assert_eq!(reason(none), Reason::String(0));
}

#[test]
fn variables_that_nobody_declared() {
    let number = ID as u16;
    for (opcode, scope) in [
        (Ldgs, Scope::Global),
        (Stgs, Scope::Global),
        (Ldts, Scope::Thread),
        (Stts, Scope::Thread),
        (Ldls, Scope::Local),
        (Stls, Scope::Local),
        (Ldgaa, Scope::Global),
        (Stgaa, Scope::Global),
        (Ldtaa, Scope::Thread),
        (Sttaa, Scope::Thread),
    ] {
        for number in [number, u16::MAX] {
            let code = Code::new().indexed(opcode, number, 1).ret(0);
            assert_eq!(reason(code), Reason::Undeclared(scope, number));
        }
    }
    // Of the other kind.
    let scalar = Code::new().declares(SCOPE_GLOBAL, KIND_SCALAR, ID, DifType::INT64);
    let as_array = scalar.clone().indexed(Ldgaa, number, 1).ret(1);
    assert_eq!(reason(as_array), Reason::Undeclared(Scope::Global, number));
    // Of another scope.
    let as_local = scalar.indexed(Ldls, number, 1).ret(1);
    assert_eq!(reason(as_local), Reason::Undeclared(Scope::Local, number));
    // Thread and clause-local ones are never built in.
    let low = Code::new().indexed(Ldts, 0x101, 1).ret(1);
    assert_eq!(reason(low), Reason::Undeclared(Scope::Thread, 0x101));
}

#[test]
fn built_ins() {
    let load = |number| Code::new().indexed(Ldgs, number, 1).ret(1);
    for number in [0, 1, 2, 0x80, 0xff, 0x122, 0x4ff] {
        assert_eq!(reason(load(number)), Reason::NoBuiltIn(number));
    }
    let store = Code::new().indexed(Stgs, 0x101, 1).ret(1);
    assert_eq!(reason(store), Reason::BuiltInWritten(0x101));
    let array = |opcode, number| Code::new().op(opcode, number, 0, 1).ret(1);
    assert_eq!(
        reason(array(Ldga, 1)).to_string(),
        "regs[] is not supported"
    );
    assert_eq!(reason(array(Ldga, 3)), Reason::Array(Scope::Global, 3));
    assert_eq!(reason(array(Ldta, 0)), Reason::Array(Scope::Thread, 0));
}

#[test]
fn tuples_and_subroutines() {
    for opcode in [Pushtr, Pushtv] {
        let code = Code::new().op(opcode, 2, 0, 1).ret(0);
        assert_eq!(reason(code), Reason::TupleType(2));
    }
    let call = |number| Code::new().indexed(Call, number, 1).ret(1);
    assert_eq!(reason(call(46)), Reason::NoSubroutine(46));
    let copyout = refused(&call(Subroutine::Copyout.raw()));
    assert_eq!(
        copyout.to_string(),
        "DIF instruction 0: copyout() is not supported"
    );
    let translator = Code::new().indexed(Xlate, 0, 1).ret(1);
    assert_eq!(reason(translator), Reason::Translator);
}

#[test]
fn declarations() {
    let declare = |scope, kind, id, of_type| {
        let code = Code::new().declares(scope, kind, id, of_type);
        State::new().declare(&code)
    };
    let int = DifType::INT64;
    use BadDeclaration as Bad;
    assert_eq!(declare(3, KIND_SCALAR, ID, int), Err(Bad::Scope(3)));
    assert_eq!(declare(SCOPE_GLOBAL, 2, ID, int), Err(Bad::Kind(2)));
    assert_eq!(
        declare(SCOPE_GLOBAL, KIND_SCALAR, 0x1_0000, int),
        Err(Bad::Number(0x1_0000))
    );
    assert_eq!(
        declare(SCOPE_LOCAL, KIND_ARRAY, ID, int),
        Err(Bad::LocalArray)
    );
    for (of_type, why) in [
        (DifType { kind: 2, ..int }, Bad::Type(2)),
        (DifType::integer(9), Bad::Size(9)),
        (DifType::string(4097), Bad::Size(4097)),
        (
            DifType {
                flags: 0,
                ..DifType::string(8)
            },
            Bad::Size(8),
        ),
        (
            DifType {
                flags: TYPE_BY_REF,
                ..DifType::integer(0)
            },
            Bad::Size(0),
        ),
    ] {
        assert_eq!(declare(SCOPE_GLOBAL, KIND_SCALAR, ID, of_type), Err(why));
    }
    // Built-ins in the table are passed over.
    assert_eq!(declare(SCOPE_GLOBAL, KIND_SCALAR, 0x101, int), Ok(()));
    assert_eq!(declare(SCOPE_GLOBAL, KIND_ARRAY, 0, int), Ok(()));
}

#[test]
fn declared_twice() {
    let scalar = |of_type| Code::new().declares(SCOPE_GLOBAL, KIND_SCALAR, ID, of_type);
    let mut state = State::new();
    let once = scalar(DifType::string(0));
    state.declare(&once).unwrap();
    let words = state.globals.1;
    state.declare(&once).unwrap();
    assert_eq!(state.globals.1, words, "memory is taken once");
    for other in [
        scalar(DifType::string(8)),
        scalar(DifType::INT64),
        Code::new().declares(SCOPE_GLOBAL, KIND_ARRAY, ID, DifType::string(0)),
    ] {
        assert_eq!(state.declare(&other), Err(BadDeclaration::Conflict));
    }
    // Scopes have numbers of their own.
    let local = Code::new().declares(SCOPE_LOCAL, KIND_SCALAR, ID, DifType::INT64);
    state.declare(&local).unwrap();
}

#[test]
fn a_variable_in_the_table_is_checked() {
    let mut code = Code::new()
        .declares(SCOPE_GLOBAL, KIND_SCALAR, ID, DifType::INT64)
        .ret(0);
    code.variables[0].name = 99;
    let refusal = refused(&code);
    assert_eq!(
        (refusal.place, refusal.reason),
        (Place::Variable(0), Reason::Name(99))
    );
    code.variables[0].name = 0;
    // Not declared to the state.
    let refusal = State::new().validate(&code).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "DIF variable 0: global variable 0x500 is not declared so"
    );
}
