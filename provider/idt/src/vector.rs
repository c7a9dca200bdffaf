// SPDX-License-Identifier: GPL-2.0
//! Vectors: their names, and who tells of them.

use crate::source::{Machine, Source, Sources, INTERRUPTS};

/// How many there are: those of exceptions have their own numbers, those of interrupts come behind.
pub const VECTORS: usize = EXCEPTIONS.len() + INTERRUPTS.len();

/// A vector of the IDT.
///
/// # Invariants
///
/// Its place is less than [`VECTORS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    place: u8,
}

/// Why a vector has no probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub &'static str);

/// Who tells of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    PageFault,
    /// Of the kernel's and of user code's.
    Die,
    /// By the die notifier of the kernel's that nothing corrects, by a signal of user code's.
    DieAndSignal,
    Nmi,
    Nobody(&'static str),
}

const NO_HOOK: Told = Told::Nobody("the kernel calls nobody when it comes");
const RESERVED: Told = Told::Nobody("a reserved vector");

/// As in the kernel (`exc_NAME`, arch/x86/include/asm/idtentry.h), by number.
const EXCEPTIONS: [(&str, Told); 32] = [
    ("divide_error", Told::Die),
    ("debug", Told::Die),
    ("nmi", Told::Nmi),
    ("int3", Told::Die),
    ("overflow", Told::Die),
    ("bounds", Told::Die),
    ("invalid_op", Told::Die),
    ("device_not_available", NO_HOOK),
    (
        "double_fault",
        Told::Nobody("the kernel's state is not known when it comes"),
    ),
    ("coproc_segment_overrun", Told::Die),
    ("invalid_tss", Told::Die),
    ("segment_not_present", Told::Die),
    ("stack_segment", Told::Die),
    ("general_protection", Told::DieAndSignal),
    ("page_fault", Told::PageFault),
    ("spurious_interrupt_bug", NO_HOOK),
    ("coprocessor_error", Told::DieAndSignal),
    ("alignment_check", Told::Die),
    (
        "machine_check",
        Told::Nobody("it may come at any instruction, with the processor's state in doubt"),
    ),
    ("simd_coprocessor_error", Told::DieAndSignal),
    ("virtualization_exception", NO_HOOK),
    ("control_protection", NO_HOOK),
    ("vector_22", RESERVED),
    ("vector_23", RESERVED),
    ("vector_24", RESERVED),
    ("vector_25", RESERVED),
    ("vector_26", RESERVED),
    ("vector_27", RESERVED),
    ("hypervisor_injection", NO_HOOK),
    (
        "vmm_communication",
        Told::Nobody("it may come at any instruction, on a stack of its own"),
    ),
    ("security_exception", NO_HOOK),
    ("vector_31", RESERVED),
];

impl Vector {
    /// Its number in arrays: an exception's is its vector.
    pub fn at(place: usize) -> Option<Self> {
        let place = (place < VECTORS).then_some(place)?;
        let place = u8::try_from(place).ok()?;
        Some(Self { place })
    }

