// SPDX-License-Identifier: GPL-2.0
//! `seeds FOLDER`: writes files there that a fuzzer of the loader begins with.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    std::fs::create_dir_all(&folder)?;
    let sample = common::sample()
        .to_bytes()
        .expect("the sample can be written");
    std::fs::write(format!("{folder}/sample"), sample)?;
    let options = dof::options_image(&[1; 30]);
    std::fs::write(format!("{folder}/options"), options)
}
