// SPDX-License-Identifier: GPL-2.0
//! Gates of the IDT: exceptions are counted on their way into the kernel. docs/idt-gates.md is about it;
//! what of it needs no kernel is the crate `dtrace_gates`.
//!
//! - `native`: the table that the processor reads, written in place; `alone`: while nobody else runs.
//! - `xen_pv`: the table that Xen has of each virtual CPU.
//! - `counters`; `survey`: what is checked before anything is written; `show`: a file of debugfs.
//! - `stub.S`: what gates lead to; `shim*.c`: what Rust cannot reach.
//!
//! Invariants:
//! 1. A gate leads to a stub only if it led to the kernel's own handler of that exception before, by name.
//! 2. Its trampoline leads there before the gate leads to the stub, and is not written meanwhile.
//! 3. Memory that a stub runs or counts in goes only when no gate leads to it, as each CPU reads them, and no CPU
//!    runs it.

mod alone;
mod counters;
mod native;
mod shim;
mod show;
mod survey;
mod xen_pv;

use crate::cpus;
use alone::Crowd;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::fmt;
use counters::Counters;
use dtrace_gates::trampoline::STUBS;
use dtrace_gates::{Backend, Facts, Foreign, Gate, Refusal, Selection, Table, Vector, GATE_SIZE};
use kernel::prelude::*;
use native::Native;
use xen_pv::XenPv;

/// Where the code of a vector is, as stub.S has it.
#[repr(C)]
struct Stub {
    native: Code,
    xen: Code,
}

/// A stub.
#[repr(C)]
struct Code {
    address: u64,
    /// How far into it the trampoline is.
    chain: u64,
}

impl Code {
    /// Has the stub go on to `target`. No gate leads to it. Task context.
    fn lead_to(&self, vector: u8, target: u64) {
        let trampoline = self.address.wrapping_add(self.chain);
        // SAFETY: a task; a trampoline of stub.S that no CPU runs, and a function of the kernel's, which a jump
        // of 32 bits reaches, says `Gate::check`.
        unsafe { shim::dtrace_gates_chain(vector.into(), trampoline, target) };
    }
}

/// The code of a vector; None: it is never hooked.
fn stub(vector: u8) -> Option<&'static Stub> {
    // SAFETY: a constant.
    let stubs = unsafe { &shim::dtrace_gates_stubs };
    let stub = stubs.get(usize::from(vector))?;
    (stub.native.address != 0).then_some(stub)
}

/// Why gates are not hooked, or not unhooked.
#[derive(Clone, Copy, Debug)]
enum Why {
    Refused(Refusal),
    Memory,
    /// CPUs differ in where their table is, or in the number that stubs count by.
    Cpus,
    /// The table, or its page, is not where it is looked for.
    Table,
    /// What was mapped is not the table.
    Alias,
    /// None of those that are wanted may be hooked.
    Nothing,
    Crowd(Crowd),
    /// A gate is not what it was when it was read: somebody else writes it.
    Changed(u8),
    /// It was written, and reads otherwise.
    Unseen(u8),
    /// A CPU may still read gates of ours, or does not say.
    Left,
    /// CPUs that come and go cannot be watched, or one did not pass.
    Hotplug(c_int),
    Xen(c_int),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Memory => f.write_str("no memory"),
            Self::Cpus => f.write_str("CPUs differ in their table or in the number in the GDT"),
            Self::Table => f.write_str("the table cannot be found or read"),
            Self::Alias => f.write_str("the table's page cannot be mapped, or is not the table"),
            Self::Nothing => f.write_str("no gate of those is Linux's own"),
            Self::Crowd(crowd) => crowd.fmt(f),
            Self::Changed(vector) => write!(f, "somebody else wrote the gate of vector {vector}"),
            Self::Unseen(vector) => write!(f, "vector {vector} does not read as it was written"),
            Self::Left => f.write_str("a CPU may still have gates of ours"),
            Self::Hotplug(errno) => {
                write!(f, "CPUs that come online cannot be checked: error {errno}")
            }
            Self::Xen(errno) => write!(f, "Xen refused the table: error {errno}"),
        }
    }
}

/// Gates could not be hooked.
struct Failed {
    /// Some may be all the same, and what they need stays.
    left: Option<Hooked>,
    why: Why,
}

impl From<Why> for Failed {
    fn from(why: Why) -> Self {
        Self { left: None, why }
    }
}

/// What keeps one gate from being hooked.
#[derive(Clone, Copy)]
enum Kept {
    Foreign(Foreign),
    /// It leads to something else than the kernel's handler.
    Handler,
}

/// Gates as they are written on this machine.
enum Hooked {
    Native(Native),
    XenPv(XenPv),
}

/// All there is to know.
struct State {
    /// Gates that lead to our stubs.
    hooked: Selection,
    by: Option<Hooked>,
    /// Why what was wanted last was not done.
    failure: Option<Why>,
    kept: [Option<Kept>; STUBS],
    /// The table as it was before gates were hooked, while they are.
    before: Table,
    scratch: Table,
    counters: Option<Counters>,
}

