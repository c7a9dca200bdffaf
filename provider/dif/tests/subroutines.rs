// SPDX-License-Identifier: GPL-2.0
//! Every subroutine, against what D says of it or a slow reference.

mod support;

use dif::{DifType, FaultKind};
use dtrace_interface::dif::*;
use dtrace_interface::opcode::Opcode::*;
use dtrace_interface::subroutine::Subroutine::{self, *};
use support::*;

/// An argument of a call.
enum Arg<'a> {
    Number(i64),
    Text(&'a str),
}
use Arg::{Number, Text};

fn calling(subroutine: Subroutine, arguments: &[Arg<'_>]) -> Code {
    let mut code = Code::new();
    // Something else on the stack must not count.
    code = code.push(0).flush();
    for argument in arguments {
        code = match argument {
            Number(number) => code.set(1, *number as u64).push(1),
            Text(text) => code.string(1, text).push_string(1),
        };
    }
    code.call(subroutine, 2).ret(2)
}

fn number(subroutine: Subroutine, arguments: &[Arg<'_>]) -> i64 {
    value(calling(subroutine, arguments)) as i64
}

fn text(subroutine: Subroutine, arguments: &[Arg<'_>]) -> String {
    string(calling(subroutine, arguments))
}

fn kind(subroutine: Subroutine, arguments: &[Arg<'_>]) -> FaultKind {
    fault(calling(subroutine, arguments)).kind
}

#[test]
fn numbers() {
    assert_eq!(number(Rand, &[]), 4);
    assert_eq!(number(Progenyof, &[Number(1)]), 1);
    assert_eq!(number(Progenyof, &[Number(2)]), 0);
    for (subroutine, result) in [
        (Htons, 0x7788u16.to_be() as i64),
        (Ntohs, 0x8877),
        (Htonl, 0x8877_6655),
        (Ntohl, 0x8877_6655),
        (Htonll, 0x8877_6655_4433_2211_u64 as i64),
        (Ntohll, 0x8877_6655_4433_2211_u64 as i64),
    ] {
        assert_eq!(number(subroutine, &[Number(0x1122_3344_5566_7788)]), result);
    }
}

#[test]
fn arguments_that_are_missing() {
    for subroutine in Subroutine::ALL
        .iter()
        .copied()
        .filter(|one| dif::is_supported(*one))
    {
        if subroutine != Rand {
            assert_eq!(
                kind(subroutine, &[]),
                FaultKind::IllegalOperation,
                "{subroutine:?}"
            );
        }
    }
}

#[test]
fn unsupported_ones_fault_if_they_come_that_far() {
    for subroutine in Subroutine::ALL
        .iter()
        .copied()
        .filter(|one| !dif::is_supported(*one))
    {
        let code = calling(subroutine, &[Number(1), Number(1)]);
        let mut state = State::new();
        let refused = state.validate(&code).unwrap_err();
        assert!(refused.to_string().contains(subroutine.name()), "{refused}");
        let program = dif::Program::from_validated(code.object(), Default::default());
        let fault = dif::Machine::new(state.memory(), tuple())
            .run(&program, &mut Fake::new())
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::IllegalOperation);
    }
}

#[test]
fn user_memory() {
    let user = USER as i64;
    assert_eq!(text(Copyinstr, &[Number(user)]), "user string");
    assert_eq!(text(Copyinstr, &[Number(user + 12)]), "and more");
    assert_eq!(text(Copyinstr, &[Number(user), Number(5)]), "user");
    assert_eq!(text(Copyinstr, &[Number(user), Number(0)]), "");
    assert_eq!(kind(Copyinstr, &[Number(0)]), FaultKind::BadAddress);
    assert_eq!(kind(Copyin, &[Number(0), Number(1)]), FaultKind::BadAddress);
    assert_eq!(
        kind(Copyin, &[Number(user), Number(5000)]),
        FaultKind::NoScratch
    );
    let into_null = [Number(user), Number(4), Number(0)];
    assert_eq!(kind(Copyinto, &into_null), FaultKind::BadAddress);
    let code = calling(Copyin, &[Number(user + 5), Number(6)]);
    let data = DifType {
        kind: TYPE_CTF,
        flags: TYPE_BY_REF,
        size: 6,
        ..DifType::INT64
    };
    let (_, record) = State::new().run(&code.returns(data)).unwrap();
    assert_eq!(record, b"string");
    let code = Code::new()
        .set(1, 8)
        .op(Allocs, 1, 0, 2)
        .set(3, USER + 12)
        .push(3)
        .set(3, 3)
        .push(3)
        .push(2)
        .call(Copyinto, 3)
        .ret(2);
    assert_eq!(string(code), "and");
}

#[test]
fn a_user_string_that_is_longer_than_strsize() {
    let mut fake = Fake::new();
    fake.user = vec![b'z'; 200];
    let code = calling(Copyinstr, &[Number(USER as i64)]).returns(DifType::string(0));
    let (_, record) = State::new().run_with(&code, &mut fake).unwrap();
    let mut expected = vec![b'z'; STRSIZE as usize - 1];
    expected.push(0);
    assert_eq!(record, expected);
}

#[test]
fn scratch() {
    let code = calling(Alloca, &[Number(16)]);
    assert_eq!(value(code), dif::Window::Scratch.address(0));
    assert_eq!(kind(Alloca, &[Number(-1)]), FaultKind::NoScratch);
    let code = Code::new()
        .set(1, 16)
        .op(Allocs, 1, 0, 2)
        .set(3, KERNEL + 7)
        .push(3)
        .push(2)
        .set(3, 8)
        .push(3)
        .call(Bcopy, 3)
        .op(Ldx, 2, 0, 4)
        .ret(4);
    assert_eq!(value(code), 0x0e0d_0c0b_0a09_0807);
    let to_kernel = [Number(KERNEL as i64), Number(KERNEL as i64), Number(1)];
    assert_eq!(kind(Bcopy, &to_kernel), FaultKind::BadAddress);
}

#[test]
fn lengths_and_joins() {
    assert_eq!(number(Strlen, &[Text("")]), 0);
    assert_eq!(number(Strlen, &[Text("hello")]), 5);
    assert_eq!(
        number(Strlen, &[Text(&"x".repeat(100))]),
        i64::from(STRSIZE)
    );
    assert_eq!(text(Strjoin, &[Text("ab"), Text("cd")]), "abcd");
    assert_eq!(text(Strjoin, &[Text(""), Text("")]), "");
    let half = "h".repeat(40);
    assert_eq!(
        text(Strjoin, &[Text(&half), Text(&half)]),
        "h".repeat(STRSIZE as usize - 1)
    );
    assert_eq!(kind(Strlen, &[Number(0)]), FaultKind::BadAddress);
    assert_eq!(
        kind(Strjoin, &[Text("a"), Number(0)]),
        FaultKind::BadAddress
    );
}

#[test]
fn numbers_as_strings() {
    for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
        assert_eq!(text(Lltostr, &[Number(number)]), number.to_string());
        let in_base = |base| text(Lltostr, &[Number(number), Number(base)]);
        assert_eq!(in_base(10), number.to_string());
        assert_eq!(in_base(16), format!("{number:#x}"));
        assert_eq!(
            in_base(2),
            format!("{number:b}")[..]
                .chars()
                .take(63)
                .collect::<String>()
        );
        let octal = match number {
            0 => "0".into(),
            _ => format!("0{number:o}"),
        };
        assert_eq!(in_base(8), octal);
    }
    assert_eq!(text(Lltostr, &[Number(35), Number(36)]), "z");
    for base in [0, 1, 37, -1] {
        assert_eq!(
            kind(Lltostr, &[Number(1), Number(base)]),
            FaultKind::IllegalOperation
        );
    }
}

#[test]
fn bytes_of_strings() {
    let from = |subroutine, byte: char| text(subroutine, &[Text("a/b/c"), Number(byte as i64)]);
    assert_eq!(from(Strchr, '/'), "/b/c");
    assert_eq!(from(Strrchr, '/'), "/c");
    assert_eq!(from(Strchr, '\0'), "");
    assert_eq!(from(Strrchr, '\0'), "");
    assert_eq!(number(Strchr, &[Text("abc"), Number(i64::from(b'x'))]), 0);
    assert_eq!(number(Strrchr, &[Text("abc"), Number(i64::from(b'x'))]), 0);
    assert_eq!(
        text(Strstr, &[Text("a needle in"), Text("needle")]),
        "needle in"
    );
    assert_eq!(text(Strstr, &[Text("abc"), Text("")]), "abc");
    assert_eq!(number(Strstr, &[Text("abc"), Text("abcd")]), 0);
}

/// Strings of few letters, so that parts of them repeat.
fn strings(longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let to = all.len();
        for at in from..to {
            for letter in ["a", "b"] {
                all.push(all[at].clone() + letter);
            }
        }
        from = to;
    }
    all
}

#[test]
fn positions() {
    let mut state = State::new();
    let mut number = |subroutine, arguments: &[Arg<'_>]| {
        let (value, _) = state.run(&calling(subroutine, arguments)).unwrap();
        value as i64
    };
    for string in strings(5) {
        for part in strings(3) {
            let length = string.len() as i64;
            for from in -1..=length + 1 {
                let begins: Vec<i64> = (0..=string.len())
                    .filter(|at| string[*at..].starts_with(&part))
                    .map(|at| at as i64)
                    .collect();
                let first = match part.is_empty() {
                    true => from.clamp(0, length),
                    false => begins.iter().copied().find(|at| *at >= from).unwrap_or(-1),
                };
                let last = match (part.is_empty(), from < 0) {
                    (true, _) => from.clamp(0, length),
                    (false, true) => -1,
                    (false, false) => begins.iter().copied().rfind(|at| *at <= from).unwrap_or(-1),
                };
                let arguments = [Text(&string), Text(&part), Number(from)];
                let what = format!("{string:?} {part:?} {from}");
                assert_eq!(number(Index, &arguments), first, "index {what}");
                assert_eq!(number(Rindex, &arguments), last, "rindex {what}");
            }
            let find = |at: Option<usize>| at.map_or(-1, |at| at as i64);
            let arguments = [Text(&string), Text(&part)];
            assert_eq!(number(Index, &arguments), find(string.find(&part)));
            assert_eq!(number(Rindex, &arguments), find(string.rfind(&part)));
        }
    }
}

#[test]
fn parts() {
    for (arguments, result) in [
        ((0, None), "abcdef"),
        ((2, None), "cdef"),
        ((6, None), ""),
        ((9, None), ""),
        ((-2, None), "ef"),
        ((-9, None), "abcdef"),
        ((1, Some(2)), "bc"),
        ((1, Some(0)), ""),
        ((1, Some(99)), "bcdef"),
        ((1, Some(-1)), "bcde"),
        ((1, Some(-5)), ""),
        ((1, Some(-9)), ""),
        ((-4, Some(2)), "cd"),
        ((-4, Some(-1)), "cde"),
        ((-8, Some(3)), "a"),
        ((-8, Some(1)), ""),
        ((i64::MIN, Some(i64::MAX)), "abcde"),
        ((i64::MAX, Some(i64::MAX)), ""),
        ((i64::MAX, Some(i64::MIN)), ""),
        ((i64::MIN, Some(i64::MIN)), ""),
    ] {
        let mut list = vec![Text("abcdef"), Number(arguments.0)];
        list.extend(arguments.1.map(Number));
        assert_eq!(text(Substr, &list), result, "{arguments:?}");
    }
}

#[test]
fn tokens() {
    // All tokens of a string, joined.
    let tokens = |string: &str, separators: &str| {
        let mut code = Code::new().string(3, string).string(4, separators);
        code = code.push_string(3).push_string(4).call(Strtok, 1).flush();
        let mut found = vec![];
        for _ in 0..6 {
            let one = code.clone().ret(1);
            if value(one.clone()) == 0 {
                break;
            }
            found.push(support::string(one));
            code = code.push(0).push_string(4).call(Strtok, 1).flush();
        }
        found
    };
    assert_eq!(tokens("a,b,,c", ","), ["a", "b", "c"]);
    assert_eq!(tokens(",;a;,b;", ",;"), ["a", "b"]);
    assert_eq!(tokens("abc", ","), ["abc"]);
    assert_eq!(tokens("", ","), [] as [&str; 0]);
    assert_eq!(tokens(",,,", ","), [] as [&str; 0]);
    assert_eq!(tokens("a b", ""), ["a b"]);
    assert_eq!(number(Strtok, &[Number(0), Text(",")]), 0);
}

#[test]
fn file_names() {
    for (path, base, directory) in [
        ("/foo/bar", "bar", "/foo"),
        ("/foo/bar/", "bar", "/foo"),
        ("/foo//bar//", "bar", "/foo"),
        ("/foo", "foo", "/"),
        ("//foo", "foo", "/"),
        ("foo", "foo", "."),
        ("foo/", "foo", "."),
        ("foo/bar", "bar", "foo"),
        ("/", "/", "/"),
        ("///", "/", "/"),
        ("", ".", "."),
        (".", ".", "."),
        ("..", "..", "."),
        ("/a/b/c", "c", "/a/b"),
    ] {
        assert_eq!(text(Basename, &[Text(path)]), base, "basename {path:?}");
        assert_eq!(text(Dirname, &[Text(path)]), directory, "dirname {path:?}");
    }
}

#[test]
fn clean_paths() {
    for (path, clean) in [
        ("", ""),
        ("/", "/"),
        ("//", "/"),
        ("/a/b", "/a/b"),
        ("/a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/../../c", "/c"),
        ("/../a", "/a"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/", "/a/"),
        ("a/../b", "b"),
        ("a/./b", "a/b"),
        ("./a", "a"),
        ("../a", "../a"),
        ("../../a", "../../a"),
        ("a/../../b", "../b"),
        ("a/..", ""),
        ("...", "..."),
        ("/a/.../b", "/a/.../b"),
        ("/a/..b/c.", "/a/..b/c."),
    ] {
        assert_eq!(text(Cleanpath, &[Text(path)]), clean, "{path:?}");
    }
}

#[test]
fn strings_need_scratch() {
    let strings: &[(Subroutine, &[Arg<'_>])] = &[
        (Strjoin, &[Text("ab"), Text("cd")]),
        (Lltostr, &[Number(123)]),
        (Substr, &[Text("abc"), Number(0)]),
        (Strtok, &[Text("abc"), Text(",")]),
        (Basename, &[Text("abc")]),
        (Dirname, &[Text("/abc/def")]),
        (Cleanpath, &[Text("/abc")]),
        (Copyinstr, &[Number(USER as i64)]),
        (Strstr, &[Text("abc"), Text("c")]),
        (Index, &[Text("abc"), Text("c")]),
        (Rindex, &[Text("abc"), Text("c")]),
    ];
    for (subroutine, arguments) in strings {
        let code = calling(*subroutine, arguments);
        let mut state = State::new();
        state.scratch = vec![0; 2];
        let fault = state.run(&code).unwrap_err();
        assert_eq!(fault.kind, FaultKind::NoScratch, "{subroutine:?}");
    }
}

#[test]
fn a_program_touches_so_much_and_no_more() {
    let mut code = Code::new().set(1, 4000).op(Allocs, 1, 0, 2).set(3, 2000);
    let half = dif::Window::Scratch.address(2000);
    code = code.set(4, half);
    let first = code.words.len() as u32;
    // 4000 bytes each: half read, half written.
    let copies = dif::MAX_TOUCHED / 4000 + 1;
    for _ in 0..copies {
        code = code.op(Copys, 4, 3, 2);
    }
    let fault = fault(code.clone().ret(0));
    assert_eq!(fault.kind, FaultKind::IllegalOperation);
    assert_eq!(fault.instruction, first + copies - 2);
    code.words.truncate((first + copies - 2) as usize);
    value(code.ret(0));
}

/// The environment asserts that no read of it crosses pages.
#[test]
fn reads_stay_within_a_page() {
    let mut fake = Fake::new();
    fake.kernel = vec![b'k'; 8192];
    let mut state = State::new();
    let copied = Code::new()
        .set(1, 128)
        .op(Allocs, 1, 0, 2)
        .set(3, KERNEL + 4090)
        .op(Copys, 3, 1, 2)
        .op(Ldx, 3, 0, 4)
        .ret(4);
    let (value, _) = state.run_with(&copied, &mut fake).unwrap();
    assert_eq!(value, u64::from_ne_bytes([b'k'; 8]));
    // A string that ends with the page, the next being away.
    fake.kernel.truncate(4096);
    fake.kernel[4095] = 0;
    for length in [0, 1, 40] {
        let code = Code::new()
            .set(1, KERNEL + 4095 - length)
            .push(1)
            .call(Strlen, 2)
            .ret(2);
        assert_eq!(state.run_with(&code, &mut fake).unwrap().0, length);
    }
    assert_eq!(fake.refused, 0);
}
