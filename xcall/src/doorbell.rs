// SPDX-License-Identifier: GPL-2.0
//! Doorbells: ways to make another CPU look into its mailbox; and the ladder of those at hand.

use crate::call::Lane;
use crate::context::Here;
use crate::cpu::{CpuId, CpuSet};
use core::sync::atomic::{AtomicU32, Ordering};

/// A way to make another CPU call [`Engine::answer`](crate::Engine::answer).
///
/// Rings may be lost, late, or folded together: the engine rings again.
pub trait Doorbell: Sync {
    /// Its name, as operators write it.
    fn name(&self) -> &'static str;

    /// Whether its handler drains `lane`.
    fn drains(&self, lane: Lane) -> bool;

    /// Whether a target with interrupts off does not hear it.
    fn maskable(&self) -> bool;

    /// Whether it may be rung from an NMI.
    fn rings_from_nmi(&self) -> bool;

    /// Rings at each of `targets`. Called from any context, but from an NMI only if
    /// [`rings_from_nmi`](Self::rings_from_nmi).
    fn ring(&self, here: &Here, targets: CpuSet<'_>);

    /// Rings at one CPU. Called as [`ring`](Self::ring) is.
    fn ring_one(&self, here: &Here, cpu: CpuId);
}

/// The most doorbells an engine takes.
pub const MAX_DOORBELLS: usize = 4;

/// The doorbells of an engine, weakest first; each lane uses a range of them.
///
/// A call rings the first of its lane's range and climbs from there while targets stay silent.
#[derive(Debug)]
pub(crate) struct Ladder<D> {
    rungs: [Option<D>; MAX_DOORBELLS],
    /// Per lane: a bit for each rung it may use. Relaxed: any value ever set is a good one.
    allowed: [AtomicU32; 2],
    /// A bit for each rung that may be rung from an NMI.
    from_nmi: u32,
}

/// A rung of the ladder: the doorbell's place, weakest 0.
pub(crate) type Rung = usize;

impl<D: Doorbell> Ladder<D> {
    pub(crate) fn new(bells: impl IntoIterator<Item = D>) -> Self {
        let mut rungs = [const { None }; MAX_DOORBELLS];
        for (place, bell) in rungs.iter_mut().zip(bells) {
            *place = Some(bell);
        }
        let from_nmi = |(rung, bell): (usize, &Option<D>)| {
            let can = bell.as_ref().is_some_and(D::rings_from_nmi);
            u32::from(can) << rung
        };
        let ladder = Self {
            from_nmi: rungs.iter().enumerate().map(from_nmi).sum(),
            rungs,
            allowed: [const { AtomicU32::new(0) }; 2],
        };
        for lane in Lane::ALL {
            ladder.allow(lane, |_| true);
        }
        ladder
    }

    /// Allows `lane` those doorbells that drain it and that `wanted` names; returns how many.
    pub(crate) fn allow(&self, lane: Lane, wanted: impl Fn(&D) -> bool) -> u32 {
        let mut bits = 0;
        for (rung, bell) in self.rungs.iter().enumerate() {
            if bell.as_ref().is_some_and(|b| b.drains(lane) && wanted(b)) {
                bits |= 1 << rung;
            }
        }
        // Relaxed: see the field.
        self.allowed[lane.index()].store(bits, Ordering::Relaxed);
        bits.count_ones()
    }

    /// The weakest doorbell of `lane` at or above `from` that can be rung from `here`.
    #[inline]
    pub(crate) fn at_least(&self, here: &Here, lane: Lane, from: Rung) -> Option<Rung> {
        // Relaxed: see the field.
        let mut allowed = self.allowed[lane.index()].load(Ordering::Relaxed);
        if here.in_nmi() {
            allowed &= self.from_nmi;
        }
        allowed &= u32::MAX << from;
        (allowed != 0).then(|| allowed.trailing_zeros() as Rung)
    }

    /// `rung` itself, allowed or not, if calls of `lane` can ring it from `here`.
    pub(crate) fn alone(&self, here: &Here, lane: Lane, rung: Rung) -> Option<Rung> {
        let bell = self.get(rung)?;
        let serves = bell.drains(lane) && (!here.in_nmi() || bell.rings_from_nmi());
        serves.then_some(rung)
    }

    /// Whether `lane` may use any doorbell at all, here or elsewhere.
    pub(crate) fn has_any(&self, lane: Lane) -> bool {
        // Relaxed: see the field.
        self.allowed[lane.index()].load(Ordering::Relaxed) != 0
    }

    #[inline]
    pub(crate) fn get(&self, rung: Rung) -> Option<&D> {
        self.rungs.get(rung).and_then(Option::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &D> {
        self.rungs.iter().flatten()
    }

    #[inline]
    pub(crate) fn name(&self, rung: Rung) -> &'static str {
        self.get(rung).map_or("none", Doorbell::name)
    }
}
