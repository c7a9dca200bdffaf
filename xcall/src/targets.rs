// SPDX-License-Identifier: GPL-2.0
//! Whom a call is for.

use crate::cpu::{cpus_of_word, split, CpuId, CpuSet, WORD_BITS};
use crate::slot::Span;

/// Whom a call is for, as its caller says it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    One(CpuId),
    Set(CpuSet<'a>),
    All,
}

/// The CPUs a call is sent to: those its caller means, of those there are, with or without itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    whom: Whom<'a>,
    cpus: u32,
    without: Option<CpuId>,
}

impl<'a> Targets<'a> {
    /// Those of `whom` below `cpus`, less `without`.
    pub(crate) const fn new(whom: Whom<'a>, cpus: u32, without: Option<CpuId>) -> Self {
        Self {
            whom,
            cpus,
            without,
        }
    }

    /// Word `i` of the set.
    #[inline]
    pub(crate) fn word(&self, i: usize) -> u64 {
        let asked = match self.whom {
            Whom::One(cpu) if split(cpu).0 == i => split(cpu).1,
            Whom::One(_) => 0,
            Whom::Set(set) => set.words().get(i).copied().unwrap_or(0),
            Whom::All => u64::MAX,
        };
        let without = match self.without.map(split) {
            Some((word, bit)) if word == i => bit,
            _ => 0,
        };
        asked & Self::present(self.cpus, i) & !without
    }

    /// Bits of word `i` that stand for a CPU below `cpus`.
    fn present(cpus: u32, i: usize) -> u64 {
        match (cpus as usize).saturating_sub(i * WORD_BITS) {
            n if n >= WORD_BITS => u64::MAX,
            n => (1 << n) - 1,
        }
    }

    /// The number of members.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        match self.whom {
            Whom::One(cpu) => {
                let without = matches!(self.without, Some(other) if other == cpu);
                u32::from(cpu.0 < self.cpus && !without)
            }
            _ => (0..crate::cpu::words_for(self.cpus))
                .map(|i| self.word(i).count_ones())
                .sum(),
        }
    }

    /// The one member of a set that its caller named as one CPU. `len` is 1.
    #[inline]
    pub(crate) fn one(&self) -> Option<CpuId> {
        debug_assert!(!matches!(self.whom, Whom::One(_)) || self.len() == 1);
        match self.whom {
            Whom::One(cpu) => Some(cpu),
            _ => None,
        }
    }

    /// The words that may have members.
    #[inline]
    pub(crate) const fn span(&self) -> Span {
        match self.whom {
            Whom::One(cpu) => Span::new(split(cpu).0, split(cpu).0 + 1),
            _ => Span::new(0, crate::cpu::words_for(self.cpus)),
        }
    }

    /// Whether the caller means every CPU, online or not.
    #[inline]
    pub(crate) const fn are_all(&self) -> bool {
        matches!(self.whom, Whom::All)
    }

    /// Whether the caller means `cpu`, without or not.
    pub(crate) fn means(whom: Whom<'_>, cpu: CpuId) -> bool {
        match whom {
            Whom::One(one) => one == cpu,
            Whom::Set(set) => set.contains(cpu),
            Whom::All => true,
        }
    }

    /// Gives `f` the CPUs that the caller named and that do not exist, ascending.
    #[inline]
    pub(crate) fn absent(whom: Whom<'a>, cpus: u32, mut f: impl FnMut(CpuId)) {
        match whom {
            Whom::One(cpu) if cpu.0 >= cpus => f(cpu),
            Whom::One(_) | Whom::All => {}
            Whom::Set(set) => {
                let words = set.words().iter().enumerate();
                for (i, word) in words.skip(cpus as usize / WORD_BITS) {
                    cpus_of_word(i, *word)
                        .filter(|cpu| cpu.0 >= cpus)
                        .for_each(&mut f);
                }
            }
        }
    }
}
