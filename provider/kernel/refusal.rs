// SPDX-License-Identifier: GPL-2.0
//! A line of text that the ioctl REFUSAL gives out: ENABLE, PROBES and PROBEMATCH write it, from another
//! thread maybe.
#![forbid(unsafe_code)]

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// Bytes of it.
pub(crate) const SIZE: usize = 248;

/// The line. Threads that write it at a time mix it up, and do no other harm: so Relaxed throughout.
pub(crate) struct Text {
    bytes: [AtomicU8; SIZE],
    length: AtomicUsize,
}

impl Text {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; SIZE],
            length: AtomicUsize::new(0),
        }
    }

    /// Empties it.
    pub(crate) fn clear(&self) {
        self.length.store(0, Relaxed);
    }

    /// Writes it anew, cut where it is too long.
    pub(crate) fn set(&self, what: &dyn fmt::Display) {
        self.clear();
        let _ = write!(Writer(self), "{what}");
    }

    /// It.
    pub(crate) fn get(&self) -> (u32, [u8; SIZE]) {
        let length = self.length.load(Relaxed).min(SIZE);
        let mut bytes = [0; SIZE];
        for (to, from) in bytes.iter_mut().zip(&self.bytes).take(length) {
            *to = from.load(Relaxed);
        }
        (length as u32, bytes)
    }
}

struct Writer<'a>(&'a Text);

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let at = self.0.length.load(Relaxed);
            self.0.bytes.get(at).ok_or(fmt::Error)?.store(byte, Relaxed);
            self.0.length.store(at.saturating_add(1), Relaxed);
        }
        Ok(())
    }
}
