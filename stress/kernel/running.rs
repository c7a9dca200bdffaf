// SPDX-License-Identifier: GPL-2.0
//! The storm that is going on, one at a time: its beginning, its threads, its end.

use crate::guest::Guest;
use crate::selection::Selection;
use crate::{carrier, faults, shim};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use kernel::prelude::*;
use xcall_storm::{Plan, Refusal, Storm, Surroundings, Ticket};
use xcall_stress_protocol::{Latency, Progress, Request, Row, Totals, CPU_WORDS};

/// How long to wait for posted calls before saying that one still does.
const FLUSH_NS: u64 = 10_000_000_000;

/// A storm with its threads. Dropped, it ends first.
struct Running {
    storm: Storm<Guest>,
    seats: KVVec<Seat>,
    /// The file it was started by; 0 if it goes on without.
    owner: u64,
}

/// A worker's thread.
struct Seat {
    storm: *const Storm<Guest>,
    worker: usize,
    thread: Option<NonNull<c_void>>,
}

// SAFETY: both pointers may be used on any CPU: a storm is Sync, a thread is stopped by anyone.
unsafe impl Send for Seat {}
// SAFETY: as for Send.
unsafe impl Sync for Seat {}

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
        let mut running = prepare(request, owner)?;
        running.begin()?;
        *slot = Some(running);
        Ok(())
    })
}

/// Checks the request and gets all that the storm needs.
fn prepare(request: &Request, owner: u64) -> Result<KBox<Running>> {
    let mut online = [0; CPU_WORDS];
    // SAFETY: room for `CPU_WORDS` words.
    unsafe { shim::xcall_stress_shim_online_cpus(online.as_mut_ptr(), CPU_WORDS as u32) };
    let selection = Selection::new(&request.doorbells)?;
    let around = Surroundings {
        online: &online,
        ordinary: selection.ordinary,
        from_nmi: selection.from_nmi,
    };
    let plan = Plan::check(request, &around).map_err(|refusal| match refusal {
        Refusal::Cpus | Refusal::Offline => ENODEV,
        Refusal::NotFromNmi => EOPNOTSUPP,
        _ => EINVAL,
    })?;
    let guest = Guest {
        selection,
        _spoiler: faults::Spoiler::new(plan.faults(), plan.seed())?,
        _handler: carrier::Handler::register()?,
    };
    let mut words = KVVec::with_capacity(Storm::<Guest>::words_for(&plan), GFP_KERNEL)?;
    for _ in 0..Storm::<Guest>::words_for(&plan) {
        words.push(AtomicU64::new(0), GFP_KERNEL)?;
    }
    let mut tickets = KVVec::with_capacity(Storm::<Guest>::tickets_for(&plan), GFP_KERNEL)?;
    for _ in 0..Storm::<Guest>::tickets_for(&plan) {
        tickets.push(Ticket::new(), GFP_KERNEL)?;
    }
    let mut seats = KVVec::with_capacity(plan.participants(), GFP_KERNEL)?;
    for worker in 0..plan.participants() {
        let seat = Seat {
            storm: core::ptr::null(),
            worker,
            thread: None,
        };
        seats.push(seat, GFP_KERNEL)?;
    }
    let owner = if plan.detached() { 0 } else { owner };
    let storm = Storm::new(guest, plan, words, tickets).ok_or(EINVAL)?;
    let running = Running {
        storm,
        seats,
        owner,
    };
    Ok(KBox::new(running, GFP_KERNEL)?)
}

impl Running {
    /// Starts the threads. If one cannot be made, the drop stops the others.
    fn begin(&mut self) -> Result {
        let storm: *const Storm<Guest> = &self.storm;
        for seat in self.seats.iter_mut() {
            // The storm lies in a box that is dropped after its threads have returned.
            seat.storm = storm;
        }
        for (at, cpu) in self.storm.plan().cpus().enumerate() {
            let seat: *mut Seat = &mut self.seats[at];
            // SAFETY: the seat lies in memory that stays until the thread has returned, see
            // `drop`, and the thread reads what was written above only.
            let thread = unsafe { shim::xcall_stress_shim_start_thread(cpu, seat.cast()) };
            self.seats[at].thread = Some(NonNull::new(thread).ok_or(ENOMEM)?);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.storm.stop();
        for seat in self.seats.iter_mut() {
            if let Some(thread) = seat.thread.take() {
                // SAFETY: started by `begin`, stopped once.
                unsafe { shim::xcall_stress_shim_stop_thread(thread.as_ptr()) };
            }
        }
        // Called functions use the tickets, and this module's text.
        while !self.storm.flush(FLUSH_NS) {
            pr_err!("posted calls are still under way: waiting for them\n");
        }
    }
}

/// A worker's thread.
#[no_mangle]
extern "C" fn xcall_stress_thread(seat: *mut c_void) -> c_int {
    let seat = seat.cast::<Seat>();
    // SAFETY: `begin` gave the seat of a storm; both stay until this thread has returned. `thread`,
    // which `begin` writes meanwhile, is not looked at.
    let (storm, worker) = unsafe { (&*(*seat).storm, (*seat).worker) };
    storm.work(worker);
    0
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
