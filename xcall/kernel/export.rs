// SPDX-License-Identifier: GPL-2.0
//! The functions of `include/xcall.h`: pointers and numbers in, engine calls, errnos out.

use crate::doorbell::filter;
use crate::percpu::cpus;
use crate::platform::{engine, now_ns};
use crate::{selection, timeouts};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use xcall::{words_for, CpuId, CpuList, CpuSet, CpuSetMut, FlushError, Lane, Reached};
use xcall_interface::{
    Cpus, Doorbell, NmiCounts, Report, RingFilter, Stats, Work, DOORBELL_NAME, LATENCY_BUCKETS,
};

/// The errno of a call.
fn errno(error: &xcall::Error) -> c_int {
    match error {
        xcall::Error::Offline => ENXIO,
        xcall::Error::Timeout(_) => ETIMEDOUT,
        xcall::Error::Busy => EBUSY,
        xcall::Error::Context => EDEADLK,
        xcall::Error::NoDoorbell => EOPNOTSUPP,
    }
    .to_errno()
}

/// A caller's work, checked as far as can be.
///
/// # Safety
///
/// 1. `work` is null or valid.
/// 2. Its function and argument keep what `Work::new` asks, for `'a`.
unsafe fn checked<'a>(work: *const Work) -> Result<xcall::Work<'a>> {
    // SAFETY: 1.
    let work = unsafe { work.as_ref() }.ok_or(EINVAL)?;
    let lane = match work.lane {
        xcall_interface::NMI_SAFE => Lane::NmiSafe,
        xcall_interface::ORDINARY => Lane::Ordinary,
        _ => return Err(EINVAL),
    };
    if work.reserved != 0 {
        return Err(EINVAL);
    }
    let function = work.function.ok_or(EINVAL)?;
    // SAFETY: 2.
    let checked = unsafe { xcall::Work::new(lane, function, work.arg) };
    Ok(match work.within_ns {
        0 => checked,
        ns => checked.within_ns(ns),
    })
}

/// A caller's `struct cpumask`, for reading.
///
/// # Safety
///
/// `set` is null or a valid cpumask for `'a`.
unsafe fn set_of<'a>(set: *const u64) -> Result<CpuSet<'a>> {
    if set.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: A cpumask has at least as many words as `nr_cpu_ids` takes.
    Ok(CpuSet::new(unsafe {
        core::slice::from_raw_parts(set, words_for(cpus()))
    }))
}

/// A caller's `struct cpumask`, emptied, for writing; None if null.
///
/// # Safety
///
/// `set` is null or a valid cpumask for `'a` that nobody else looks at.
unsafe fn emptied<'a>(set: *mut u64) -> Option<CpuSetMut<'a>> {
    if set.is_null() {
        return None;
    }
    // SAFETY: As in set_of; nobody else looks at it, says our caller.
    let words = unsafe { core::slice::from_raw_parts_mut(set, words_for(cpus())) };
    let mut set = CpuSetMut::new(words);
    set.clear();
    Some(set)
}

fn list_of(cpus: &CpuList) -> Cpus {
    let mut list = Cpus {
        count: cpus.count(),
        ..Default::default()
    };
    for (place, cpu) in list.named.iter_mut().zip(cpus.named()) {
        *place = cpu.0;
    }
    list
}

/// Copies `name` with a NUL, cut if it must be.
pub(crate) fn copy_name(to: &mut [u8; DOORBELL_NAME], name: &str) {
    let taken = name.len().min(DOORBELL_NAME - 1);
    to[..taken].copy_from_slice(&name.as_bytes()[..taken]);
    to[taken..].fill(0);
}

/// Ends a call that was not made: an empty report, the errno.
///
/// # Safety
///
/// `report` is null or valid for writes.
unsafe fn refuse(error: Error, report: *mut Report) -> c_int {
    if !report.is_null() {
        // SAFETY: Valid, says our caller.
        unsafe { report.write(Report::default()) };
    }
    error.to_errno()
}

