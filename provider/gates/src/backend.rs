// SPDX-License-Identifier: GPL-2.0
//! In which way gates are written on this machine.

use core::fmt;

/// What there is to know about the machine before a gate may be written.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// A PV guest of Xen's.
    pub xen_pv: bool,
    /// Events are delivered by FRED: there is no IDT in use.
    pub fred: bool,
    /// User space runs on page tables of its own (KPTI).
    pub pti: bool,
    /// `cmpxchg16b` exists.
    pub cx16: bool,
    /// An address' symbol can be asked for.
    pub symbols: bool,
    /// Ways that were not run on a kernel yet may be taken.
    pub unproven: bool,
    /// How many CPUs there can be.
    pub cpus: u32,
    /// With `pti`: a slot of the cpu_entry_area's top-level entry is free.
    pub free_slot: bool,
    /// The processor may predict a return that follows its call by what user space trained (AMD's
    /// Retbleed and SRSO).
    pub returns_trained: bool,
}

/// How many CPUs the kernel's CPU number in the GDT can tell apart.
const CPU_NUMBERS: u32 = crate::trampoline::CPUS as u32;

/// A way to write gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Through an alias of the table's page; stubs in the module.
    InPlace,
    /// The same; stubs in a page of the cpu_entry_area.
    Trampoline,
    /// By hypercall, for each virtual CPU.
    XenPv,
}

/// Why no gate is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// FRED.
    Fred,
    /// The way was not run on a kernel yet.
    Unproven,
    /// No place for the trampoline.
    NoFreeSlot,
    /// KPTI on a processor whose returns user space trains.
    ReturnsTrained,
    /// No `cmpxchg16b`.
    NoCompareExchange,
    /// No kallsyms.
    NoSymbols,
    /// More CPUs than numbers.
    TooManyCpus,
}

/// Ways that passed the scenario `gates` on every kernel series of the project, in an emulator.
const PROVEN: &[Backend] = &[Backend::InPlace, Backend::Trampoline, Backend::XenPv];

impl Facts {
    /// The facts of a machine that lacks what `words` say, for tests: `fred`, `no-free-slot`, `no-cmpxchg16b`,
    /// `no-kallsyms`, with commas between them; other words say nothing. Such a machine takes the way of the
    /// one that there is, or none.
    #[must_use]
    pub fn pretending(self, words: &str) -> Self {
        words
            .split(',')
            .fold(self, |facts, word| match word.trim() {
                "fred" => Self {
                    fred: true,
                    ..facts
                },
                "no-free-slot" => Self {
                    pti: true,
                    free_slot: false,
                    ..facts
                },
                "no-cmpxchg16b" => Self {
                    cx16: false,
                    ..facts
                },
                "no-kallsyms" => Self {
                    symbols: false,
                    ..facts
                },
                _ => facts,
            })
    }

    /// The way for this machine.
    pub fn backend(&self) -> Result<Backend, Refusal> {
        let backend = self.possible()?;
        match PROVEN.contains(&backend) || self.unproven {
            true => Ok(backend),
            false => Err(Refusal::Unproven),
        }
    }

    fn possible(&self) -> Result<Backend, Refusal> {
        if !self.symbols {
            return Err(Refusal::NoSymbols);
        }
        if self.cpus > CPU_NUMBERS {
            return Err(Refusal::TooManyCpus);
        }
        // First: under Xen the other facts tell of the hypervisor's processor.
        if self.xen_pv {
            return Ok(Backend::XenPv);
        }
        if self.fred {
            return Err(Refusal::Fred);
        }
        if !self.cx16 {
            return Err(Refusal::NoCompareExchange);
        }
        match (self.pti, self.free_slot) {
            (false, _) => Ok(Backend::InPlace),
            (true, _) if self.returns_trained => Err(Refusal::ReturnsTrained),
            (true, true) => Ok(Backend::Trampoline),
            (true, false) => Err(Refusal::NoFreeSlot),
        }
    }
}

