// SPDX-License-Identifier: GPL-2.0
//! A CPU that spins with interrupts off until it is let go: what must reach it then is not maskable.

use crate::guest::{now_ns, this_cpu};
use crate::shim;
use core::sync::atomic::{AtomicU32, Ordering::*};
use kernel::prelude::*;
use xcall_stress_protocol::{Hold, LONGEST_HOLD_MS};

/// No CPU is held.
const FREE: u32 = 0;
/// One is let go.
const LET_GO: u32 = u32::MAX;

/// `FREE`, the number of the CPU that is held plus one, or `LET_GO`. AcqRel where it changes: who finds a
/// CPU held finds it with interrupts off.
static STATE: AtomicU32 = AtomicU32::new(FREE);

/// What is said of a CPU by its place in `STATE`.
fn said(state: u32) -> Hold {
    let is_held = state != FREE && state != LET_GO;
    Hold {
        size: size_of::<Hold>() as u32,
        cpu: state.wrapping_sub(1),
        held: u32::from(is_held),
        ..Hold::default()
    }
}

/// Keeps this CPU. A task. EBUSY: one is kept already.
pub(crate) fn hold(limit_ms: u32) -> Result<Hold> {
    if !(1..=LONGEST_HOLD_MS).contains(&limit_ms) {
        return Err(EINVAL);
    }
    // SAFETY: restored below, by the same task on the same CPU.
    let flags = unsafe { shim::xcall_stress_shim_local_irq_save() };
    let me = this_cpu().wrapping_add(1);
    let begin_ns = now_ns();
    let result = STATE.compare_exchange(FREE, me, AcqRel, Relaxed);
    let mut held_ns = 0;
    if result.is_ok() {
        let limit_ns = u64::from(limit_ms).saturating_mul(1_000_000);
        while STATE.load(Acquire) == me && held_ns < limit_ns {
            // SAFETY: any context.
            unsafe { shim::xcall_stress_shim_cpu_relax() };
            held_ns = now_ns().saturating_sub(begin_ns);
        }
    }
    let left = match result {
        Ok(_) => STATE.swap(FREE, AcqRel),
        Err(_) => FREE,
    };
    // SAFETY: saved above.
    unsafe { shim::xcall_stress_shim_local_irq_restore(flags) };
    match result {
        Ok(_) => Ok(Hold {
            held: u32::from(left == LET_GO),
            held_ns,
            limit_ms,
            ..said(me)
        }),
        Err(_) => Err(EBUSY),
    }
}

/// Which CPU is held.
pub(crate) fn held() -> Hold {
    said(STATE.load(Acquire))
}

/// Lets it go; says which it was.
pub(crate) fn release() -> Hold {
    let state = STATE.load(Acquire);
    let found = said(state);
    if found.held == 0 {
        return found;
    }
    // Its time limit may have come first.
    match STATE.compare_exchange(state, LET_GO, AcqRel, Relaxed) {
        Ok(_) => found,
        Err(_) => said(FREE),
    }
}
