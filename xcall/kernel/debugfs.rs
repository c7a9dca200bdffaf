// SPDX-License-Identifier: GPL-2.0
//! `/sys/kernel/debug/xcall`: the counters as plain tables, for people. Tools ask the exported
//! functions.

use crate::platform::engine;
use crate::{selection, shim};
use core::fmt::{self, Write};
use kernel::prelude::*;
use xcall::{CpuId, Stats};

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

fn line(to: &mut SeqFile, name: impl fmt::Display, s: &Stats) -> fmt::Result {
    writeln!(
        to,
        "{:<6} {:>12} {:>12} {:>10} {:>12} {:>12} {:>10} {:>11} {:>8} {:>6} {:>7}",
        name,
        s.made,
        s.run,
        s.withdrawn,
        s.rings,
        s.rings_saved,
        s.rerings,
        s.escalations,
        s.timeouts,
        s.busy,
        s.deepest
    )
}

fn stats(to: &mut SeqFile) -> fmt::Result {
    let Some(engine) = engine() else {
        return Ok(());
    };
    writeln!(
        to,
        "{:<6} {:>12} {:>12} {:>10} {:>12} {:>12} {:>10} {:>11} {:>8} {:>6} {:>7}",
        "cpu",
        "made",
        "run",
        "withdrawn",
        "rings",
        "saved",
        "rerings",
        "escalations",
        "timeouts",
        "busy",
        "deepest"
    )?;
    let total = engine.total_stats();
    for cpu in (0..engine.config().cpus).map(CpuId) {
        if let Some(stats) = engine.stats(cpu) {
            line(to, cpu.0, &stats)?;
        }
    }
    line(to, "all", &total)?;
    writeln!(to, "\nwaiting calls by duration, from (ns)")?;
    for (bucket, calls) in total.latency.iter().enumerate() {
        if *calls != 0 {
            writeln!(to, "{:>16} {:>12}", 1u64 << bucket, calls)?;
        }
    }
    Ok(())
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

#[no_mangle]
extern "C" fn xcall_show_stats(m: *mut c_void) {
    // A full buffer is the kernel's to see.
    let _ = stats(&mut SeqFile(m));
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