/// The state.
///
/// # Invariants
///
/// It is touched only with the shim's mutex held.
struct Locked(UnsafeCell<State>);

// SAFETY: by the invariant one thread at a time is at it; the pointers in it are to memory of its own.
unsafe impl Sync for Locked {}

static STATE: Locked = Locked(UnsafeCell::new(State {
    hooked: Selection::NONE,
    by: None,
    failure: None,
    kept: [None; STUBS],
    before: Table::EMPTY,
    scratch: Table::EMPTY,
    counters: None,
}));

struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: taken in `locked`, by this thread.
        unsafe { shim::dtrace_gates_unlock() };
    }
}

/// Runs `f` on the state, alone. Task context; not nested.
fn locked<R>(f: impl FnOnce(&mut State) -> R) -> R {
    // SAFETY: a task; given back when the guard is dropped.
    unsafe { shim::dtrace_gates_lock() };
    let _guard = Guard(());
    // SAFETY: the mutex is held.
    f(unsafe { &mut *STATE.0.get() })
}

/// A parameter's text; empty: it was not given. Task context.
///
/// # Safety
///
/// `text` is NULL or a string that stays as long as the module.
unsafe fn parameter(text: *const c_char) -> &'static str {
    if text.is_null() {
        return "";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text.cast()) }
        .to_str()
        .unwrap_or("?")
}

/// What the parameter `gates_pretend` says.
fn pretended() -> &'static str {
    // SAFETY: a parameter that no longer changes.
    unsafe { parameter(shim::dtrace_gates_param_pretend()) }
}

/// Whether it has that word.
fn pretends(what: &str) -> bool {
    pretended().split(',').any(|word| word.trim() == what)
}

/// What the machine is like. Task context.
fn facts() -> Facts {
    let pretended = pretended();
    // SAFETY: all of them: a task; those about processors are asked natively only.
    unsafe {
        let xen_pv = shim::dtrace_gates_is_xen_pv();
        let pti = !xen_pv && shim::dtrace_gates_has_pti();
        let facts = Facts {
            xen_pv,
            fred: !xen_pv && shim::dtrace_gates_has_fred(),
            pti,
            cx16: shim::dtrace_gates_has_cx16(),
            symbols: shim::dtrace_gates_has_symbols(),
            unproven: shim::dtrace_gates_param_unproven(),
            cpus: cpus::count(),
            free_slot: pti && shim::dtrace_gates_slot_is_free(),
            returns_trained: shim::dtrace_gates_has_trained_returns(),
        };
        facts.pretending(pretended)
    }
}

/// Whether `address` is the first byte of the kernel's function `symbol`.
fn is_symbol(address: u64, symbol: &str) -> bool {
    // SAFETY: the lock is held; a string that stays until the next is asked for.
    let text = unsafe { CStr::from_ptr(shim::dtrace_gates_symbol(address).cast()) };
    let text = text.to_str().unwrap_or_default();
    // A module's function has its module's name behind it.
    text.strip_prefix(symbol)
        .is_some_and(|rest| rest.starts_with("+0x0/") && !rest.ends_with(']'))
}

/// A gate and what it is to become.
#[derive(Clone, Copy)]
struct Change {
    vector: u8,
    gate: Gate,
    old: [u8; GATE_SIZE],
}

impl State {
    /// What `vector`'s gate is, if it is Linux's own: invariant 1.
    fn own_gate(&self, vector: &Vector) -> Result<Change, Kept> {
        let old = self.before.gate(vector.number);
        // SAFETY: a constant.
        let segment = unsafe { shim::dtrace_gates_kernel_cs() };
        let gate = Gate::check(&old, vector, segment).map_err(Kept::Foreign)?;
        if !is_symbol(gate.target, vector.symbol) {
            return Err(Kept::Handler);
        }
        Ok(Change {
            vector: vector.number,
            gate,
            old,
        })
    }

    /// Those of `wanted` whose gates are Linux's own in the table as it was read; their trampolines lead
    /// to the kernel then: invariants 1 and 2. None is hooked yet.
    fn changes(&mut self, wanted: Selection) -> Result<[Option<Change>; STUBS], Why> {
        // SAFETY: a task.
        let is_xen_pv = unsafe { shim::dtrace_gates_is_xen_pv() };
        let mut changes = [None; STUBS];
        self.kept = [None; STUBS];
        for vector in wanted.vectors() {
            let Some(stub) = stub(vector.number) else {
                continue;
            };
            let number = usize::from(vector.number);
            match self.own_gate(&vector) {
                Ok(change) => {
                    let code = if is_xen_pv { &stub.xen } else { &stub.native };
                    code.lead_to(vector.number, change.gate.target);
                    if let Some(place) = changes.get_mut(number) {
                        *place = Some(change);
                    }
                }
                Err(kept) => {
                    if let Some(place) = self.kept.get_mut(number) {
                        *place = Some(kept);
                    }
                }
            }
        }
        match changes.iter().any(Option::is_some) {
            true => Ok(changes),
            false => Err(Why::Nothing),
        }
    }

