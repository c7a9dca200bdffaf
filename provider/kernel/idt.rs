// SPDX-License-Identifier: GPL-2.0
//! The IDT provider: its probes, and the hooks, each of which is registered while a probe needs it.

use crate::machine::Host;
use crate::{live, shim};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use dtrace_idt::{
    argument_type, signalled, Enabled, Frame, Machine, Own, Refusal, Source, Sources, Trap, Vector,
    Verdict, NO_PROBE,
};
use dtrace_provider::{Control, Error, Pattern, Provider};
use kernel::prelude::*;

static ENABLED: Enabled = Enabled::new();

/// Traps of our own that were taken and resumed.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// The most traps of our own that one may ask for at a time.
const OWN_TRAPS: u32 = 100_000;

/// How many of them are made before others may have the lock.
const OWN_TRAPS_AT_A_TIME: u32 = 2000;

// shim_idt.c's table of sources has as many.
const _: () = assert!(Source::COUNT == 16);

// ---- probes -----------------------------------------------------------------------------------

/// What the registers that an exception came with say.
///
/// # Safety
///
/// `regs` are a `struct pt_regs` that is not written meanwhile.
unsafe fn frame(regs: *const c_void) -> Frame {
    let mut frame = Frame::default();
    // SAFETY: the caller's promise; the frame's layout is the one that is written.
    unsafe { shim::dtrace_shim_idt_frame(regs, &mut frame) };
    frame
}

/// An exception's probe fires, if it is enabled.
///
/// # Safety
///
/// As [`frame`].
unsafe fn fire(vector: Option<Vector>, regs: *const c_void, error: u64, detail: u64) {
    let Some(vector) = vector else {
        return;
    };
    if let Some(probe) = ENABLED.get(vector) {
        // SAFETY: the caller's promise.
        let frame = unsafe { frame(regs) };
        live::fire(probe, &frame.arguments(vector, error, detail));
    }
}

/// `exceptions:page_fault_user` and `_kernel`, with interrupts off.
///
/// # Safety
///
/// As [`frame`].
#[no_mangle]
unsafe extern "C" fn dtrace_idt_page_fault(regs: *const c_void, address: u64, error: u64) {
    const PAGE_FAULT: usize = 14;
    // SAFETY: the caller's promise.
    unsafe { fire(Vector::at(PAGE_FAULT), regs, error, address) };
}

/// A trap that may be ours: fires its probe and tells what is to be done with it.
///
/// # Safety
///
/// As [`frame`].
unsafe fn trap(trap: Trap, regs: *const c_void) -> Verdict {
    // SAFETY: the caller's promise.
    unsafe { fire(trap.vector(), regs, 0, trap.detail()) };
    // SAFETY: any context.
    let own = unsafe {
        Own {
            int3: shim::dtrace_shim_idt_own_int3(),
            step: shim::dtrace_shim_idt_own_step(),
        }
    };
    // SAFETY: the caller's promise.
    let verdict = trap.verdict(&unsafe { frame(regs) }, &own);
    if verdict != Verdict::Pass {
        ENDED.fetch_add(1, Relaxed);
    }
    verdict
}

/// `DIE_INT3`. An int3 of the kernel's comes as an NMI does. Whether it is over.
///
/// # Safety
///
/// As [`frame`].
#[no_mangle]
unsafe extern "C" fn dtrace_idt_int3(regs: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    Trap::Int3.is_over(unsafe { trap(Trap::Int3, regs) })
}

/// `DIE_DEBUG`. One of the kernel's comes as an NMI does. Whether it is over.
///
/// # Safety
///
/// As [`frame`]; `dr6` is the notifier's.
#[no_mangle]
unsafe extern "C" fn dtrace_idt_debug(regs: *mut c_void, dr6: c_long, reasons: u64) -> bool {
    let debug = Trap::Debug(reasons);
    // SAFETY: the caller's promise.
    let verdict = unsafe { trap(debug, regs) };
    if verdict == Verdict::EndSteps {
        // SAFETY: the caller's promise.
        unsafe { shim::dtrace_shim_idt_end_steps(regs, dr6) };
    }
    debug.is_over(verdict)
}

/// `DIE_TRAP` and `DIE_GPF`.
///
/// # Safety
///
/// As [`frame`].
#[no_mangle]
unsafe extern "C" fn dtrace_idt_trap(regs: *const c_void, trap: u64, error: u64) {
    // SAFETY: the caller's promise.
    unsafe { fire(Trap::Other(trap).vector(), regs, error, 0) };
}

