// SPDX-License-Identifier: GPL-2.0
//! Which doorbells calls ring: what the machine has shown to work, less what is forbidden, and of
//! that what is forced or else the machine's default (`xcall::choice`).

use crate::doorbell::{Bell, Kind, Kinds};
use crate::platform::{current_cpu_racy, Engine};
use crate::shim;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;
use xcall::choice::{choose, parse_offered, Chosen};
use xcall::{CpuId, Error as CallError, Histogram, Lane, Platform, Work, LANES};

/// How long a doorbell may take to be heard by every CPU when it is tried, in nanoseconds.
const TRIAL_NS: u64 = 4_000_000_000;

/// What this module decided. Relaxed: any value ever set is a good one.
static OFFERED: AtomicU32 = AtomicU32::new(0);
static FORCED_AT_LOAD: AtomicU32 = AtomicU32::new(0);
static IN_USE: [AtomicU32; LANES] = [const { AtomicU32::new(0) }; LANES];

/// Those that every CPU was seen to hear.
pub(crate) fn offered() -> Kinds {
    Kinds(OFFERED.load(Ordering::Relaxed))
}

/// Those that calls of `lane` ring.
pub(crate) fn in_use(lane: Lane) -> Kinds {
    Kinds(IN_USE[lane as usize].load(Ordering::Relaxed))
}

/// Tries each doorbell on each online CPU; says on the log which are not heard. Task context; no
/// one else calls yet.
pub(crate) fn try_all(engine: &Engine) {
    let mut heard = Kinds::NONE;
    // A CPU that went offline meanwhile would not hear.
    // SAFETY: Task context; unlocked below.
    unsafe { shim::xcall_shim_cpus_read_lock() };
    for bell in engine.doorbells() {
        let kind = bell.kind();
        engine.allow_doorbells(Lane::NmiSafe, |other| other.kind() == kind);
        match try_one(engine, bell) {
            Ok(()) => heard.insert(kind),
            Err(why) => pr_warn!(
                "{}\n",
                format_args!("without doorbell {}: {}", kind.name(), why)
            ),
        }
    }
    // SAFETY: Locked above.
    unsafe { shim::xcall_shim_cpus_read_unlock() };
    OFFERED.store(heard.0, Ordering::Relaxed);
}

/// Why a doorbell is not used.
enum Unheard {
    /// It was refused, or these CPUs did not hear it.
    Call(CallError),
    /// As above, rung with interrupts off.
    WithIrqsOff(CallError),
    /// This CPU did not hear a ring of its own.
    Own(CpuId),
}

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (error, how) = match self {
            Unheard::Call(error) => (error, ""),
            Unheard::WithIrqsOff(error) => (error, " rung with interrupts off"),
            Unheard::Own(cpu) => return write!(f, "{cpu} did not hear a ring of its own"),
        };
        match error {
            CallError::Timeout(timeout) => write!(f, "{} did not hear it{how}", timeout.silent),
            error => write!(f, "{error}{how}"),
        }
    }
}

/// Rings every CPU, `bell` being the only doorbell allowed.
fn try_one(engine: &Engine, bell: &Bell) -> core::result::Result<(), Unheard> {
    let call = || {
        // SAFETY: An empty function may run anywhere.
        let nothing = unsafe { Work::nmi_safe(&|| {}) };
        engine.call_all(nothing.within_ns(TRIAL_NS)).map(|_| ())
    };
    call().map_err(Unheard::Call)?;
    // An NMI is sent another way then.
    if bell.is_nmi() {
        let irqs = engine.platform().irqs_off();
        let result = call();
        engine.platform().irqs_restore(irqs);
        result.map_err(Unheard::WithIrqsOff)?;
    }
    // Where there is one CPU, nobody has rung yet.
    let cpu = current_cpu_racy();
    match bell.ring_and_wait(engine.platform(), cpu, (TRIAL_NS / 1_000_000) as u32) {
        Some(_) => Ok(()),
        None => Err(Unheard::Own(cpu)),
    }
}