    fn hook(&mut self, wanted: Selection) -> Result<(), Why> {
        let backend = facts().backend().map_err(Why::Refused)?;
        let base = match backend {
            Backend::XenPv => 0,
            Backend::InPlace | Backend::Trampoline => survey::same_everywhere()?,
        };
        self.counters = None;
        let counters = Counters::new(backend).ok_or(Why::Memory)?;
        // Kept even if hooking fails: a stub may have run.
        let counters = self.counters.insert(counters).memory();
        let done = match backend {
            Backend::XenPv => XenPv::hook(self, wanted).map(Hooked::XenPv),
            Backend::InPlace => Native::hook(self, wanted, base, None).map(Hooked::Native),
            Backend::Trampoline => Native::hook(self, wanted, base, counters).map(Hooked::Native),
        };
        let (by, result) = match done {
            Ok(by) => (Some(by), Ok(())),
            Err(Failed { left, why }) => (left, Err(why)),
        };
        self.by = by;
        self.hooked = wanted;
        result
    }

    /// Gates are as they were, to the last byte, and nothing of ours runs for them any more.
    fn unhook(&mut self) -> Result<(), Why> {
        let left = match self.by.take() {
            None => None,
            Some(Hooked::Native(native)) => match native.unhook(self) {
                Ok(()) => None,
                Err((native, why)) => Some((Hooked::Native(native), why)),
            },
            Some(Hooked::XenPv(xen)) => match xen.unhook(self) {
                Ok(()) => None,
                Err((xen, why)) => Some((Hooked::XenPv(xen), why)),
            },
        };
        if let Some((by, why)) = left {
            self.by = Some(by);
            return Err(why);
        }
        self.hooked = Selection::NONE;
        Ok(())
    }

    /// Has exactly the gates of `wanted` hooked, or none if that fails.
    fn set(&mut self, wanted: Selection) -> Result<(), Why> {
        let result = self.unhook().and_then(|()| match wanted.is_empty() {
            true => Ok(()),
            false => self.hook(wanted),
        });
        self.failure = result.err();
        result
    }
}

/// How often that exception came on a CPU since gates were hooked last. 0: it is not counted. Task context.
#[expect(dead_code, reason = "the IDT provider asks for it")]
pub(crate) fn count(cpu: u32, vector: u8) -> u64 {
    locked(|state| {
        let counters = state.counters.as_ref();
        counters.map_or(0, |counters| counters.get(cpu, vector))
    })
}

/// Has gates hooked as `text` says. Task context. EINVAL: it names no gates; EOPNOTSUPP: they cannot be
/// hooked, which the file `gates` of debugfs explains.
fn apply(text: &str) -> Result {
    let wanted = Selection::parse(text).map_err(|unknown| {
        pr_warn!("{}\n", format_args!("gates: {unknown}"));
        EINVAL
    })?;
    locked(|state| state.set(wanted)).map_err(|why| {
        pr_warn!("{}\n", format_args!("gates: not hooked: {why}"));
        EOPNOTSUPP
    })
}

/// The gates, hooked as the parameter says. Dropped, they are as they were.
pub(crate) struct Gates(());

impl Gates {
    /// Task context; once. Gates that cannot be hooked are named on the log, and the module goes on.
    pub(crate) fn start() -> Self {
        // SAFETY: a task; once.
        unsafe { shim::dtrace_gates_debugfs_create() };
        // SAFETY: a parameter that no longer changes.
        let wanted = unsafe { parameter(shim::dtrace_gates_param()) };
        // What went wrong is on the log.
        let _ = apply(wanted);
        Self(())
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        // SAFETY: made in `start`; nobody hooks gates by it any more at return.
        unsafe { shim::dtrace_gates_debugfs_remove() };
        // The code that gates lead to goes with the module: there is no way on before they are restored.
        let mut has_said = false;
        while let Err(why) = locked(State::unhook) {
            if !has_said {
                pr_err!("{}\n", format_args!("gates: still hooked: {why}"));
            }
            has_said = true;
            // SAFETY: a task.
            unsafe { crate::shim::dtrace_shim_msleep(1000) };
        }
        locked(|state| state.counters = None);
    }
}

/// A CPU comes online. On it, a task. Else than 0: it goes again.
#[no_mangle]
extern "C" fn dtrace_gates_cpu_online(cpu: c_uint) -> c_int {
    // SAFETY: a task.
    if !unsafe { shim::dtrace_gates_is_xen_pv() } {
        // Stubs may not run there: it goes again.
        return match survey::check_here(cpu) {
            true => 0,
            false => EINVAL.to_errno(),
        };
    }
    xen_pv::cpu_online()
}

/// A CPU goes offline. On it, a task.
#[no_mangle]
extern "C" fn dtrace_gates_cpu_offline(_cpu: c_uint) -> c_int {
    xen_pv::cpu_offline();
    0
}
