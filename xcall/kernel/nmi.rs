// SPDX-License-Identifier: GPL-2.0
//! NMIs that arrive: which are ours, and which must be left to others.
//!
//! The kernel asks the handlers of local NMIs first; if none claims it and no hardware reports a
//! reason, those of unknown ones. A local NMI is ours if it ran calls. NMIs fold together, so an
//! NMI of ours may find its calls run already: nobody claims it, and then the credit that its ring
//! left tells it from a stranger's (`xcall::credit`).

use crate::doorbell::{answer, Bell, Kind, Without};
use crate::percpu::cpus;
use crate::platform::{current_cpu_racy, engine, now_ns, Engine};
use crate::{selection, shim};
use core::sync::atomic::Ordering;
use kernel::error::to_result;
use kernel::prelude::*;
use xcall::{CpuId, Lane};

const NMI_DONE: c_int = 0;
const NMI_HANDLED: c_int = 1;

/// How long unloading waits for the last NMIs of all CPUs, in milliseconds: a virtual CPU may be off
/// its processor for a while.
const ROUND_TRIPS_MS: u32 = 30_000;

/// Which NMI doorbell this machine has. The two exclude each other.
fn kind_of(engine: &Engine) -> Option<Kind> {
    engine
        .doorbells()
        .find(|bell| bell.is_nmi())
        .map(Bell::kind)
}

/// Asked about every local NMI.
///
/// Answers 1 however many calls ran: more than one would make the kernel drop a later NMI of
/// anybody's, because it takes the rest for events whose own NMIs are still to come. Ours are told
/// by credit.
#[no_mangle]
extern "C" fn xcall_nmi_local() -> c_int {
    let Some(engine) = engine() else {
        return NMI_DONE;
    };
    let Some(kind) = kind_of(engine) else {
        return NMI_DONE;
    };
    let Some(credit) = engine.platform().credits.get(current_cpu_racy()) else {
        return NMI_DONE;
    };
    let began_ns = now_ns();
    credit.arrive(began_ns);
    if answer(engine, kind, &[Lane::NmiSafe]) == 0 {
        return NMI_DONE;
    }
    credit.extend(began_ns, now_ns());
    NMI_HANDLED
}

/// Asked about every NMI that nobody has claimed.
#[no_mangle]
extern "C" fn xcall_nmi_unknown() -> c_int {
    let Some(engine) = engine() else {
        return NMI_DONE;
    };
    let cpu = current_cpu_racy();
    let credit = engine.platform().credits.get(cpu);
    // By when it arrived: a virtual CPU may have been off its processor since.
    if !credit.is_some_and(|credit| credit.claim_unknown(credit.arrived_ns())) {
        return NMI_DONE;
    }
    if let Some(heard) = engine.platform().heard.get(cpu) {
        // Relaxed: counters decide nothing.
        heard.unknown_claimed.fetch_add(1, Ordering::Relaxed);
    }
    NMI_HANDLED
}

/// The NMI handlers, registered. Dropped, they go, after the last NMI of ours.
pub(crate) struct Handlers {
    _serr: Option<SerrHandler>,
}

impl Handlers {
    /// Task context. As long as there is no engine, they claim nothing.
    pub(crate) fn register() -> core::result::Result<Self, Without> {
        // SAFETY: Reads a constant.
        if !unsafe { shim::xcall_shim_has_nmi_handler() } {
            return Err(Without::Because("this kernel lets no module hear NMIs"));
        }
        // SAFETY: Task context, and not registered yet: the module is loaded once.
        to_result(unsafe { shim::xcall_shim_register_nmi_handlers() })?;
        Ok(Self {
            _serr: SerrHandler::register_if_needed(),
        })
    }

    /// Rings each online CPU once more and waits until it has heard: then none of the NMIs sent
    /// before is under way. Nobody else rings any more.
    fn last_round_trip(engine: &Engine, bell: &Bell) {
        let mut left_ms = ROUND_TRIPS_MS;
        // SAFETY: Task context; unlocked below.
        unsafe { shim::xcall_shim_cpus_read_lock() };
        for cpu in (0..cpus()).map(CpuId) {
            // SAFETY: `cpu` is below nr_cpu_ids.
            if !unsafe { shim::xcall_shim_cpu_online(cpu.0) } {
                continue;
            }
            match bell.ring_and_wait(engine.platform(), cpu, left_ms) {
                Some(ms) => left_ms = ms,
                None => {
                    pr_warn!(
                        "{}\n",
                        format_args!("{} did not hear the last {}", cpu, bell.kind().name())
                    );
                    break;
                }
            }
        }
        // SAFETY: Locked above.
        unsafe { shim::xcall_shim_cpus_read_unlock() };
    }
}

/// The unknown handler once more, registered for SERR.
///
/// The reason port of a machine that has none (Xen PVH) reads as all ones. Linux then takes any NMI that
/// nobody claims for a PCI system error and asks the handlers of those, not of unknown ones.
struct SerrHandler;

impl SerrHandler {
    /// Task context. Without an engine the handler claims nothing.
    fn register_if_needed() -> Option<Self> {
        // SAFETY: Reads a port, as every NMI does.
        if !unsafe { shim::xcall_shim_nmi_reason_is_absent() } {
            return None;
        }
        // SAFETY: Task context, and not registered yet: the module is loaded once.
        let registered = to_result(unsafe { shim::xcall_shim_register_nmi_serr_handler() });
        if registered.is_err() {
            pr_warn!("no handler for NMIs without a reason: the kernel may call one SERR\n");
        }
        registered.ok().map(|()| Self)
    }
}

impl Drop for SerrHandler {
    fn drop(&mut self) {
        // SAFETY: Registered in `register_if_needed`.
        unsafe { shim::xcall_shim_unregister_nmi_serr_handler() }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        let bell = engine().and_then(|engine| {
            let heard = |bell: &&Bell| bell.is_nmi() && selection::offered().contains(bell.kind());
            Some((engine, engine.doorbells().find(heard)?))
        });
        if let Some((engine, bell)) = bell {
            Self::last_round_trip(engine, bell);
            // It was heard; what it leaves may still be asked about as unknown.
            let credits = &engine.platform().credits;
            while credits.iter().any(|credit| !credit.lapsed(now_ns())) {
                // SAFETY: Task context.
                unsafe { shim::xcall_shim_msleep(1) };
            }
        }
        // SAFETY: Registered in `register`.
        unsafe { shim::xcall_shim_unregister_nmi_handlers() }
    }
}
