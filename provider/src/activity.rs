// SPDX-License-Identifier: GPL-2.0
//! What a consumer is doing: one word, and who may fire in it.
//!
//! ```text
//!  inactive -> warmup -> active -> draining -> cooldown -> stopped
//!                 \_____________/      killed: from any of them
//! ```
//! GO: warmup, BEGIN fires, active. exit(): draining, by a probe. STOP: draining, END fires, cooldown,
//! stopped; each step of STOP is followed by a sync.

use crate::primitive::{AtomicU32, Ordering};

/// An activity state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Activity {
    /// Before GO.
    Inactive = 0,
    /// BEGIN fires.
    Warmup = 1,
    /// All probes fire.
    Active = 2,
    /// exit() or STOP: END is to fire.
    Draining = 3,
    /// END has fired.
    Cooldown = 4,
    /// Nothing fires any more.
    Stopped = 5,
    /// Stopped by the module.
    Killed = 6,
}

impl Activity {
    const ALL: [Self; 7] = [
        Self::Inactive,
        Self::Warmup,
        Self::Active,
        Self::Draining,
        Self::Cooldown,
        Self::Stopped,
        Self::Killed,
    ];
}

/// Which probes an activity lets fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// dtrace:::BEGIN.
    Begin,
    /// dtrace:::END.
    End,
    /// dtrace:::ERROR: wherever the probe that failed may fire.
    Error,
    /// Any other.
    Any,
}

/// The word.
pub(crate) struct ActivityWord(AtomicU32);

impl ActivityWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(Activity::Inactive as u32))
    }

    pub(crate) fn get(&self) -> Activity {
        // Acquire activity:B, pairs with activity:A.
        let raw = self.0.load(Ordering::Acquire) as usize;
        Activity::ALL.get(raw).copied().unwrap_or(Activity::Killed)
    }

    /// Whether a probe of `role` may fire now. Probe context.
    #[inline]
    pub(crate) fn lets(&self, role: Role) -> bool {
        // Acquire activity:B, pairs with activity:A.
        if self.0.load(Ordering::Acquire) == Activity::Active as u32 {
            return true;
        }
        match self.get() {
            Activity::Warmup => matches!(role, Role::Begin | Role::Error),
            Activity::Draining => matches!(role, Role::End | Role::Error),
            _ => false,
        }
    }

    /// One step, if the word is at `from`. Any context.
    pub(crate) fn step(&self, from: Activity, to: Activity) -> bool {
        // Release activity:A, pairs with activity:B: a probe that may fire sees what GO made.
        self.0
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// exit(): no further probe is to fire. Probe context.
    pub(crate) fn exit(&self) {
        if !self.step(Activity::Active, Activity::Draining) {
            self.step(Activity::Warmup, Activity::Draining);
        }
    }

    /// Nothing fires from now on, if all probes did. Whether that was so. Any context.
    pub(crate) fn kill_active(&self) -> bool {
        self.step(Activity::Active, Activity::Killed)
    }

    /// Nothing fires from now on. Any context.
    pub(crate) fn kill(&self) {
        // Release: as in step.
        self.0.store(Activity::Killed as u32, Ordering::Release);
    }
}
