// SPDX-License-Identifier: GPL-2.0
//! Which doorbells calls ring: what the machine has shown to work, less what is forbidden, and of
//! that what is forced or else the machine's default (`xcall::choice`).

use crate::doorbell::{Kind, Kinds};
use crate::platform::Engine;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;
use xcall::choice::{choose, parse_offered, Chosen};
use xcall::{Error as CallError, Lane, Work, LANES};

/// How long a doorbell may take to be heard by every CPU when it is tried, in nanoseconds.
const TRIAL_NS: u64 = 5_000_000_000;

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
    for kind in engine.doorbells().map(|bell| bell.kind()) {
        engine.allow_doorbells(Lane::NmiSafe, |bell| bell.kind() == kind);
        // SAFETY: An empty function may run anywhere.
        let nothing = unsafe { Work::nmi_safe(&|| {}) }.within_ns(TRIAL_NS);
        match engine.call_all(nothing) {
            Ok(_) => heard.insert(kind),
            Err(CallError::Timeout(timeout)) => pr_warn!(
                "{}\n",
                format_args!(
                    "without doorbell {}: {} did not hear it",
                    kind.name(),
                    timeout.silent
                )
            ),
            Err(error) => pr_warn!(
                "{}\n",
                format_args!("without doorbell {}: {}", kind.name(), error)
            ),
        }
    }
    OFFERED.store(heard.0, Ordering::Relaxed);
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
