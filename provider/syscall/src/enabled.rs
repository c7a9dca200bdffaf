// SPDX-License-Identifier: GPL-2.0
//! Which probe an entry or a return fires.

use crate::{Call, Side, PLACES};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Nothing is enabled there: probe numbers begin with 1.
pub const NO_PROBE: u32 = 0;

/// Of the table, a power of two: [`PLACES`] at least.
const ROOM: usize = PLACES.next_power_of_two();

/// The enabled probes, by [`Call::place`]. Its index is masked, not only compared: the number is the
/// user's, and a processor that guesses the comparison wrong must not read behind the table either.
pub struct Enabled {
    probes: [AtomicU32; ROOM],
}

impl Enabled {
    /// None is.
    pub const fn new() -> Self {
        Self {
            probes: [const { AtomicU32::new(NO_PROBE) }; ROOM],
        }
    }

    /// The probe to fire, or [`NO_PROBE`]. Any context.
    #[inline]
    pub fn get(&self, call: Call, side: Side) -> u32 {
        // Relaxed: only a number. What it stands for was published by whoever enabled it, and is
        // looked up again, in order, when it fires.
        self.probes
            .get(call.place(side) & (ROOM - 1))
            .map_or(NO_PROBE, |probe| probe.load(Relaxed))
    }

    /// Has `probe` fire there from now on, or nothing ([`NO_PROBE`]). Firings that have begun go on.
    pub fn set(&self, call: Call, side: Side, probe: u32) {
        if let Some(place) = self.probes.get(call.place(side)) {
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
    use crate::Abi;

    #[test]
    fn each_end_is_enabled_by_itself() {
        let enabled = Box::new(Enabled::new());
        let read = Call::new(Abi::Native, 0).unwrap();
        let other = Call::new(Abi::Ia32, 0).unwrap();
        enabled.set(read, Side::Entry, 7);
        assert_eq!(enabled.get(read, Side::Entry), 7);
        assert_eq!(enabled.get(read, Side::Return), NO_PROBE);
        assert_eq!(enabled.get(other, Side::Entry), NO_PROBE);
        enabled.set(read, Side::Entry, NO_PROBE);
        assert_eq!(enabled.get(read, Side::Entry), NO_PROBE);
    }
}
