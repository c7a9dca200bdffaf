// SPDX-License-Identifier: GPL-2.0
//! Where things are in the repository and in `target/`.

use std::path::PathBuf;

/// The repository's top folder.
pub fn root() -> PathBuf {
    // Compiled from xtask/: its parent is the top. An environment variable set by cargo at run
    // time would not survive running the binary directly.
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}

/// cargo's output folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => std::env::current_dir().unwrap_or_default().join(folder),
        None => root().join("target"),
    }
}

/// Where the kernel sources are staged and built: a folder per series.
pub fn kbuild() -> PathBuf {
    target().join("kbuild")
}

/// Finished modules: a folder per series.
pub fn modules() -> PathBuf {
    target().join("modules")
}

/// Logs of builds and guests.
pub fn logs() -> PathBuf {
    target().join("logs")
}