/// `signal:signal_generate`, for the current task, with its lock of signals held.
///
/// # Safety
///
/// As [`frame`].
#[no_mangle]
unsafe extern "C" fn dtrace_idt_signal(
    regs: *const c_void,
    number: i32,
    code: i32,
    trap: u64,
    error: u64,
) {
    // SAFETY: the caller's promise: the task wrote them when it entered the kernel.
    unsafe { fire(signalled(number, code, trap), regs, error, 0) };
}

/// An NMI.
///
/// # Safety
///
/// As [`frame`].
#[no_mangle]
unsafe extern "C" fn dtrace_idt_nmi(regs: *const c_void) {
    const NMI: usize = 2;
    // SAFETY: the caller's promise.
    unsafe { fire(Vector::at(NMI), regs, 0, 0) };
}

/// A tracepoint of `irq_vectors`, in hard interrupt context.
#[no_mangle]
extern "C" fn dtrace_idt_interrupt(source: u64, number: u64) {
    let vector = usize::try_from(source).ok().and_then(Vector::of_source);
    if let Some(probe) = vector.and_then(|vector| ENABLED.get(vector)) {
        live::fire(probe, &Frame::of_interrupt(number));
    }
}

// ---- the provider -----------------------------------------------------------------------------

/// How many probes need each source. With the control side's lock held, so Relaxed.
struct Idt {
    needed: [AtomicU32; Source::COUNT],
}

static IDT: Idt = Idt {
    needed: [const { AtomicU32::new(0) }; Source::COUNT],
};

/// What decides on sources. It stays as it is at load.
static FOUND: AtomicU32 = AtomicU32::new(0);

fn machine() -> Machine {
    Machine {
        // SAFETY: any context.
        xen_pv: unsafe { shim::dtrace_shim_xen_pv() },
        // Relaxed: written at load, before anybody asks.
        found: Sources::from_bits(FOUND.load(Relaxed)),
    }
}

impl Idt {
    /// A probe needs `source`: it is registered from now on.
    fn need(&self, source: Source) -> Result<(), Error> {
        let needed = self.needed.get(source.number()).ok_or(Error::Invalid)?;
        if needed.load(Relaxed) == 0 {
            // SAFETY: a task; one that the kernel has, which is not registered.
            let answer = unsafe { shim::dtrace_shim_idt_register(source.number() as c_uint) };
            match kernel::error::to_result(answer) {
                Ok(()) => {}
                Err(error) if error == ENOMEM => return Err(Error::OutOfMemory),
                Err(_) => return Err(Error::Unsupported(source.name())),
            }
        }
        needed.fetch_add(1, Relaxed);
        Ok(())
    }

    /// A probe needs it no more. If no other does, it calls nobody when this returns.
    fn release(&self, source: Source) {
        let Some(needed) = self.needed.get(source.number()) else {
            return;
        };
        if needed.fetch_sub(1, Relaxed) == 1 {
            // SAFETY: a task; registered in `need`.
            unsafe { shim::dtrace_shim_idt_unregister(source.number() as c_uint) };
        }
    }

    /// All of them or none.
    fn need_all(&self, sources: Sources) -> Result<(), Error> {
        let mut done = Sources::NONE;
        for source in sources.iter() {
            if let Err(error) = self.need(source) {
                done.iter().for_each(|source| self.release(source));
                return Err(error);
            }
            done = done.with(source);
        }
        Ok(())
    }
}

fn vector_of(argument: u64) -> Option<Vector> {
    Vector::at(usize::try_from(argument).ok()?)
}

impl Provider for Idt {
    fn enable(&self, probe: u32, argument: u64) -> Result<(), Error> {
        let vector = vector_of(argument).ok_or(Error::Invalid)?;
        let sources = vector.sources(&machine());
        let sources = sources.map_err(|Refusal(reason)| Error::Unsupported(reason))?;
        self.need_all(sources)?;
        ENABLED.set(vector, probe);
        Ok(())
    }

    fn disable(&self, _probe: u32, argument: u64) {
        let Some(vector) = vector_of(argument) else {
            return;
        };
        ENABLED.set(vector, NO_PROBE);
        if let Ok(sources) = vector.sources(&machine()) {
            sources.iter().for_each(|source| self.release(source));
        }
    }

    fn argument_type(&self, _probe: u32, _argument: u64, index: u32) -> Option<&'static str> {
        argument_type(index)
    }
}