/// Ends a waiting call: fills in the report, has a timeout logged, gives the errno.
///
/// # Safety
///
/// `report` is null or valid for writes.
unsafe fn finish(
    result: core::result::Result<Reached, xcall::Error>,
    report: *mut Report,
) -> c_int {
    if report.is_null() && result.is_ok() {
        return 0;
    }
    let mut filled = Report::default();
    let ret = match &result {
        Ok(reached) => {
            filled.ran = reached.ran;
            filled.offline = list_of(&reached.offline);
            0
        }
        Err(error) => {
            if let xcall::Error::Timeout(timeout) = error {
                timeouts::record(timeout);
                filled.ran = timeout.reached.ran;
                filled.offline = list_of(&timeout.reached.offline);
                filled.silent = list_of(&timeout.silent);
                filled.age_ns = timeout.age_ns;
                copy_name(&mut filled.last_doorbell, timeout.last_doorbell);
            }
            errno(error)
        }
    };
    if !report.is_null() {
        // SAFETY: Valid, says our caller.
        unsafe { report.write(filled) };
    }
    ret
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_call(cpu: u32, work: *const Work, report: *mut Report) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    // SAFETY: The caller's duties; the call ends before this returns.
    let result = match unsafe { checked(work) } {
        Ok(work) => engine.call(CpuId(cpu), work),
        // SAFETY: The caller's duties.
        Err(error) => return unsafe { refuse(error, report) },
    };
    let reached = result.map(|()| Reached {
        ran: 1,
        offline: CpuList::new(),
    });
    // SAFETY: The caller's duties.
    unsafe { finish(reached, report) }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_call_many(
    targets: *const u64,
    work: *const Work,
    missed: *mut u64,
    report: *mut Report,
) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    if core::ptr::eq(targets, missed) {
        // SAFETY: The caller's duties.
        return unsafe { refuse(EINVAL, report) };
    }
    // SAFETY: The caller's duties; the call ends before this returns.
    match unsafe { (set_of(targets), checked(work)) } {
        // SAFETY: The caller's duties.
        (Ok(targets), Ok(work)) => unsafe {
            finish(engine.call_many(targets, work, emptied(missed)), report)
        },
        // SAFETY: The caller's duties.
        (Err(error), _) | (_, Err(error)) => unsafe { refuse(error, report) },
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_call_all(work: *const Work, report: *mut Report) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    // SAFETY: The caller's duties; the call ends before this returns.
    match unsafe { checked(work) } {
        // SAFETY: The caller's duties.
        Ok(work) => unsafe { finish(engine.call_all(work), report) },
        // SAFETY: The caller's duties.
        Err(error) => unsafe { refuse(error, report) },
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_post(cpu: u32, work: *const Work) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    // SAFETY: The caller keeps the argument until the call has run: for this call, that is
    // `'static`.
    match unsafe { checked(work) } {
        Ok(work) => match engine.post(CpuId(cpu), work) {
            Ok(()) => 0,
            Err(error) => errno(&error),
        },
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_post_many(
    targets: *const u64,
    work: *const Work,
    missed: *mut u64,
) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    if core::ptr::eq(targets, missed) {
        return EINVAL.to_errno();
    }
    // SAFETY: The caller's duties; as for xcall_post.
    match unsafe { (set_of(targets), checked(work)) } {
        (Ok(targets), Ok(work)) => {
            // SAFETY: The caller's duties.
            match engine.post_many(targets, work, unsafe { emptied(missed) }) {
                Ok(sent) => sent as c_int,
                Err(error) => errno(&error),
            }
        }
        (Err(error), _) | (_, Err(error)) => error.to_errno(),
    }
}

#[no_mangle]
extern "C" fn xcall_now_ns() -> u64 {
    now_ns()
}

#[no_mangle]
extern "C" fn xcall_flush(within_ns: u64) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    match engine.flush((within_ns != 0).then_some(within_ns)) {
        Ok(()) => 0,
        Err(FlushError::Context) => EDEADLK.to_errno(),
        Err(FlushError::Unfinished(_)) => ETIMEDOUT.to_errno(),
    }
}

fn stats_of(stats: &xcall::Stats) -> Stats {
    Stats {
        made: stats.made,
        run: stats.run,
        withdrawn: stats.withdrawn,
        rings: stats.rings,
        rings_saved: stats.rings_saved,
        rerings: stats.rerings,
        escalations: stats.escalations,
        timeouts: stats.timeouts,
        busy: stats.busy,
        deepest: stats.deepest,
        latency: stats.latency.0,
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_cpu_stats(cpu: u32, stats: *mut Stats) -> c_int {
    match engine().and_then(|engine| engine.stats(CpuId(cpu))) {
        Some(found) if !stats.is_null() => {
            // SAFETY: Valid, says our caller.
            unsafe { stats.write(stats_of(&found)) };
            0
        }
        _ => EINVAL.to_errno(),
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_total_stats(stats: *mut Stats) {
    if let (Some(engine), false) = (engine(), stats.is_null()) {
        // SAFETY: Valid, says our caller.
        unsafe { stats.write(stats_of(&engine.total_stats())) };
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_doorbell(index: u32, doorbell: *mut Doorbell) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    match selection::describe(engine, index) {
        None => ENOENT.to_errno(),
        Some(_) if doorbell.is_null() => EINVAL.to_errno(),
        Some(found) => {
            // SAFETY: Valid, says our caller.
            unsafe { doorbell.write(found) };
            0
        }
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_latency(index: u32, buckets: *mut u64) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    match selection::latency(engine, index) {
        None => ENOENT.to_errno(),
        Some(_) if buckets.is_null() => EINVAL.to_errno(),
        Some(found) => {
            // SAFETY: Room for as many buckets, says our caller.
            unsafe { buckets.cast::<[u64; LATENCY_BUCKETS]>().write(found.0) };
            0
        }
    }
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_select_doorbells(names: *const c_char) -> c_int {
    let Some(engine) = engine() else {
        return ENXIO.to_errno();
    };
    let names = if names.is_null() {
        c""
    } else {
        // SAFETY: A string, says our caller.
        unsafe { CStr::from_ptr(names.cast()) }
    };
    let selected = match names.to_str() {
        Ok(names) => selection::select(engine, names),
        Err(_) => Err(ENOENT),
    };
    selected.map_or_else(Error::to_errno, |()| 0)
}

#[no_mangle]
extern "C" fn xcall_set_ring_filter(ring_filter: Option<RingFilter>) -> c_int {
    filter::set(ring_filter).map_or_else(Error::to_errno, |()| 0)
}

/// # Safety
///
/// The duties named in `interface/lib.rs`.
#[no_mangle]
unsafe extern "C" fn xcall_nmi_counts(counts: *mut NmiCounts) {
    let (Some(engine), false) = (engine(), counts.is_null()) else {
        return;
    };
    let mut sum = NmiCounts::default();
    for heard in engine.platform().heard.iter() {
        for kind in crate::doorbell::Kind::ALL
            .into_iter()
            .filter(|k| !k.maskable())
        {
            // Relaxed: counters decide nothing.
            let runs = heard.runs[kind as usize].load(Ordering::Relaxed);
            let empty = heard.empty[kind as usize].load(Ordering::Relaxed);
            sum.handled += runs.saturating_sub(empty);
            sum.empty += empty;
        }
        sum.unknown_claimed += heard.unknown_claimed.load(Ordering::Relaxed);
    }
    // SAFETY: Valid, says our caller.
    unsafe { counts.write(sum) };
}
