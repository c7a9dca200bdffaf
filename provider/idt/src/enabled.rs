// SPDX-License-Identifier: GPL-2.0
//! Which probe a vector fires.

use crate::vector::{Vector, VECTORS};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Nothing is enabled there: probe numbers begin with 1.
pub const NO_PROBE: u32 = 0;

/// The enabled probes, by [`Vector::place`].
pub struct Enabled {
    probes: [AtomicU32; VECTORS],
}

impl Enabled {
    /// None is.
    pub const fn new() -> Self {
        Self {
            probes: [const { AtomicU32::new(NO_PROBE) }; VECTORS],
        }
    }

    /// The probe to fire, if one is enabled. Any context.
    #[inline]
    pub fn get(&self, vector: Vector) -> Option<u32> {
        // Relaxed: only a number. What it stands for was published by whoever enabled it, and is
        // looked up again, in order, when it fires.
        let probe = self.probes.get(vector.place())?.load(Relaxed);
        (probe != NO_PROBE).then_some(probe)
    }

    /// Has `probe` fire there from now on, or nothing ([`NO_PROBE`]). Firings that have begun go on.
    pub fn set(&self, vector: Vector, probe: u32) {
        if let Some(place) = self.probes.get(vector.place()) {
            // Relaxed: as in `get`.
            place.store(probe, Relaxed);
        }
    }
}

impl Default for Enabled {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vector_is_enabled_by_itself() {
        let enabled = Enabled::new();
        let [first, second] = [Vector::at(3), Vector::at(14)].map(Option::unwrap);
        enabled.set(second, 7);
        assert_eq!(enabled.get(first), None);
        assert_eq!(enabled.get(second), Some(7));
        enabled.set(second, NO_PROBE);
        assert_eq!(enabled.get(second), None);
    }
}
