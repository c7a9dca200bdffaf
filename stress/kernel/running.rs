// SPDX-License-Identifier: GPL-2.0
//! The storm that is going on, one at a time: its beginning and its end.

use crate::guest::Guest;
use crate::selection::Selection;
use crate::threads::Threads;
use crate::{carrier, faults, shim};
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;
use kernel::prelude::*;
use xcall_storm::{Plan, Refusal, Storm, Surroundings, Ticket};
use xcall_stress_protocol::{Latency, Progress, Request, Row, Totals, CPU_WORDS};

/// How long to wait for posted calls before saying that one still does.
const FLUSH_NS: u64 = 10_000_000_000;

/// A storm with its threads. Dropped, it ends first.
struct Running {
    /// None: they could not be started, or have ended.
    threads: Option<Threads>,
    /// In a box of its own: threads hold references to it, while others have `&mut` to the rest.
    storm: KBox<Storm<Guest>>,
    /// The file it was started by; 0 if it goes on without.
    owner: u64,
}

/// The one place for a storm.
struct Slot(UnsafeCell<Option<KBox<Running>>>);

// SAFETY: `with` alone looks inside, under the shim's mutex.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot(UnsafeCell::new(None));

/// Gives `f` the storm that is going on, if one is. A task.
fn with<R>(f: impl FnOnce(&mut Option<KBox<Running>>) -> R) -> R {
    // SAFETY: a task.
    unsafe { shim::xcall_stress_shim_lock() };
    // SAFETY: the mutex is held: nobody else has this reference.
    let result = f(unsafe { &mut *SLOT.0.get() });
    // SAFETY: locked above.
    unsafe { shim::xcall_stress_shim_unlock() };
    result
}

/// Starts a storm for file `owner`.
pub(crate) fn start(request: &Request, owner: u64) -> Result {
    with(|slot| {
        if slot
            .as_ref()
            .is_some_and(|running| running.storm.is_running())
        {
            return Err(EBUSY);
        }
        // One that is over and that nobody asked for.
        *slot = None;
        *slot = Some(begin(prepare(request)?, owner)?);
        Ok(())
    })
}

/// Checks the request and gets all that the storm needs.
fn prepare(request: &Request) -> Result<KBox<Storm<Guest>>> {
    let mut online = [0; CPU_WORDS];
    // SAFETY: room for `CPU_WORDS` words.
    unsafe { shim::xcall_stress_shim_online_cpus(online.as_mut_ptr(), CPU_WORDS as u32) };
    let selection = Selection::new(&request.doorbells)?;
    let handler = carrier::Handler::register()?;
    let around = Surroundings {
        online: &online,
        ordinary: selection.ordinary,
        from_nmi: selection.from_nmi && handler.is_some(),
    };
    let plan = Plan::check(request, &around).map_err(|refusal| match refusal {
        Refusal::Cpus | Refusal::Offline => ENODEV,
        Refusal::NotFromNmi => EOPNOTSUPP,
        _ => EINVAL,
    })?;
    let guest = Guest {
        selection,
        _spoiler: faults::Spoiler::new(plan.faults(), plan.seed())?,
        _handler: handler,
    };
    let mut words = KVVec::with_capacity(Storm::<Guest>::words_for(&plan), GFP_KERNEL)?;
    for _ in 0..Storm::<Guest>::words_for(&plan) {
        words.push(AtomicU64::new(0), GFP_KERNEL)?;
    }
    let mut tickets = KVVec::with_capacity(Storm::<Guest>::tickets_for(&plan), GFP_KERNEL)?;
    for _ in 0..Storm::<Guest>::tickets_for(&plan) {
        tickets.push(Ticket::new(), GFP_KERNEL)?;
    }
    let storm = Storm::new(guest, plan, words, tickets).ok_or(EINVAL)?;
    Ok(KBox::new(storm, GFP_KERNEL)?)
}

/// Starts the threads of `storm`.
fn begin(storm: KBox<Storm<Guest>>, owner: u64) -> Result<KBox<Running>> {
    let owner = if storm.plan().detached() { 0 } else { owner };
    let running = Running {
        threads: None,
        storm,
        owner,
    };
    let mut running = KBox::new(running, GFP_KERNEL)?;
    // SAFETY: the storm stays in its box, which is dropped after the threads.
    running.threads = Some(unsafe { Threads::start(&running.storm)? });
    Ok(running)
}

impl Drop for Running {
    fn drop(&mut self) {
        self.threads = None;
        // Called functions use the tickets, and this module's text.
        while !self.storm.flush(FLUSH_NS) {
            pr_err!("posted calls are still under way: waiting for them\n");
        }
    }
}

/// Asks the storm to end.
pub(crate) fn stop() -> Result {
    with(|slot| {
        slot.as_ref().ok_or(ENODATA)?.storm.stop();
        Ok(())
    })
}

pub(crate) fn progress() -> Result<Progress> {
    with(|slot| {
        let storm = &slot.as_ref().ok_or(ENODATA)?.storm;
        Ok(Progress {
            size: size_of::<Progress>() as u32,
            running: u32::from(storm.is_running()),
            calls: storm.calls(),
            elapsed_ms: storm.elapsed_ns() / 1_000_000,
        })
    })
}

/// What `of` says of a storm that is over.
fn over<R>(of: impl FnOnce(&Storm<Guest>) -> Result<R>) -> Result<R> {
    with(|slot| {
        let storm = &slot.as_ref().ok_or(ENODATA)?.storm;
        match storm.is_running() {
            true => Err(EBUSY),
            false => of(storm),
        }
    })
}

/// Who called whom.
pub(crate) fn row(asked: &Row) -> Result<Row> {
    over(|storm| storm.row(asked.caller, asked.first).ok_or(ENOENT))
}

/// How long calls took, by doorbell.
pub(crate) fn latency(asked: &Latency) -> Result<Latency> {
    over(|storm| storm.latency(asked.number).ok_or(ENOENT))
}

/// What came of a storm that is over; it is gone then.
pub(crate) fn result() -> Result<Totals> {
    with(|slot| {
        let storm = &slot.as_ref().ok_or(ENODATA)?.storm;
        if storm.is_running() {
            return Err(EBUSY);
        }
        if !storm.flush(FLUSH_NS) {
            return Err(ETIMEDOUT);
        }
        let totals = storm.totals(storm.machine().selection.names);
        *slot = None;
        Ok(totals)
    })
}

/// Ends the storm that file `owner` started.
pub(crate) fn end_of(owner: u64) {
    with(|slot| {
        if slot.as_ref().is_some_and(|running| running.owner == owner) {
            *slot = None;
        }
    });
}

/// Ends whatever storm is going on.
pub(crate) fn end_any() {
    with(|slot| *slot = None);
}
