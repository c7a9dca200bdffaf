// SPDX-License-Identifier: GPL-2.0
//! A fuzzer's bytes as a program: its words as they are, a program in order, or one of those spoilt.

use crate::support::programs::{mutate, valid, Source};
use crate::support::Code;
use dtrace_interface::dif::{DifType, Variable};
use dtrace_interface::Plain;

/// Choices made by bytes; 0 when there are no more.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> u64 {
        let (now, later) = self.0.split_at(count.min(self.0.len()));
        self.0 = later;
        let mut bytes = [0; 8];
        bytes[..now.len()].copy_from_slice(now);
        u64::from_le_bytes(bytes)
    }
}

impl Source for Choices<'_> {
    fn next(&mut self) -> u64 {
        self.take(8)
    }

    fn below(&mut self, n: u64) -> u64 {
        let bytes = match n {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        self.take(bytes) % n
    }
}

/// How a program came about.
#[derive(Debug, PartialEq, Eq)]
pub enum Origin {
    /// The bytes are its tables.
    Raw,
    /// Validation must take it.
    InOrder,
    /// Of one in order.
    Spoilt,
}

pub fn program(choices: &mut Choices<'_>) -> (Code, Origin) {
    match choices.below(8) {
        0..=2 => (raw(choices), Origin::Raw),
        3 | 4 => (valid(choices), Origin::InOrder),
        _ => {
            let mut code = valid(choices);
            for _ in 0..1 + choices.below(3) {
                mutate(&mut code, choices);
            }
            (code, Origin::Spoilt)
        }
    }
}

fn plain<T: Plain>(choices: &mut Choices<'_>) -> T {
    let bytes: Vec<u8> = (0..T::SIZE).map(|_| choices.take(1) as u8).collect();
    T::from_bytes(&bytes).expect("as many bytes as it has")
}

fn raw(choices: &mut Choices<'_>) -> Code {
    let mut code = Code::new();
    code.return_type = match choices.below(4) {
        0 => DifType::string(0),
        1 => plain(choices),
        _ => DifType::INT64,
    };
    code.integers = (0..choices.below(8)).map(|_| choices.next()).collect();
    code.strings = (0..choices.below(32))
        .map(|_| choices.take(1) as u8)
        .collect();
    if choices.chance(90) {
        code.strings.push(0);
    }
    code.variables = (0..choices.below(4)).map(|_| variable(choices)).collect();
    // The rest.
    while !choices.0.is_empty() && code.words.len() < 64 {
        code.words.push(choices.take(4) as u32);
    }
    code
}

/// Mostly one of few numbers, so that instructions and other variables find it.
fn variable(choices: &mut Choices<'_>) -> Variable {
    if choices.chance(10) {
        return plain(choices);
    }
    let types = [
        DifType::INT64,
        DifType::string(0),
        DifType::string(7),
        DifType::integer(4),
    ];
    Variable {
        name: choices.below(3) as u32,
        id: 0x500 + choices.below(4) as u32,
        kind: choices.below(2) as u8,
        scope: choices.below(3) as u8,
        flags: 0,
        variable_type: choices.pick(&types),
    }
}
