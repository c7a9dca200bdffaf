// SPDX-License-Identifier: GPL-2.0
//! `/sys/kernel/debug/xcall`: the counters as plain tables, and the self-test. docs/guide.md shows
//! them. Tables are for people and for `stress top`, which finds rows and columns by name.

use crate::platform::engine;
use crate::{selection, shim};
use core::fmt::{self, Write};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use xcall::selftest::SelfTest;
use xcall::tables;

/// How long a call of the self-test may take, and a doorbell to be heard, in nanoseconds.
const TRIAL_NS: u64 = 5_000_000_000;

static SELF_TEST: SelfTest = SelfTest::new(TRIAL_NS, TRIAL_NS);

/// A file being shown.
struct SeqFile(*mut c_void);

impl Write for SeqFile {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: The kernel's `seq_file`, valid while the file is shown; the text is readable.
        let errno = unsafe { shim::xcall_shim_seq_write(self.0, text.as_ptr().cast(), text.len()) };
        // When its buffer is full, the kernel shows the file once more, with a larger one.
        if errno != 0 {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

fn doorbells(to: &mut SeqFile) -> fmt::Result {
    let Some(engine) = engine() else {
        return Ok(());
    };
    writeln!(
        to,
        "{:<16} {:>8} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "doorbell", "offered", "nmi-safe", "ordinary", "maskable", "from-nmi", "heard", "empty"
    )?;
    for bell in (0..).map_while(|index| selection::describe(engine, index)) {
        let name =
            CStr::from_bytes_until_nul(&bell.name).map_or("?", |n| n.to_str().unwrap_or("?"));
        let says = |flag: u32| if bell.flags & flag != 0 { "yes" } else { "-" };
        writeln!(
            to,
            "{:<16} {:>8} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}",
            name,
            says(xcall_interface::DOORBELL_OFFERED),
            says(xcall_interface::DOORBELL_NMI_SAFE),
            says(xcall_interface::DOORBELL_ORDINARY),
            says(xcall_interface::DOORBELL_MASKABLE),
            says(xcall_interface::DOORBELL_FROM_NMI),
            bell.heard,
            bell.heard_empty
        )?;
    }
    Ok(())
}

/// Tries the doorbells that were heard at load, and all kinds of calls.
fn selftest(to: &mut SeqFile) -> fmt::Result {
    let Some(engine) = engine() else {
        return Ok(());
    };
    let heard = |cpu, number| {
        let kind = engine.doorbells().nth(number)?.kind();
        let heard = engine.platform().heard.get(cpu)?;
        // Relaxed: a handler counts after its calls: if too late for this look, the next one sees it.
        selection::offered()
            .contains(kind)
            .then(|| heard.runs[kind as usize].load(Ordering::Relaxed))
    };
    SELF_TEST.show(engine, heard, to)
}

#[no_mangle]
extern "C" fn xcall_show_stats(m: *mut c_void) {
    if let Some(engine) = engine() {
        // A full buffer is the kernel's to see.
        let _ = tables::stats(engine, &mut SeqFile(m));
    }
}

#[no_mangle]
extern "C" fn xcall_show_latency(m: *mut c_void) {
    if let Some(engine) = engine() {
        // A full buffer is the kernel's to see.
        let _ = tables::latency(engine, &mut SeqFile(m));
    }
}

#[no_mangle]
extern "C" fn xcall_show_selftest(m: *mut c_void) {
    // A full buffer is the kernel's to see.
    let _ = selftest(&mut SeqFile(m));
}

#[no_mangle]
extern "C" fn xcall_show_doorbells(m: *mut c_void) {
    // A full buffer is the kernel's to see.
    let _ = doorbells(&mut SeqFile(m));
}

/// The folder with its files. Dropped, it goes, after the last reader.
pub(crate) struct Folder;

impl Folder {
    /// Task context.
    pub(crate) fn create() -> Self {
        // SAFETY: Once: the module is loaded once.
        unsafe { shim::xcall_shim_debugfs_create() };
        Self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // SAFETY: Made in `create`.
        unsafe { shim::xcall_shim_debugfs_remove() }
    }
}