/// Makes the probes. Task context.
pub(crate) fn register(control: &mut Control<Host>) -> Result<(), Error> {
    let is_found = |source: &Source| {
        // SAFETY: a task.
        unsafe { shim::dtrace_shim_idt_has(source.number() as c_uint) }
    };
    let found = Source::all().filter(is_found);
    FOUND.store(found.fold(Sources::NONE, Sources::with).bits(), Relaxed);
    let provider = control.register(b"idt", &IDT)?;
    for vector in Vector::all() {
        if vector.sources(&machine()).is_ok() {
            let name = vector.name().as_bytes();
            control.create_probe(provider, b"vmlinux", name, b"entry", vector.place() as u64)?;
        }
    }
    Ok(())
}

/// A probe that is not there on this machine, and why.
pub(crate) struct Refused {
    vector: Vector,
    reason: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, Refusal(reason)) = (self.vector.name(), self.reason);
        write!(f, "idt::{name}:entry is refused: {reason}")
    }
}

/// Whether `pattern` asks for one probe, by its name, that is refused here.
pub(crate) fn refused(pattern: &Pattern<'_>) -> Option<Refused> {
    if pattern.id != 0 || pattern.provider != b"idt" {
        return None;
    }
    let vector = Vector::named(pattern.function)?;
    let reason = vector.sources(&machine()).err()?;
    Some(Refused { vector, reason })
}

// ---- what the module's parameters ask ---------------------------------------------------------

/// Makes so many of each of our own traps, with their hook in place.
///
/// One hold of the lock from `need` to `release`: a module that went in between would leave its notifier
/// behind.
fn make_own_traps(count: u32) -> Result {
    live::control(|_| {
        IDT.need(Source::Die).map_err(crate::requests::errno)?;
        for _ in 0..count {
            // SAFETY: a task; the die notifier is registered, and stays so while the lock is held.
            unsafe { shim::dtrace_shim_idt_own_traps() };
        }
        IDT.release(Source::Die);
        Ok(())
    })
}

/// Executes so many of each of our own traps. Task context. EINVAL: too many. EINTR: the process is being
/// killed.
#[no_mangle]
extern "C" fn dtrace_idt_make_own_traps(count: u32) -> c_int {
    if count > OWN_TRAPS {
        return EINVAL.to_errno();
    }
    let mut left = count;
    while left != 0 {
        if crate::device::is_killed() {
            return EINTR.to_errno();
        }
        let some = left.min(OWN_TRAPS_AT_A_TIME);
        if let Err(error) = make_own_traps(some) {
            return error.to_errno();
        }
        left = left.saturating_sub(some);
    }
    0
}

/// How many were taken and resumed. Any context.
#[no_mangle]
extern "C" fn dtrace_idt_own_traps_ended() -> u64 {
    ENDED.load(Relaxed)
}

/// How many sources are registered. Any context.
#[no_mangle]
extern "C" fn dtrace_idt_hooks() -> u32 {
    let is_needed = |needed: &&AtomicU32| needed.load(Relaxed) != 0;
    IDT.needed.iter().filter(is_needed).count() as u32
}

/// Text that is cut where there is no more room.
struct Line<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.room.get_mut(self.length).ok_or(fmt::Error)? = byte;
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}

fn write_line(line: &mut Line<'_>, vector: Vector) -> fmt::Result {
    match vector.is_interrupt() {
        true => write!(line, "-- {}:", vector.name())?,
        false => write!(line, "{:2} {}:", vector.place(), vector.name())?,
    }
    match vector.sources(&machine()) {
        Ok(sources) => {
            for (at, source) in sources.iter().enumerate() {
                let before = if at == 0 { "" } else { "," };
                write!(line, "{before} {}", source.name())?;
            }
        }
        Err(Refusal(reason)) => write!(line, " refused, {reason}")?,
    }
    line.write_str("\n")
}

/// The line of vector `number`; its length, or 0: there is none, or no room for it.
///
/// # Safety
///
/// `text` has room for `size` bytes.
#[no_mangle]
unsafe extern "C" fn dtrace_idt_line(number: c_uint, text: *mut u8, size: usize) -> usize {
    let Some(vector) = Vector::at(number as usize) else {
        return 0;
    };
    // SAFETY: the caller's promise; bytes of any value.
    let room = unsafe { core::slice::from_raw_parts_mut(text, size) };
    let mut line = Line { room, length: 0 };
    match write_line(&mut line, vector) {
        Ok(()) => line.length,
        Err(fmt::Error) => 0,
    }
}
