// SPDX-License-Identifier: GPL-2.0
//! Whom a call is for.

use crate::cpu::{split, Bits, CpuId, CpuSet, WORD_BITS};

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
            Whom::One(cpu) => self.word(split(cpu).0).count_ones(),
            _ => (0..crate::cpu::words_for(self.cpus))
                .map(|i| self.word(i).count_ones())
                .sum(),
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

    /// CPUs that the caller named and that do not exist, ascending.
    pub(crate) fn absent(whom: Whom<'a>, cpus: u32) -> impl Iterator<Item = CpuId> + 'a {
        let (one, set) = match whom {
            Whom::One(cpu) => (Some(cpu), None),
            Whom::Set(set) => (None, Some(set)),
            Whom::All => (None, None),
        };
        let last_word = cpus as usize / WORD_BITS;
        let words = set.map_or(&[][..], CpuSet::words);
        let of_set = words
            .iter()
            .enumerate()
            .skip(last_word)
            .flat_map(|(i, w)| Bits(*w).map(move |bit| CpuId((i * WORD_BITS) as u32 + bit)));
        one.into_iter()
            .chain(of_set)
            .filter(move |cpu| cpu.0 >= cpus)
    }
}
