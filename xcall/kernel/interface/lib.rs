// SPDX-License-Identifier: GPL-2.0
//! xcall.ko's interface, for modules written in Rust: the same functions and structures as
//! `include/xcall.h`, whose comments say what each does, from where, and with what errors.
//!
//! Errors are negative errnos here too: `kernel::error::to_result` makes a `Result` of them.
#![no_std]

use core::ffi::c_void;

/// A function that targets run, with interrupts and preemption off.
pub type Function = unsafe extern "C" fn(arg: *mut c_void);

/// May run anywhere, an NMI included, and on top of itself: `XCALL_NMI_SAFE`.
pub const NMI_SAFE: u32 = 0;
/// Runs with interrupts off, never on top of code that had them off: `XCALL_ORDINARY`.
pub const ORDINARY: u32 = 1;

/// What to run: `struct xcall_work`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Work {
    /// The function.
    pub function: Option<Function>,
    /// Its argument.
    pub arg: *mut c_void,
    /// [`NMI_SAFE`] or [`ORDINARY`].
    pub lane: u32,
    /// 0.
    pub reserved: u32,
    /// Time limit of a waiting call, in nanoseconds; 0: the module's.
    pub within_ns: u64,
}

/// How many CPUs a [`Cpus`] names.
pub const NAMED_CPUS: usize = 8;

/// A count of CPUs, and the first few by name: `struct xcall_cpus`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpus {
    /// How many.
    pub count: u32,
    /// The first of them.
    pub named: [u32; NAMED_CPUS],
}

/// Bytes of a doorbell's name, with its NUL.
pub const DOORBELL_NAME: usize = 16;

/// What came of a waiting call: `struct xcall_report`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Targets that ran the function.
    pub ran: u32,
    /// Targets that were offline: they did not and will not run it.
    pub offline: Cpus,
    /// Targets that did not start in time: they did not and will not run it.
    pub silent: Cpus,
    /// After `-ETIMEDOUT`, in nanoseconds.
    pub age_ns: u64,
    /// After `-ETIMEDOUT`, the doorbell last rung.
    pub last_doorbell: [u8; DOORBELL_NAME],
}

/// Buckets of [`Stats::latency`].
pub const LATENCY_BUCKETS: usize = 40;

/// Counters since load: `struct xcall_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Calls made from this CPU, self-calls included.
    pub made: u64,
    /// Calls run on this CPU.
    pub run: u64,
    /// Of those made here: never ran, the target was silent or offline.
    pub withdrawn: u64,
    /// Doorbells rung from this CPU.
    pub rings: u64,
    /// Rings saved because one at least as strong was due already.
    pub rings_saved: u64,
    /// Of `rings`: second and later ones for the same call.
    pub rerings: u64,
    /// Steps up the doorbell ladder.
    pub escalations: u64,
    /// Waiting calls that ended in `-ETIMEDOUT`.
    pub timeouts: u64,
    /// Calls refused with `-EBUSY`.
    pub busy: u64,
    /// Deepest nesting of waiting calls.
    pub deepest: u64,
    /// Waiting calls to other CPUs by duration: bucket `n` counts `2^n` to `2^(n+1) - 1` ns.
    pub latency: [u64; LATENCY_BUCKETS],
}

/// This machine has the doorbell.
pub const DOORBELL_OFFERED: u32 = 0x01;
/// NMI-safe calls use it.
pub const DOORBELL_NMI_SAFE: u32 = 0x02;
/// Ordinary calls use it.
pub const DOORBELL_ORDINARY: u32 = 0x04;
/// A CPU with interrupts off does not hear it.
pub const DOORBELL_MASKABLE: u32 = 0x08;
/// It can be rung from an NMI.
pub const DOORBELL_FROM_NMI: u32 = 0x10;

/// A doorbell that xcall knows: `struct xcall_doorbell`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Doorbell {
    /// Its name, ended by a NUL.
    pub name: [u8; DOORBELL_NAME],
    /// `DOORBELL_*`.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Runs of its handler since load, on all CPUs...
    pub heard: u64,
    /// ...and of those, the ones that found no call to run.
    pub heard_empty: u64,
}

/// Says how often a ring at `cpu` is rung: 0, 1 or 2 times.
pub type RingFilter = unsafe extern "C" fn(cpu: u32) -> u32;

/// NMIs since load: `struct xcall_nmi_counts`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NmiCounts {
    /// That ran calls.
    pub handled: u64,
    /// That found none left.
    pub empty: u64,
    /// Of `empty`: that nobody else claimed and xcall knew as its own.
    pub unknown_claimed: u64,
}

// include/xcall.h says the same of its structures.
const _: () = {
    assert!(size_of::<Work>() == 32);
    assert!(core::mem::offset_of!(Work, within_ns) == 24);
    assert!(core::mem::offset_of!(Report, age_ns) == 80);
    assert!(size_of::<Cpus>() == 36);
    assert!(size_of::<Report>() == 104);
    assert!(size_of::<Stats>() == 400);
    assert!(size_of::<Doorbell>() == 40);
    assert!(size_of::<NmiCounts>() == 24);
};

// Sets of CPUs are `struct cpumask *`: bit `n % 64` of word `n / 64` is CPU `n`, as many words as
// `nr_cpu_ids` takes.
//
// Duties of the callers of the unsafe ones:
// 1. `function(arg)` is sound on every target, on several at once, with interrupts and preemption
//    off; in lane NMI_SAFE also in an NMI and on top of itself on the same CPU.
// 2. The argument stays valid until a waiting call has returned, or a posted one has run.
// 3. Pointers are valid, or null where `include/xcall.h` allows it.
#[allow(missing_docs)]
extern "C" {
    pub fn xcall_call(cpu: u32, work: *const Work, report: *mut Report) -> i32;
    pub fn xcall_call_many(
        targets: *const u64,
        work: *const Work,
        missed: *mut u64,
        report: *mut Report,
    ) -> i32;
    pub fn xcall_call_all(work: *const Work, report: *mut Report) -> i32;
    pub fn xcall_post(cpu: u32, work: *const Work) -> i32;
    pub fn xcall_post_many(targets: *const u64, work: *const Work, missed: *mut u64) -> i32;
    pub fn xcall_flush(within_ns: u64) -> i32;
    pub fn xcall_now_ns() -> u64;
    pub fn xcall_cpu_stats(cpu: u32, stats: *mut Stats) -> i32;
    pub fn xcall_total_stats(stats: *mut Stats);
    pub fn xcall_doorbell(index: u32, doorbell: *mut Doorbell) -> i32;
    pub fn xcall_latency(index: u32, buckets: *mut u64) -> i32;
    pub fn xcall_select_doorbells(names: *const u8) -> i32;
    pub fn xcall_set_ring_filter(filter: Option<RingFilter>) -> i32;
    pub fn xcall_nmi_counts(counts: *mut NmiCounts);
}
