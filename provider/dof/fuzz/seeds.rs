// SPDX-License-Identifier: GPL-2.0
//! Writes files to begin with into corpus/load.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/load");
    std::fs::create_dir_all(folder)?;
    let sample = common::sample()
        .to_bytes()
        .expect("the sample can be written");
    std::fs::write(format!("{folder}/sample"), sample)?;
    let options = dof::options_image(&[1; 30]);
    std::fs::write(format!("{folder}/options"), options)
}
