// SPDX-License-Identifier: GPL-2.0
//! The doorbells of a kernel, and which of them this machine has.

mod event_channel;
pub(crate) mod filter;
mod ipi;
mod nmi;
mod xen_nmi;

pub(crate) use event_channel::{EventChannel, XenResume};
pub(crate) use ipi::Ipi;
pub(crate) use nmi::Nmi;
pub(crate) use xen_nmi::XenNmi;

use crate::platform::{current_cpu_racy, Engine, Kernel};
use crate::shim;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::prelude::*;
use xcall::choice::{Candidate, Chosen};
use xcall::{CpuId, CpuSet, Doorbell, Here, Lane, Platform};

/// The doorbells there are, weakest first. At most one of the two NMIs is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Ipi = 0,
    EventChannel = 1,
    XenNmi = 2,
    Nmi = 3,
}

impl Kind {
    pub(crate) const ALL: [Kind; Kinds::COUNT] =
        [Kind::Ipi, Kind::EventChannel, Kind::XenNmi, Kind::Nmi];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Ipi => "ipi",
            Kind::EventChannel => "event-channel",
            Kind::XenNmi => "xen-nmi",
            Kind::Nmi => "nmi",
        }
    }

    /// Whether a target with interrupts off does not hear it. Its handler then runs ordinary calls
    /// too: what it interrupted had interrupts on.
    pub(crate) const fn maskable(self) -> bool {
        matches!(self, Kind::Ipi | Kind::EventChannel)
    }

    /// Whether it may be rung from an NMI. The IPI may not: the kernel's queue behind it takes its
    /// lock bit with plain stores (`kernel/smp.c`).
    pub(crate) const fn rings_from_nmi(self) -> bool {
        !matches!(self, Kind::Ipi)
    }

    /// `nmis_heard`: whether an NMI of ours would be heard, or why not.
    fn offer(
        self,
        nmis_heard: core::result::Result<(), Without>,
    ) -> core::result::Result<Bell, Without> {
        if !self.maskable() {
            nmis_heard?;
        }
        Ok(match self {
            Kind::Ipi => Bell::Ipi(Ipi::new()?),
            Kind::EventChannel => Bell::EventChannel(EventChannel::new()?),
            Kind::XenNmi => Bell::XenNmi(XenNmi::new()?),
            Kind::Nmi => Bell::Nmi(Nmi::new()?),
        })
    }
}

/// A set of kinds: bit `n` is the kind of that number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(pub(crate) Chosen);

impl Kinds {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const NONE: Kinds = Kinds(0);

    pub(crate) const fn of(kind: Kind) -> Kinds {
        Kinds(1 << kind as u8)
    }

    pub(crate) const fn contains(self, kind: Kind) -> bool {
        self.0 & Kinds::of(kind).0 != 0
    }

    pub(crate) fn insert(&mut self, kind: Kind) {
        self.0 |= Kinds::of(kind).0;
    }

    /// As candidates for `xcall::choice`, those of `self` offered.
    pub(crate) fn candidates(self) -> [Candidate; Self::COUNT] {
        Kind::ALL.map(|kind| Candidate {
            name: kind.name(),
            drains_ordinary: kind.maskable(),
            fallback: kind == Kind::Ipi,
            offered: self.contains(kind),
        })
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Kinds::NONE {
            return f.write_str("none");
        }
        let members = Kind::ALL.into_iter().filter(|kind| self.contains(*kind));
        for (i, kind) in members.enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, kind.name())?;
        }
        Ok(())
    }
}

/// Why this machine does without a doorbell.
#[derive(Clone, Copy)]
pub(crate) enum Without {
    /// For this reason.
    Because(&'static str),
    /// The kernel or hypervisor refused it.
    Refused(Error),
}

impl From<Error> for Without {
    fn from(error: Error) -> Self {
        Without::Refused(error)
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Without::Because(reason) => f.write_str(reason),
            Without::Refused(error) => write!(f, "refused with error {}", error.to_errno()),
        }
    }
}

/// The doorbells that this kernel and hypervisor provide, less those forbidden; says on the log
/// which others it does without, and why. Task context.
pub(crate) fn offered(
    forbidden: Kinds,
    nmis_heard: core::result::Result<(), Without>,
) -> impl Iterator<Item = Bell> {
    Kind::ALL.into_iter().filter_map(move |kind| {
        let bell = if forbidden.contains(kind) {
            Err(Without::Because("forbidden"))
        } else {
            kind.offer(nmis_heard)
        };
        bell.map_err(|why| {
            pr_info!(
                "{}\n",
                format_args!("without doorbell {}: {}", kind.name(), why)
            )
        })
        .ok()
    })
}

