// SPDX-License-Identifier: GPL-2.0
//! Spoilt rings: some dropped, some late, some doubled.

use crate::guest::now_ns;
use crate::shim;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use kernel::prelude::*;
use xcall_interface::xcall_set_ring_filter;
use xcall_stress_protocol::Faults;

/// The longest a ring is late, in nanoseconds. The ringing CPU spins that long.
const LATE_NS: u64 = 50_000;

static DROP: AtomicU32 = AtomicU32::new(0);
static DELAY: AtomicU32 = AtomicU32::new(0);
static DUPLICATE: AtomicU32 = AtomicU32::new(0);
/// The seed, counted up with each ring.
static DRAWS: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicU64 = AtomicU64::new(0);

/// Spoils rings until it is dropped.
pub(crate) struct Spoiler(());

impl Spoiler {
    /// None if nothing is to be spoilt.
    pub(crate) fn new(faults: Faults, seed: u64) -> Result<Option<Self>> {
        HITS.store(0, Relaxed);
        if !faults.any() {
            return Ok(None);
        }
        DROP.store(faults.drop, Relaxed);
        DELAY.store(faults.delay, Relaxed);
        DUPLICATE.store(faults.duplicate, Relaxed);
        DRAWS.store(seed, Relaxed);
        // SAFETY: `rings` may be called from any context, until Drop has taken it away.
        kernel::error::to_result(unsafe { xcall_set_ring_filter(Some(rings)) })?;
        Ok(Some(Self(())))
    }
}

impl Drop for Spoiler {
    fn drop(&mut self) {
        // SAFETY: no filter.
        unsafe { xcall_set_ring_filter(None) };
    }
}

/// Rings spoilt by the storm that is going on.
pub(crate) fn hits() -> u64 {
    HITS.load(Relaxed)
}

/// How often to ring. Any context.
unsafe extern "C" fn rings(_cpu: u32) -> u32 {
    // splitmix64 over a shared count: no lock.
    let mut z = DRAWS.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let percent = (z % 100) as u32;
    let dropped = DROP.load(Relaxed);
    let delayed = dropped + DELAY.load(Relaxed);
    let doubled = delayed + DUPLICATE.load(Relaxed);
    if percent >= doubled {
        return 1;
    }
    HITS.fetch_add(1, Relaxed);
    if percent < dropped {
        return 0;
    }
    if percent < delayed {
        let until_ns = now_ns() + (z >> 32) % LATE_NS;
        while now_ns() < until_ns {
            // SAFETY: any context.
            unsafe { shim::xcall_stress_shim_cpu_relax() };
        }
        return 1;
    }
    2
}
