// SPDX-License-Identifier: GPL-2.0
//! Where the caller stands: its CPU, its context level, its interrupts.

use crate::call::Lane;
use crate::cpu::CpuId;
use core::marker::PhantomData;

/// Context levels, each able to interrupt those above it in this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A task.
    Task = 0,
    /// A soft interrupt.
    SoftIrq = 1,
    /// A hard interrupt.
    HardIrq = 2,
    /// A non-maskable interrupt. Linux counts breakpoints and debug traps in the kernel as one too: there,
    /// and in an NMI on top of it, waits share this level's slot and limits.
    Nmi = 3,
}

/// How many context levels there are.
pub const LEVELS: usize = 4;

/// Proof that the caller stays on this CPU, and what it may do there.
///
/// Minted by [`Platform::pin`](crate::Platform::pin) only. Neither `Send` nor `Sync`: it is about this CPU.
#[derive(Debug)]
pub struct Here {
    cpu: CpuId,
    level: Level,
    irqs_on: bool,
    _this_cpu: PhantomData<*mut ()>,
}

static_assertions::assert_not_impl_any!(Here: Send, Sync, Clone);

impl Here {
    /// States where the caller stands.
    ///
    /// # Safety
    ///
    /// 1. The caller runs on `cpu` and does not move to another while the value lives.
    /// 2. `level` is its context level; `irqs_on` says whether maskable interrupts are on, and they are so
    ///    again whenever a function that was given the value returns.
    pub const unsafe fn new(cpu: CpuId, level: Level, irqs_on: bool) -> Self {
        Self {
            cpu,
            level,
            irqs_on,
            _this_cpu: PhantomData,
        }
    }

    /// The CPU.
    #[inline]
    pub const fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// The context level.
    #[inline]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether this is an NMI.
    #[inline]
    pub const fn in_nmi(&self) -> bool {
        matches!(self.level, Level::Nmi)
    }

    /// Whether maskable interrupts are on.
    #[inline]
    pub const fn irqs_on(&self) -> bool {
        self.irqs_on
    }

    /// Whether calls of `lane` may run on this CPU right here.
    ///
    /// With interrupts off (or in an NMI) the code we interrupted may hold a lock that an ordinary
    /// function takes with interrupts off; only NMI-safe functions may run then.
    #[inline]
    pub fn may_run(&self, lane: Lane) -> bool {
        match lane {
            Lane::NmiSafe => true,
            Lane::Ordinary => self.irqs_on && !self.in_nmi(),
        }
    }
}
