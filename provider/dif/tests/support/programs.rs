// SPDX-License-Identifier: GPL-2.0
//! Programs that validation takes, made of choices; and what spoils them.
#![allow(dead_code)]

use super::*;
use dtrace_interface::opcode::Operands;

/// Where choices come from.
pub trait Source {
    /// Any number.
    fn next(&mut self) -> u64;

    /// A number less than `n`, which is not 0.
    fn below(&mut self, n: u64) -> u64;

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const ID: u16 = OTHER_USER_BASE;

/// Numbers that lead somewhere, or just beside.
fn interesting(random: &mut impl Source) -> u64 {
    let bases = [
        0,
        1,
        8,
        63,
        u64::from(STRSIZE),
        1 << 31,
        i64::MAX as u64,
        u64::MAX,
        KERNEL,
        KERNEL + 255,
        USER,
        USER + 21,
        Window::Scratch.address(0),
        Window::Scratch.address(4096),
        Window::Scratch.address(u32::MAX),
        Window::Strings.address(0),
        Window::Globals.address(0),
        Window::Globals.address(64),
        Window::Locals.address(0),
        Window::Dynamic.address(0),
        Window::Dynamic.address(400),
        Window::Dynamic.address(4096 * 8),
    ];
    let near = random.below(9).wrapping_sub(4);
    match random.chance(70) {
        true => random.pick(&bases).wrapping_add(near),
        false => random.next() >> random.below(64),
    }
}

/// A program that validation takes.
pub fn valid(random: &mut impl Source) -> Code {
    let by_ref = DifType {
        kind: TYPE_CTF,
        flags: TYPE_BY_REF,
        size: 1 + random.below(40) as u32,
        ..DifType::INT64
    };
    let types = [DifType::INT64, DifType::string(0), by_ref];
    let mut code = Code::new();
    for scope in [SCOPE_GLOBAL, SCOPE_THREAD, SCOPE_LOCAL] {
        for n in 0..3 {
            let array = n == 2 && scope != SCOPE_LOCAL;
            let kind = match array {
                true => KIND_ARRAY,
                false => KIND_SCALAR,
            };
            let of_type = random.pick(&types);
            code = code.declares(scope, kind, u32::from(ID) + n, of_type);
        }
    }
    // The first lead to memory there is, or are small.
    code.integers = vec![KERNEL + 8, USER, 8, 3];
    code.integers.extend((0..8).map(|_| interesting(random)));
    code.strings = b"\0a\0/usr/../bin//x/\0,;\0needle in a haystack\0".to_vec();
    let length = 2 + random.below(40);
    for _ in 0..length {
        let opcode = loop {
            let opcode = random.pick(Opcode::ALL);
            let rare = [Opcode::Xlate, Opcode::Xlarg, Opcode::Ldta];
            // A return now and then, so that programs have some length.
            if !rare.contains(&opcode) && (opcode != Opcode::Ret || random.chance(10)) {
                break opcode;
            }
        };
        // Seven registers are written; few are used, so that values meet.
        let read = random.below(5) as u8;
        let other = random.below(5) as u8;
        let written = 1 + random.below(4) as u8;
        code = prepared(code, random, opcode, read);
        code = match opcode.operands() {
            Operands::None => code.op(opcode, 0, 0, 0),
            Operands::Three if opcode == Opcode::Copys => code.op(opcode, read, other, written),
            Operands::Three => code.op(opcode, read, other, written),
            Operands::Two | Operands::Load => code.op(opcode, read, 0, written),
            Operands::Store => code.op(opcode, read, 0, other),
            Operands::Compare => code.op(opcode, read, other, 0),
            Operands::Test => code.op(opcode, read, 0, 0),
            Operands::Branch => {
                // What it leads to is appended if need be.
                let at = code.words.len() as u32;
                code.branch(opcode, at + 1 + random.below(6) as u32)
            }
            Operands::Return => code.op(opcode, 0, 0, read),
            Operands::Integer => {
                let index = random.below(code.integers.len() as u64) as u16;
                code.indexed(opcode, index, written)
            }
            Operands::String => {
                let offset = random.below(code.strings.len() as u64) as u16;
                code.indexed(opcode, offset, written)
            }
            Operands::LoadElement => {
                let known = [BuiltIn::Args, BuiltIn::Uregs];
                code.op(opcode, random.pick(&known).raw() as u8, read, written)
            }
            Operands::LoadVariable | Operands::StoreVariable => {
                let array = matches!(
                    opcode,
                    Opcode::Ldgaa | Opcode::Ldtaa | Opcode::Stgaa | Opcode::Sttaa
                );
                let scalars = match opcode {
                    Opcode::Ldls | Opcode::Stls => 3,
                    _ => 2,
                };
                let variable = match array {
                    true => ID + 2,
                    false if opcode == Opcode::Ldgs && random.chance(50) => {
                        let built_ins = BuiltIn::ALL.iter().filter(|one| !one.is_array());
                        let all: Vec<_> = built_ins.copied().collect();
                        random.pick(&all).raw()
                    }
                    false => ID + random.below(scalars) as u16,
                };
                let register = match opcode.operands() {
                    Operands::StoreVariable => read,
                    _ => written,
                };
                code.indexed(opcode, variable, register)
            }
            Operands::Call => {
                let supported = Subroutine::ALL.iter().filter(|one| is_supported(**one));
                let all: Vec<_> = supported.copied().collect();
                code.call(random.pick(&all), written)
            }
            Operands::Push => code.op(opcode, random.below(2) as u8, other, read),
            Operands::Translator => code,
        };
    }
    for _ in 0..6 {
        code = code.op(Opcode::Nop, 0, 0, 0);
    }
    code.ret(random.below(5) as u8).returns(random.pick(&types))
}

/// Mostly, what `opcode` reads is made fit for it, so that programs do not fault at once.
fn prepared(code: Code, random: &mut impl Source, opcode: Opcode, read: u8) -> Code {
    if random.chance(15) || read == 0 {
        return code;
    }
    match opcode.operands() {
        Operands::Load => {
            let user = opcode.name().starts_with('u');
            code.indexed(Opcode::Setx, u16::from(user), read)
        }
        Operands::LoadElement | Operands::Two => code.indexed(Opcode::Setx, 2, read),
        Operands::Call => {
            let mut code = code.flush();
            for _ in 0..1 + random.below(3) {
                code = match random.below(3) {
                    0 => code.indexed(Opcode::Sets, random.below(30) as u16, read),
                    1 => code.indexed(Opcode::Setx, 2 + random.below(2) as u16, read),
                    _ => code.indexed(Opcode::Setx, random.below(2) as u16, read),
                };
                code = code.push(read);
            }
            code
        }
        Operands::StoreVariable | Operands::Push | Operands::Compare => {
            code.indexed(Opcode::Sets, random.below(30) as u16, read)
        }
        _ => code,
    }
}

/// Changes some bits of a program, or cuts one of its tables.
pub fn mutate(code: &mut Code, random: &mut impl Source) {
    match random.below(8) {
        0..=3 => {
            let at = random.below(code.words.len() as u64) as usize;
            code.words[at] ^= 1 << random.below(32);
        }
        4 => {
            let at = random.below(code.words.len() as u64) as usize;
            code.words[at] = random.next() as u32;
        }
        5 => code
            .words
            .truncate(random.below(code.words.len() as u64 + 1).max(1) as usize),
        6 => code
            .strings
            .truncate(random.below(code.strings.len() as u64 + 1) as usize),
        _ => code.integers.truncate(random.below(9) as usize),
    }
}
