// SPDX-License-Identifier: GPL-2.0
//! Any program is taken or refused; what is taken keeps the rules, what is refused is told where and why.
#![no_main]

#[path = "../input.rs"]
mod input;
#[path = "../rules.rs"]
mod rules;
#[path = "../../tests/support/mod.rs"]
mod support;

use dif::{validate, Limits, Place};
use input::{Choices, Origin};
use support::programs::Source;
use support::State;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let limits = Limits {
        strsize: choices.pick(&[64, 64, 64, 1, 4096, 0, 4097, u32::MAX]),
        instructions: choices.pick(&[16_384, 16_384, 16_384, 8]),
    };
    let (code, origin) = input::program(&mut choices);
    let mut state = State::new();
    state.strsize = limits.strsize;
    let is_declared = state.declare(&code).is_ok();
    match validate(code.object(), &state.declared(), &limits) {
        Ok(program) => {
            rules::hold(&code);
            assert!(code.words.len() <= limits.instructions as usize);
            assert!((1..=4096).contains(&limits.strsize));
            assert!(program.result_size(limits.strsize) <= 65_536);
        }
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            match refusal.place {
                Place::Object => {}
                Place::Instruction(index) => assert!((index as usize) < code.words.len()),
                Place::Variable(index) => assert!((index as usize) < code.variables.len()),
            }
            let usual = limits.strsize == 64 && limits.instructions == 16_384;
            assert!(
                !usual || !is_declared || origin != Origin::InOrder,
                "{refusal}"
            );
        }
    }
});
