// SPDX-License-Identifier: GPL-2.0
//! `/sys/kernel/debug/dtrace/gates`: which gates are hooked, how, why, and what came. Written, it hooks and
//! unhooks them.

use super::{facts, locked, native, shim, survey, xen_pv, Kept, State};
use crate::cpus;
use core::fmt::{self, Write};
use dtrace_gates::{Backend, VECTORS};
use kernel::prelude::*;

/// A file being shown.
struct SeqFile(*mut c_void);

impl Write for SeqFile {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the kernel's `seq_file`, valid while the file is shown; the text is readable.
        let errno =
            unsafe { shim::dtrace_gates_seq_write(self.0, text.as_ptr().cast(), text.len()) };
        // When its buffer is full, the kernel shows the file once more, with a larger one.
        if errno != 0 {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Handler => f.write_str("it does not lead to the kernel's handler"),
        }
    }
}

/// The table that the kernel, natively the processor, reads: its digest.
fn table(state: &mut State, to: &mut SeqFile) -> fmt::Result {
    let (mut base, mut limit) = (0, 0);
    // SAFETY: a task.
    let is_xen_pv = unsafe { shim::dtrace_gates_is_xen_pv() };
    // SAFETY: all of them: a task; sidt natively.
    unsafe {
        if is_xen_pv {
            base = shim::dtrace_gates_lookup(c"idt_table".as_ptr().cast());
        } else {
            shim::dtrace_gates_sidt(&mut base, &mut limit);
        }
    }
    if let Err(why) = native::read(&mut state.scratch, base) {
        return writeln!(to, "table: {why}");
    }
    let digest = state.scratch.digest();
    writeln!(to, "table: {digest:#018x}")?;
    match is_xen_pv {
        true => writeln!(to, "hooked CPUs: {}", xen_pv::hooked_cpus()),
        false => writeln!(to, "table CPUs: {}", survey::count_alike(digest)),
    }
}

fn gates(state: &mut State, to: &mut SeqFile) -> fmt::Result {
    match facts().backend() {
        Ok(backend) => {
            writeln!(to, "backend: {}", backend.name())?;
            writeln!(to, "reason: {}", backend.reason())?;
        }
        Err(refusal) => {
            // Our own stubs may lie in the slot that is missed.
            let own = state.by.is_some();
            let name = if own {
                Backend::Trampoline.name()
            } else {
                "none"
            };
            writeln!(to, "backend: {name}")?;
            writeln!(to, "reason: {refusal}")?;
        }
    }
    match &state.failure {
        Some(why) => writeln!(to, "failure: {why}")?,
        None => writeln!(to, "failure: none")?,
    }
    table(state, to)?;
    write!(to, "{:<26} {:<7}", "exception", "gate")?;
    let cpus = (0..cpus::count()).filter(|cpu| cpus::is_online(*cpu));
    for cpu in cpus.clone() {
        write!(to, "      CPU{cpu:<3}")?;
    }
    writeln!(to, "  why not")?;
    for vector in VECTORS {
        let hooked = state.by.is_some() && state.hooked.contains(&vector);
        let kept = state
            .kept
            .get(usize::from(vector.number))
            .copied()
            .flatten();
        let hooked = hooked && kept.is_none();
        write!(
            to,
            "{:<26} {:<7}",
            vector.name,
            if hooked { "hooked" } else { "-" }
        )?;
        for cpu in cpus.clone() {
            let count = state.counters.as_ref();
            let count = count.map_or(0, |counters| counters.get(cpu, vector.number));
            write!(to, " {count:>11}")?;
        }
        match (vector.refused, kept) {
            (Some(reason), _) => writeln!(to, "  {reason}")?,
            (None, Some(kept)) => writeln!(to, "  {kept}")?,
            (None, None) => writeln!(to)?,
        }
    }
    Ok(())
}

#[no_mangle]
extern "C" fn dtrace_gates_show(m: *mut c_void) {
    // A full buffer is the kernel's to see.
    let _ = locked(|state| gates(state, &mut SeqFile(m)));
}

/// # Safety
///
/// `length` bytes at `text`.
#[no_mangle]
unsafe extern "C" fn dtrace_gates_written(text: *const u8, length: usize) -> c_int {
    // SAFETY: the caller's promise.
    let text = unsafe { core::slice::from_raw_parts(text, length) };
    match core::str::from_utf8(text)
        .map_err(|_| EINVAL)
        .and_then(super::apply)
    {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}