    /// All.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..VECTORS).filter_map(Self::at)
    }

    /// The exception of that name, or the interrupt.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::all().find(|vector| vector.name().as_bytes() == name)
    }

    /// The interrupt that the source of that number tells of; None: it is no tracepoint of `irq_vectors`.
    pub fn of_source(number: usize) -> Option<Self> {
        Self::at(Source::interrupt_numbered(number)?.saturating_add(EXCEPTIONS.len()))
    }

    /// What [`at`](Self::at) takes; less than [`VECTORS`].
    pub fn place(self) -> usize {
        self.place.into()
    }

    /// Whether it is an interrupt's. Its place is not its number then, which is the kernel's choice.
    pub fn is_interrupt(self) -> bool {
        self.place() >= EXCEPTIONS.len()
    }

    /// The function in the names of its probe.
    pub fn name(self) -> &'static str {
        match EXCEPTIONS.get(self.place()) {
            Some((name, _)) => name,
            None => INTERRUPTS
                .get(self.place().saturating_sub(EXCEPTIONS.len()))
                .copied()
                .unwrap_or_default(),
        }
    }

    /// Whether the processor pushes an error code (Intel SDM volume 3, table 6-1).
    pub fn has_error_code(self) -> bool {
        matches!(self.place, 8 | 10..=14 | 17 | 21 | 29 | 30)
    }

    /// Who tells of it on that machine.
    ///
    /// # Errors
    ///
    /// Why it has no probe there.
    pub fn sources(self, machine: &Machine) -> Result<Sources, Refusal> {
        let none = Sources::NONE;
        let wanted = match EXCEPTIONS.get(self.place()) {
            Some((_, told)) => match told {
                Told::PageFault => none
                    .with(Source::PageFaultUser)
                    .with(Source::PageFaultKernel),
                Told::Die => none.with(Source::Die),
                Told::DieAndSignal => none.with(Source::Die).with(Source::Signal),
                Told::Nmi => none.with(Source::Nmi),
                Told::Nobody(reason) => return Err(Refusal(reason)),
            },
            None if machine.xen_pv => {
                return Err(Refusal(
                    "under Xen a paravirtual guest has event channels instead",
                ))
            }
            None => {
                let at = self.place().saturating_sub(EXCEPTIONS.len());
                none.with(Source::Interrupt(at as u8))
            }
        };
        match wanted.iter().find(|source| !machine.found.has(*source)) {
            Some(missing) => Err(Refusal(missing.absence())),
            None => Ok(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn everything() -> Sources {
        Source::all().fold(Sources::NONE, Sources::with)
    }

    fn machine(xen_pv: bool) -> Machine {
        Machine {
            xen_pv,
            found: everything(),
        }
    }

    fn vector(name: &str) -> Vector {
        Vector::named(name.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_the_kernel_s_and_each_is_there_once() {
        let names: BTreeSet<_> = Vector::all().map(Vector::name).collect();
        assert_eq!(names.len(), VECTORS);
        assert!(names.iter().all(|name| !name.is_empty()));
        for (name, number) in [("divide_error", 0), ("int3", 3), ("page_fault", 14)] {
            assert_eq!(vector(name).place(), number);
        }
        assert_eq!(Vector::at(VECTORS), None);
        assert_eq!(Vector::named(b"breakfast"), None);
    }

    #[test]
    fn exceptions_have_the_same_sources_on_every_platform() {
        for vector in Vector::all().filter(|vector| !vector.is_interrupt()) {
            assert_eq!(
                vector.sources(&machine(false)),
                vector.sources(&machine(true)),
                "{}",
                vector.name()
            );
        }
    }

    #[test]
    fn interrupts_have_probes_where_there_is_a_local_apic() {
        let timer = vector("local_timer");
        let number = Source::Interrupt(0).number();
        assert_eq!(Vector::of_source(number), Some(timer));
        assert_eq!(Vector::of_source(Source::Nmi.number()), None);
        let sources = timer.sources(&machine(false)).unwrap();
        assert_eq!(sources, Sources::NONE.with(Source::Interrupt(0)));
        let Err(Refusal(reason)) = timer.sources(&machine(true)) else {
            panic!("it is not refused");
        };
        assert!(reason.contains("event channels"));
    }

    #[test]
    fn what_is_not_safe_is_refused_with_a_reason() {
        for name in [
            "double_fault",
            "machine_check",
            "vmm_communication",
            "device_not_available",
        ] {
            let refused = vector(name).sources(&machine(false));
            assert!(refused.is_err_and(|Refusal(reason)| !reason.is_empty()));
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_lost_by_name_and_nothing_else() {
        for missing in Source::all() {
            let found = Source::all().filter(|source| *source != missing);
            let machine = Machine {
                xen_pv: false,
                found: found.fold(Sources::NONE, Sources::with),
            };
            for vector in Vector::all() {
                let Ok(wanted) = vector.sources(&super::tests::machine(false)) else {
                    continue;
                };
                let expected = match wanted.has(missing) {
                    true => Err(Refusal(missing.absence())),
                    false => Ok(wanted),
                };
                assert_eq!(vector.sources(&machine), expected, "{}", vector.name());
            }
        }
    }
}
