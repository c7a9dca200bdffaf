// SPDX-License-Identifier: GPL-2.0
//! What dtrace.ko says it holds, in its parameters.
#![forbid(unsafe_code)]

use std::fmt;

/// Where they are.
const FOLDER: &str = "/sys/module/dtrace/parameters";

/// What is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Open files.
    pub consumers: u64,
    /// Their memory.
    pub bytes: u64,
    /// Their allocations.
    pub objects: u64,
    /// Timers of probes.
    pub timers: u64,
    /// Tracepoints that are registered.
    pub tracepoints: u64,
}

impl Held {
    /// As it is now.
    pub fn now() -> Self {
        let read = |name: &str| {
            let path = format!("{FOLDER}/{name}");
            let text = std::fs::read_to_string(&path);
            let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
            text.trim()
                .parse()
                .unwrap_or_else(|_| panic!("{path}: {text}"))
        };
        Self {
            consumers: read("consumers"),
            bytes: read("held_bytes"),
            objects: read("held_objects"),
            timers: read("timers"),
            tracepoints: read("tracepoints"),
        }
    }

    /// Panics unless that is nothing.
    pub fn assert_nothing(when: &str) {
        let now = Self::now();
        assert_eq!(now, Self::default(), "held {when}");
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} consumers, {} bytes in {} objects, {} timers, {} tracepoints",
            self.consumers, self.bytes, self.objects, self.timers, self.tracepoints
        )
    }
}
