// SPDX-License-Identifier: GPL-2.0
//! Timeouts on the log: recorded in any context, printed from an irq_work.

use crate::platform::{current_cpu_racy, runs_irq_works};
use crate::shim;
use core::fmt;
use kernel::prelude::*;
use xcall::report::{Report, Reports};
use xcall::Timeout;

static REPORTS: Reports = Reports::new();

/// Counts a timeout, and has it printed if it is one to show. Any context.
pub(crate) fn record(timeout: &Timeout) {
    // On a CPU that is going down it may be too late for an irq_work; `finish` prints what is left.
    if REPORTS.record(timeout) && runs_irq_works(current_cpu_racy()) {
        // SAFETY: No precondition.
        unsafe { shim::xcall_shim_reports_irq_work_queue() }
    }
}

/// Prints what is left, and the sum. Nobody records any more. Task context.
pub(crate) fn finish() {
    // SAFETY: Task context.
    unsafe { shim::xcall_shim_reports_irq_work_sync() };
    xcall_reports_due();
    match REPORTS.count() {
        0 => {}
        1 => pr_info!("1 call timed out since load\n"),
        n => pr_info!("{} calls timed out since load\n", n),
    }
}

/// The irq_work: a hard interrupt, never an NMI. At unload, a task.
#[no_mangle]
extern "C" fn xcall_reports_due() {
    while let Some(report) = REPORTS.take() {
        print(&report);
    }
}

fn print(report: &Report) {
    let timeout = &report.timeout;
    pr_warn!(
        "{}\n",
        format_args!(
            "call #{} {} -> {} not started in {} ms: {}, last doorbell {}, withdrawn",
            report.number,
            timeout.caller,
            timeout.silent,
            timeout.age_ns / 1_000_000,
            Symbol(timeout.function),
            timeout.last_doorbell
        )
    );
}

/// An address in the kernel's text, as `name+offset`.
struct Symbol(usize);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More than any kernel's KSYM_SYMBOL_LEN: 512 for the name, and offset, size, module.
        const ROOM: usize = 768;
        let mut text = [0; ROOM];
        // SAFETY: Reads a constant.
        if unsafe { shim::xcall_shim_ksym_symbol_len() } as usize > ROOM {
            return write!(f, "{:#x}", self.0);
        }
        // SAFETY: There is room for what it writes; not an NMI.
        let length = unsafe { shim::xcall_shim_sprint_symbol(text.as_mut_ptr(), self.0) };
        if length <= 0 {
            return write!(f, "{:#x}", self.0);
        }
        let text = text.get(..length as usize).unwrap_or(&[]);
        // "name+0x0/0x20 [module]": the size says nothing here.
        let name = text.split(|byte| *byte == b'/').next().unwrap_or(&[]);
        f.write_str(core::str::from_utf8(name).unwrap_or("?"))
    }
}
