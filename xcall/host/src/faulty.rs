// SPDX-License-Identifier: GPL-2.0
//! A doorbell whose rings get lost, come late, and come twice.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use xcall::{words_for, CpuId, CpuSet, CpuSetMut, Doorbell, Here, Lane, MAX_CPUS};

const WORDS: usize = words_for(MAX_CPUS);

/// How often what goes wrong, in percent of the rings. Their sum is at most 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never comes.
    pub drop: u8,
    /// Comes with a later ring, at whomever.
    pub delay: u8,
    /// Comes twice.
    pub duplicate: u8,
}

impl Faults {
    /// Whether anything goes wrong.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// Doorbell `D` with [`Faults`]. Which ring is hit follows from the seed and the order of rings.
#[derive(Debug)]
pub struct Faulty<D> {
    inner: D,
    faults: Faults,
    seed: u64,
    draws: AtomicU64,
    late: [AtomicU64; WORDS],
    dropped: AtomicU64,
    delayed: AtomicU64,
    duplicated: AtomicU64,
}

impl<D: Doorbell> Faulty<D> {
    /// `inner`, with `faults`.
    pub fn new(inner: D, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            seed,
            draws: AtomicU64::new(0),
            late: [const { AtomicU64::new(0) }; WORDS],
            dropped: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
        }
    }

    /// Rings dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Rings delayed so far.
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Relaxed)
    }

    /// Rings duplicated so far.
    pub fn duplicated(&self) -> u64 {
        self.duplicated.load(Relaxed)
    }

    /// 0 to 99, by splitmix64 over a shared count: no lock, so it may be drawn in a signal handler.
    fn percent(&self) -> u8 {
        let n = self.draws.fetch_add(1, Relaxed);
        let mut z = self
            .seed
            .wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % 100) as u8
    }
}

impl<D: Doorbell> Doorbell for Faulty<D> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn drains(&self, lane: Lane) -> bool {
        self.inner.drains(lane)
    }

    fn maskable(&self) -> bool {
        self.inner.maskable()
    }

    fn rings_from_nmi(&self) -> bool {
        self.inner.rings_from_nmi()
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        let Faults {
            drop,
            delay,
            duplicate,
        } = self.faults;
        let mut once = [0; WORDS];
        let mut twice = [0; WORDS];
        for (word, late) in once.iter_mut().zip(&self.late) {
            if late.load(Relaxed) != 0 {
                *word = late.swap(0, Relaxed);
            }
        }
        let mut ring = CpuSetMut::new(&mut once);
        let mut again = CpuSetMut::new(&mut twice);
        for cpu in targets.iter() {
            match self.percent() {
                n if n < drop => {
                    self.dropped.fetch_add(1, Relaxed);
                }
                n if n < drop + delay => {
                    self.delayed.fetch_add(1, Relaxed);
                    self.late[cpu.index() / 64].fetch_or(1 << (cpu.index() % 64), Relaxed);
                }
                n => {
                    ring.insert(cpu);
                    if n < drop + delay + duplicate {
                        self.duplicated.fetch_add(1, Relaxed);
                        again.insert(cpu);
                    }
                }
            }
        }
        for set in [ring.as_set(), again.as_set()] {
            if !set.is_empty() {
                self.inner.ring(here, set);
            }
        }
    }

    fn ring_one(&self, here: &Here, cpu: CpuId) {
        let mut words = [0; WORDS];
        let mut targets = CpuSetMut::new(&mut words);
        targets.insert(cpu);
        self.ring(here, targets.as_set());
    }
}
