// SPDX-License-Identifier: GPL-2.0
//! CPU numbers, and sets of them.

use core::fmt;

/// The most CPUs an engine serves. The kernel's own limit on x86-64 is 8,192 (`NR_CPUS`).
pub const MAX_CPUS: u32 = 4096;

/// How many bits a word of a [`CpuSet`] holds.
pub(crate) const WORD_BITS: usize = 64;

/// A CPU by its logical number, as the kernel counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

impl CpuId {
    /// As an index into a per-CPU table.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU{}", self.0)
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU{}", self.0)
    }
}

/// A borrowed set of CPUs: bit `n % 64` of word `n / 64` is CPU `n`, as in the kernel's `cpumask`.
#[derive(Clone, Copy)]
pub struct CpuSet<'a> {
    words: &'a [u64],
}

impl<'a> CpuSet<'a> {
    /// The set whose members are the one bits of `words`.
    pub const fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// The words, lowest CPUs first.
    pub const fn words(self) -> &'a [u64] {
        self.words
    }

    /// Whether `cpu` is a member.
    #[inline]
    pub fn contains(self, cpu: CpuId) -> bool {
        let (word, bit) = split(cpu);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// The number of members.
    pub fn len(self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// The members, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = CpuId> + 'a {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(i, w)| Bits(*w).map(move |b| CpuId((i * WORD_BITS) as u32 + b)))
    }
}

impl fmt::Debug for CpuSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|c| c.0)).finish()
    }
}

/// A set of CPUs on words borrowed for writing.
#[derive(Debug)]
pub struct CpuSetMut<'a> {
    words: &'a mut [u64],
}

impl<'a> CpuSetMut<'a> {
    /// The set whose members are the one bits of `words`.
    pub fn new(words: &'a mut [u64]) -> Self {
        Self { words }
    }

    /// Makes `cpu` a member. A CPU past the end of the words is left out.
    #[inline]
    pub fn insert(&mut self, cpu: CpuId) {
        let (word, bit) = split(cpu);
        if let Some(w) = self.words.get_mut(word) {
            *w |= bit;
        }
    }

    /// Takes `cpu` out.
    #[inline]
    pub fn remove(&mut self, cpu: CpuId) {
        let (word, bit) = split(cpu);
        if let Some(w) = self.words.get_mut(word) {
            *w &= !bit;
        }
    }

    /// Sets each word to what `word` says for its place.
    #[inline]
    pub(crate) fn fill_words(&mut self, word: impl Fn(usize) -> u64) {
        for (i, w) in self.words.iter_mut().enumerate() {
            *w = word(i);
        }
    }

    /// Keeps those members for which `keep` says so, asked in ascending order.
    #[inline]
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(CpuId) -> bool) {
        for (i, word) in self.words.iter_mut().enumerate() {
            for bit in Bits(*word) {
                if !keep(CpuId((i * WORD_BITS) as u32 + bit)) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// Takes every member out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The set, for reading.
    pub fn as_set(&self) -> CpuSet<'_> {
        CpuSet::new(self.words)
    }
}

/// How many words a set of CPUs `0..cpus` takes.
pub const fn words_for(cpus: u32) -> usize {
    (cpus as usize).div_ceil(WORD_BITS)
}

/// The word of a set that holds `cpu`, and its bit there.
#[inline]
pub(crate) const fn split(cpu: CpuId) -> (usize, u64) {
    (
        cpu.index() / WORD_BITS,
        1 << (cpu.index() % WORD_BITS) as u32,
    )
}

/// The positions of the one bits of a word, ascending.
pub(crate) struct Bits(pub(crate) u64);

impl Iterator for Bits {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

/// The members of a set that word `i` of it, `word`, holds.
#[inline]
pub(crate) fn cpus_of_word(i: usize, word: u64) -> impl Iterator<Item = CpuId> {
    Bits(word).map(move |bit| CpuId((i * WORD_BITS) as u32 + bit))
}

/// How many CPUs a [`CpuList`] names.
pub const NAMED_CPUS: usize = 8;

/// A count of CPUs and the first few by name: small enough for an NMI stack of 8 KiB, where a
/// whole set of 4,096 CPUs is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuList {
    count: u32,
    named: [u32; NAMED_CPUS],
}

impl CpuList {
    /// No CPU.
    pub const fn new() -> Self {
        Self {
            count: 0,
            named: [0; NAMED_CPUS],
        }
    }

    /// Counts `cpu`, and names it if there is room.
    pub fn push(&mut self, cpu: CpuId) {
        if let Some(place) = self.named.get_mut(self.count as usize) {
            *place = cpu.0;
        }
        self.count += 1;
    }

    /// How many CPUs were counted.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether none was counted.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Those named: the first [`NAMED_CPUS`] counted.
    pub fn named(&self) -> impl Iterator<Item = CpuId> + '_ {
        let n = (self.count as usize).min(NAMED_CPUS);
        self.named[..n].iter().map(|c| CpuId(*c))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, cpu) in self.named().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "," }, cpu)?;
        }
        match self.count as usize {
            n if n > NAMED_CPUS => write!(f, " and {} more", n - NAMED_CPUS),
            _ => Ok(()),
        }
    }
}