/// Follows the module's parameter, and says once what came of it. Task context.
pub(crate) fn decide(engine: &Engine, forced: Kinds) {
    let offered = offered();
    for kind in Kind::ALL {
        if forced.contains(kind) && !offered.contains(kind) {
            pr_warn!(
                "{}\n",
                format_args!("parameter doorbell: this machine has no {}", kind.name())
            );
        }
    }
    FORCED_AT_LOAD.store(forced.0, Ordering::Relaxed);
    apply(engine, forced.0);
    pr_info!(
        "{}\n",
        format_args!(
            "{} CPUs, doorbells {}: NMI-safe calls ring {}; ordinary calls ring {}",
            engine.config().cpus,
            offered,
            in_use(Lane::NmiSafe),
            in_use(Lane::Ordinary)
        )
    );
}

/// Takes `kind` out for good: a CPU would not hear it. Task context.
pub(crate) fn give_up(engine: &Engine, kind: Kind) {
    let without = !Kinds::of(kind).0;
    let before = OFFERED.fetch_and(without, Ordering::Relaxed);
    if !Kinds(before).contains(kind) {
        // Not tried yet, or given up already.
        return;
    }
    let left = before & without;
    apply(engine, FORCED_AT_LOAD.load(Ordering::Relaxed));
    pr_warn!(
        "{}\n",
        format_args!(
            "without doorbell {} from now on: {} left",
            kind.name(),
            Kinds(left)
        )
    );
}

/// Lets calls ring those in `names`, or as decided at load. Any context.
pub(crate) fn select(engine: &Engine, names: &str) -> Result {
    let candidates = offered().candidates();
    let forced = match parse_offered(names, &candidates) {
        Ok(0) => FORCED_AT_LOAD.load(Ordering::Relaxed),
        Ok(forced) => forced,
        Err(_) => return Err(ENOENT),
    };
    apply(engine, forced);
    Ok(())
}

fn apply(engine: &Engine, forced: Chosen) {
    let candidates = offered().candidates();
    for lane in Lane::ALL {
        let chosen = Kinds(choose(lane, &candidates, forced));
        IN_USE[lane as usize].store(chosen.0, Ordering::Relaxed);
        engine.allow_doorbells(lane, |bell| chosen.contains(bell.kind()));
    }
}

/// Doorbell number `index` as other modules see it.
pub(crate) fn describe(engine: &Engine, index: u32) -> Option<xcall_interface::Doorbell> {
    let kind = *Kind::ALL.get(index as usize)?;
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let mut doorbell = xcall_interface::Doorbell {
        flags: flag(offered().contains(kind), xcall_interface::DOORBELL_OFFERED)
            | flag(
                in_use(Lane::NmiSafe).contains(kind),
                xcall_interface::DOORBELL_NMI_SAFE,
            )
            | flag(
                in_use(Lane::Ordinary).contains(kind),
                xcall_interface::DOORBELL_ORDINARY,
            )
            | flag(kind.maskable(), xcall_interface::DOORBELL_MASKABLE)
            | flag(kind.rings_from_nmi(), xcall_interface::DOORBELL_FROM_NMI),
        ..Default::default()
    };
    crate::export::copy_name(&mut doorbell.name, kind.name());
    for heard in engine.platform().heard.iter() {
        doorbell.heard += heard.runs[kind as usize].load(Ordering::Relaxed);
        doorbell.heard_empty += heard.empty[kind as usize].load(Ordering::Relaxed);
    }
    Some(doorbell)
}

/// How long calls took that rang doorbell number `index` last; none, if this machine lacks it. None
/// past the last.
pub(crate) fn latency(engine: &Engine, index: u32) -> Option<Histogram> {
    let kind = *Kind::ALL.get(index as usize)?;
    let mut sum = Histogram::default();
    if let Some(number) = engine.doorbells().position(|bell| bell.kind() == kind) {
        for cpu in (0..engine.config().cpus).map(CpuId) {
            if let Some(histogram) = engine.latency(cpu, number) {
                sum += &histogram;
            }
        }
    }
    Some(sum)
}
