// SPDX-License-Identifier: GPL-2.0
//! Any bytes are loaded or refused, and what is loaded can be read.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match dof::load(bytes) {
        Ok(description) => {
            common::read_all(&description);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