/// A doorbell at work.
pub(crate) enum Bell {
    Ipi(Ipi),
    EventChannel(EventChannel),
    XenNmi(XenNmi),
    Nmi(Nmi),
}

impl Bell {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Bell::Ipi(_) => Kind::Ipi,
            Bell::EventChannel(_) => Kind::EventChannel,
            Bell::XenNmi(_) => Kind::XenNmi,
            Bell::Nmi(_) => Kind::Nmi,
        }
    }

    /// Whether its rings arrive as NMIs.
    pub(crate) const fn is_nmi(&self) -> bool {
        !self.kind().maskable()
    }

    /// `cpu` comes online. False: it will not hear this doorbell. Task context.
    #[must_use]
    pub(crate) fn cpu_online(&self, cpu: CpuId) -> bool {
        match self {
            Bell::EventChannel(bell) => bell.cpu_online(cpu),
            Bell::Ipi(_) | Bell::XenNmi(_) | Bell::Nmi(_) => true,
        }
    }

    /// Gives back what the kernel and hypervisor lent; rings on their way have ended when this
    /// returns. Nobody rings any more. Task context.
    pub(crate) fn retire(&self) {
        match self {
            Bell::Ipi(bell) => bell.retire(),
            Bell::EventChannel(bell) => bell.retire(),
            // The NMI handlers are given back in nmi.rs.
            Bell::XenNmi(_) | Bell::Nmi(_) => {}
        }
    }

    /// Rings `cpu`, past the engine and the filter, and waits until its handler has run, at most
    /// `most_ms` milliseconds. Returns how many are left; None: it has not run. Task context.
    pub(crate) fn ring_and_wait(&self, kernel: &Kernel, cpu: CpuId, most_ms: u32) -> Option<u32> {
        let runs = &kernel.heard.get(cpu)?.runs[self.kind() as usize];
        // Relaxed: a counter; the handler that raises it is what we wait for.
        let before = runs.load(Ordering::Relaxed);
        let here = kernel.pin();
        self.ring_at(&here, cpu);
        kernel.unpin(here);
        for waited_ms in 0..=most_ms {
            if runs.load(Ordering::Relaxed) != before {
                return Some(most_ms - waited_ms);
            }
            // SAFETY: Task context.
            unsafe { shim::xcall_shim_msleep(1) };
        }
        None
    }

    fn ring_all(&self, here: &Here, targets: CpuSet<'_>) {
        match self {
            Bell::Nmi(bell) => bell.ring_all(here, targets),
            _ => targets.iter().for_each(|cpu| self.ring_at(here, cpu)),
        }
    }

    fn ring_at(&self, here: &Here, cpu: CpuId) {
        match self {
            Bell::Ipi(bell) => bell.ring_one(here, cpu),
            Bell::EventChannel(bell) => bell.ring_one(cpu),
            Bell::XenNmi(bell) => bell.ring_one(cpu),
            Bell::Nmi(bell) => bell.ring_one(here, cpu),
        }
    }
}

impl Doorbell for Bell {
    fn name(&self) -> &'static str {
        self.kind().name()
    }

    fn drains(&self, lane: Lane) -> bool {
        lane == Lane::NmiSafe || self.maskable()
    }

    fn maskable(&self) -> bool {
        self.kind().maskable()
    }

    fn rings_from_nmi(&self) -> bool {
        self.kind().rings_from_nmi()
    }

    fn ring(&self, here: &Here, targets: CpuSet<'_>) {
        match filter::get() {
            None => self.ring_all(here, targets),
            Some(_) => targets.iter().for_each(|cpu| self.ring_one(here, cpu)),
        }
    }

    fn ring_one(&self, here: &Here, cpu: CpuId) {
        let times = filter::get().map_or(1, |filter| filter.times(cpu));
        for _ in 0..times {
            self.ring_at(here, cpu);
        }
    }
}

/// Counts one up. Only handlers of one kind on one CPU do, and those do not nest, so nothing comes
/// between load and store.
fn count(counter: &AtomicU64) {
    // Relaxed: counters decide nothing.
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// What every handler does: run the calls of `lanes` on this CPU, and count. Returns how many ran.
/// Any context, preemption off.
pub(crate) fn answer(engine: &Engine, kind: Kind, lanes: &[Lane]) -> u32 {
    let ran = engine.answer(lanes);
    if let Some(heard) = engine.platform().heard.get(current_cpu_racy()) {
        count(&heard.runs[kind as usize]);
        if ran == 0 {
            count(&heard.empty[kind as usize]);
        }
    }
    ran
}