impl Backend {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Trampoline => "cpu-entry-area",
            Self::XenPv => "xen-set-trap-table",
        }
    }

    /// Why it is the one.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InPlace => "the processor reads the kernel's own table, and user space runs on the kernel's page tables",
            Self::Trampoline => "the processor reads the kernel's own table, and user space has page tables of its own (KPTI)",
            Self::XenPv => "a PV guest of Xen's: the processor reads the hypervisor's table",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fred => "FRED delivers events, there is no IDT in use",
            Self::Unproven => "this way of writing gates was not run on a kernel yet (parameter gates_unproven)",
            Self::NoFreeSlot => "user space has page tables of its own (KPTI), and the cpu_entry_area has no free slot for the stubs",
            Self::ReturnsTrained => "user space has page tables of its own (KPTI), and this processor predicts the stubs' returns by what user space trained",
            Self::NoCompareExchange => "the processor has no cmpxchg16b, by which a gate changes at once",
            Self::NoSymbols => "the kernel has no kallsyms, by which handlers are known",
            Self::TooManyCpus => "more CPUs than the number in the GDT tells apart",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Facts = Facts {
        xen_pv: false,
        fred: false,
        pti: false,
        cx16: true,
        symbols: true,
        unproven: true,
        cpus: 4,
        free_slot: false,
        returns_trained: false,
    };

    #[test]
    fn the_machine_decides() {
        assert_eq!(PLAIN.backend(), Ok(Backend::InPlace));
        let pti = Facts { pti: true, ..PLAIN };
        assert_eq!(pti.backend(), Err(Refusal::NoFreeSlot));
        let place = Facts {
            free_slot: true,
            ..pti
        };
        assert_eq!(place.backend(), Ok(Backend::Trampoline));
        let trained = Facts {
            returns_trained: true,
            ..place
        };
        assert_eq!(trained.backend(), Err(Refusal::ReturnsTrained));
        let trained = Facts {
            pti: false,
            ..trained
        };
        assert_eq!(trained.backend(), Ok(Backend::InPlace));
        let xen = Facts {
            xen_pv: true,
            ..PLAIN
        };
        assert_eq!(xen.backend(), Ok(Backend::XenPv));
    }

    #[test]
    fn what_was_not_run_has_to_be_asked_for() {
        let facts = Facts {
            unproven: false,
            ..PLAIN
        };
        let proven = PROVEN.contains(&Backend::InPlace);
        assert_eq!(facts.backend().is_ok(), proven);
    }

    #[test]
    fn who_pretends_gets_no_other_way() {
        let words = ["fred", "no-free-slot", "no-cmpxchg16b", "no-kallsyms", "x"];
        let machines = (0..8).map(|bits| Facts {
            xen_pv: bits & 1 != 0,
            pti: bits & 2 != 0,
            free_slot: bits & 4 != 0,
            ..PLAIN
        });
        for facts in machines {
            for word in words {
                let pretended = facts.pretending(word).backend();
                assert!(pretended.is_err() || pretended == facts.backend());
            }
            assert_eq!(facts.pretending("").backend(), facts.backend());
        }
        let refused = |words| PLAIN.pretending(words).backend().unwrap_err();
        assert_eq!(refused("fred"), Refusal::Fred);
        assert_eq!(refused("x, no-free-slot"), Refusal::NoFreeSlot);
        assert_eq!(refused("no-cmpxchg16b"), Refusal::NoCompareExchange);
        assert_eq!(refused("no-kallsyms"), Refusal::NoSymbols);
    }

    #[test]
    fn the_processor_under_xen_is_not_ours() {
        let xen = Facts {
            xen_pv: true,
            fred: true,
            cx16: false,
            ..PLAIN
        };
        assert_eq!(xen.backend(), Ok(Backend::XenPv));
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = |facts: Facts| facts.backend().unwrap_err();
        let fred = Facts {
            fred: true,
            ..PLAIN
        };
        assert_eq!(refused(fred), Refusal::Fred);
        let old = Facts {
            cx16: false,
            ..PLAIN
        };
        assert_eq!(refused(old), Refusal::NoCompareExchange);
        let mute = Facts {
            symbols: false,
            xen_pv: true,
            ..PLAIN
        };
        assert_eq!(refused(mute), Refusal::NoSymbols);
        let huge = Facts {
            cpus: 4097,
            ..PLAIN
        };
        assert_eq!(refused(huge), Refusal::TooManyCpus);
        assert!(refused(huge).to_string().contains("CPUs"));
    }
}
