// SPDX-License-Identifier: GPL-2.0
//! Who in the kernel tells of exceptions and interrupts.

/// A hook of the kernel's. Its number is the same in `shim_idt.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Tracepoint `exceptions:page_fault_user`, interrupts off.
    PageFaultUser,
    /// Tracepoint `exceptions:page_fault_kernel`, interrupts off.
    PageFaultKernel,
    /// The die notifier: int3, debug and most traps.
    Die,
    /// Tracepoint `signal:signal_generate`: exceptions of user code of which nobody else is told.
    Signal,
    /// A handler of local NMIs, which says of none that it was its own.
    Nmi,
    /// A tracepoint of `irq_vectors`, by its place among [`INTERRUPTS`].
    Interrupt(u8),
}

/// The tracepoints `irq_vectors:NAME_entry`.
pub(crate) const INTERRUPTS: [&str; 11] = [
    "local_timer",
    "reschedule",
    "call_function",
    "call_function_single",
    "irq_work",
    "x86_platform_ipi",
    "error_apic",
    "spurious_apic",
    "thermal_apic",
    "threshold_apic",
    "deferred_error_apic",
];

/// Sources that are no interrupts.
const FIRST_INTERRUPT: usize = 5;

impl Source {
    /// How many there are.
    pub const COUNT: usize = FIRST_INTERRUPT + INTERRUPTS.len();

    /// Its number, less than [`COUNT`](Self::COUNT).
    pub fn number(self) -> usize {
        match self {
            Self::PageFaultUser => 0,
            Self::PageFaultKernel => 1,
            Self::Die => 2,
            Self::Signal => 3,
            Self::Nmi => 4,
            Self::Interrupt(at) => FIRST_INTERRUPT.saturating_add(at.into()),
        }
    }

    /// The place among [`INTERRUPTS`] of the source with that number.
    pub(crate) fn interrupt_numbered(number: usize) -> Option<usize> {
        let at = number.checked_sub(FIRST_INTERRUPT)?;
        (at < INTERRUPTS.len()).then_some(at)
    }

    /// All, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::PageFaultUser,
            Self::PageFaultKernel,
            Self::Die,
            Self::Signal,
            Self::Nmi,
        ];
        others
            .into_iter()
            .chain((0..INTERRUPTS.len() as u8).map(Self::Interrupt))
    }

    /// What lists of probes show.
    pub fn name(self) -> &'static str {
        match self {
            Self::PageFaultUser => "exceptions:page_fault_user",
            Self::PageFaultKernel => "exceptions:page_fault_kernel",
            Self::Die => "die notifier",
            Self::Signal => "signal:signal_generate",
            Self::Nmi => "NMI handler",
            Self::Interrupt(_) => "irq_vectors",
        }
    }

    /// Why a probe that needs it is refused where it is not.
    pub(crate) fn absence(self) -> &'static str {
        match self {
            Self::PageFaultUser => "this kernel has no tracepoint exceptions:page_fault_user",
            Self::PageFaultKernel => "this kernel has no tracepoint exceptions:page_fault_kernel",
            Self::Die => "this kernel has no die notifier",
            Self::Signal => "this kernel has no tracepoint signal:signal_generate",
            Self::Nmi => "this kernel has no NMI handlers",
            Self::Interrupt(_) => "this kernel has no such tracepoint in irq_vectors",
        }
    }
}

// A set is a word of 32 bits.
const _: () = assert!(Source::COUNT <= 32);

/// A set of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources(u32);

impl Sources {
    /// None.
    pub const NONE: Self = Self(0);

    /// The set as a word.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// What [`bits`](Self::bits) gave.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// These and `source`.
    #[must_use]
    pub fn with(self, source: Source) -> Self {
        // Source::COUNT is less than 32.
        Self(self.0 | 1_u32.wrapping_shl(source.number() as u32))
    }

    /// Whether `source` is one.
    pub fn has(self, source: Source) -> bool {
        self.with(source) == self
    }

    /// Each.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        Source::all().filter(move |source| self.has(*source))
    }
}

/// What of a machine decides on sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// A paravirtual guest of Xen's: it has no local APIC, and events instead of interrupts.
    pub xen_pv: bool,
    /// Which sources the kernel has.
    pub found: Sources,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_number() {
        let numbers: Vec<usize> = Source::all().map(Source::number).collect();
        assert_eq!(numbers, (0..Source::COUNT).collect::<Vec<_>>());
        assert_eq!(
            Source::interrupt_numbered(Source::COUNT - 1),
            Some(INTERRUPTS.len() - 1)
        );
        assert_eq!(Source::interrupt_numbered(4), None);
        assert_eq!(Source::interrupt_numbered(Source::COUNT), None);
    }

    #[test]
    fn sets_hold_what_was_put_into_them() {
        let set = Sources::NONE.with(Source::Nmi).with(Source::Interrupt(10));
        assert!(set.has(Source::Nmi) && !set.has(Source::Die));
        let all: Vec<Source> = set.iter().collect();
        assert_eq!(all, [Source::Nmi, Source::Interrupt(10)]);
        assert_eq!(Sources::from_bits(set.bits()), set);
    }
}
