// SPDX-License-Identifier: GPL-2.0
//! Thread-local variables and associative arrays of one tracing state: a lock-free hash table in
//! memory given beforehand.
//!
//! ```text
//! each CPU:  free -> chunk -> chunk ...     dirty -> ...     rinsing -> ...     drops
//! buckets:   [ ] -> chunk(next) -> chunk(next) ...
//! chunk:     next, marked if removed | link | hash | sizes | data ... | key ...
//! ```
//!
//! A chunk goes round: free, filled by the CPU that took it, in a bucket's chain, marked, out of the
//! chain and dirty, rinsing, free.
//!
//! # Invariants
//!
//! - **I1** A chunk is put into a chain once, at its head, by a compare-and-swap of the head that was
//!   seen when the chain was searched. Who finds the head unchanged knows that no key came in since:
//!   no key is in a chain twice.
//! - **I2** `next` of a marked chunk does not change. Whoever swings the word that points to it gets
//!   the chunk, alone, and makes it dirty.
//! - **I3** A chunk that left the free list comes back only by [`Store::rinse`], a *grace period*
//!   (every CPU was seen outside a firing) and [`Store::reclaim`]. So within a firing no word holds
//!   a chunk a second time (no ABA), and what a firing reached it may go on reading.
//! - **I4** `free` is popped by any CPU in a firing, and pushed to by the one reclaimer. `dirty` is
//!   pushed to by its own CPU, and emptied by the one rinser.
//! - **I5** A chunk's hash, sizes and key are written before it is put into a chain and not changed
//!   while it may be reached. Its data may change at any time, a word at a time.
//!
//! Firings of a CPU do not nest. Every loop is bounded: what takes too many tries is a drop.
//!
//! # Pairs
//!
//! | label | pairs with | what is seen then |
//! |---|---|---|
//! | `insert:A`, release | `search:B`, acquire | hash, sizes, key and first data of the chunk (I5) |
//! | `remove:C`, acquire and release | `search:B` | `next` as it stays (I2) |
//! | `unlink:D`, acquire and release | `search:B` | the chunk behind the removed one: its `insert:A` came before `search:B` here, which came before `unlink:D` |
//! | `dirty:E`, release | `rinse:F`, acquire | `link` of each dirty chunk |
//! | `reclaim:G`, release | `pop:H`, acquire | `link` of each free chunk |
//!
//! From the last read of a chunk in a firing to the first write by its next owner it is the grace
//! period that orders, which the caller of `rinse` and `reclaim` provides.

use crate::Word;
use xcall_primitive::Ordering;

/// Words of a chunk before its data.
pub const HEADER_WORDS: usize = 4;
/// Words of a CPU: three lists, three counts of drops, lost chunks, one unused: a cache line.
const CPU_WORDS: usize = 8;
/// How often a search or insertion that others disturb is begun again.
const TRIES: usize = 16;

/// Chunks of a chain that a search looks at. A chain that is longer takes no more: its keys were
/// chosen to meet in one bucket, for there are about as many buckets as chunks.
const CHAIN: u32 = 256;

const NEXT: usize = 0;
const LINK: usize = 1;
const HASH: usize = 2;
const SIZES: usize = 3;

const FREE: usize = 0;
const DIRTY: usize = 1;
const RINSING: usize = 2;
const DROPS: usize = 3;
const LOST: usize = 6;

/// In a word that points to a chunk: the chunk that holds the word is removed.
const MARK: u64 = 1;
/// No chunk.
const NONE: u64 = 0;

/// How a store's memory is divided up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    cpus: u32,
    chunk_words: u32,
    buckets: u32,
    chunks: u32,
}

impl Shape {
    /// The shape of a store in `words` words for `cpus` CPUs, whose variables need `chunk_words`
    /// each (see [`crate::Needs`]); None if not even one chunk fits.
    pub fn new(words: usize, cpus: usize, chunk_words: u32) -> Option<Self> {
        let chunk_words = chunk_words.max(HEADER_WORDS as u32 + 1);
        // Data has addresses of 32 bits, in bytes.
        let words = u32::try_from(words).ok()?.min(u32::MAX / 8);
        let cpus = u32::try_from(cpus).ok()?;
        let rest = words.checked_sub(cpus.checked_mul(CPU_WORDS as u32)?)?;
        let about = rest.checked_div(chunk_words.checked_add(1)?)?;
        let buckets = match about {
            0 => return None,
            about => 1 << about.ilog2(),
        };
        let chunks = (rest - buckets).checked_div(chunk_words)?;
        (chunks > 0 && cpus > 0).then_some(Self {
            cpus,
            chunk_words,
            buckets,
            chunks,
        })
    }

    /// For models: so many chunks, all in one chain.
    #[cfg(loom)]
    pub fn chained(cpus: u32, chunk_words: u32, chunks: u32) -> Self {
        Self {
            cpus,
            chunk_words,
            buckets: 1,
            chunks,
        }
    }

    /// How many words of memory it takes.
    #[cfg(loom)]
    pub fn memory_words(&self) -> usize {
        self.words()
    }

    /// How many variables fit.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    fn chunk_base(&self) -> usize {
        self.cpus as usize * CPU_WORDS + self.buckets as usize
    }

    fn words(&self) -> usize {
        self.chunk_base() + self.chunks as usize * self.chunk_words as usize
    }
}

/// Variables that could not be stored, by what stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Drops {
    /// No chunk was free, or the variable does not fit into one.
    pub dynamic: u64,
    /// No chunk was free, but some were rinsing.
    pub rinsing: u64,
    /// No chunk was free, but some were dirty.
    pub dirty: u64,
}

/// The words of a variable that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Index of its first data word, in the store's memory.
    pub word: u32,
    /// Its data's words.
    pub words: u32,
    /// It was not there before.
    pub new: bool,
}

/// A store: memory and its shape. `Copy`: a view, made anew where it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    memory: &'a [Word],
    shape: Shape,
}

/// Where a search ended.
enum Search {
    /// At the key, in the chunk.
    At { chunk: u32, from: usize },
    /// At the chain's end; the head was this.
    Absent { head: u64 },
    /// Nowhere: others changed the chain all the time, or it is too long.
    Disturbed,
}

impl<'a> Store<'a> {
    /// A view of `memory`; None if it is smaller than the shape says.
    pub fn new(memory: &'a [Word], shape: Shape) -> Option<Self> {
        (memory.len() >= shape.words()).then_some(Self { memory, shape })
    }

    /// Makes an empty store of memory that is all zero. Task context, before anybody else sees it.
    pub fn format(&self) {
        for chunk in 0..self.shape.chunks {
            let cpu = chunk.checked_rem(self.shape.cpus).unwrap_or_default();
            self.push_free(cpu, chunk, chunk);
        }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Reads word `index` of the store's data; None unless it is data of a chunk in use.
    /// Any context.
    pub fn read(&self, index: u32) -> Option<u64> {
        // Relaxed: data words order nothing (I5).
        Some(self.data(index)?.load(Ordering::Relaxed))
    }

    /// Writes word `index` of the store's data, as [`Store::read`].
    pub fn write(&self, index: u32, value: u64) -> Option<()> {
        // Relaxed: data words order nothing (I5).
        self.data(index)?.store(value, Ordering::Relaxed);
        Some(())
    }

    /// Looks for a key, `8 n` bytes. In a firing.
    pub fn find(&self, cpu: u32, key: &[u8]) -> Option<Found> {
        self.find_counted(cpu, key, &mut 0)
    }

    /// As [`Store::find`]; adds the words it looked at to `looked`.
    pub(crate) fn find_counted(&self, cpu: u32, key: &[u8], looked: &mut u32) -> Option<Found> {
        match self.search(cpu, key, hash(key), looked) {
            Search::At { chunk, .. } => Some(self.found(chunk, false)),
            Search::Absent { .. } | Search::Disturbed => None,
        }
    }

    /// Looks for a key and puts it in if it is not there, with `data_words` words of data, the first
    /// `first`, the others 0. None: a drop, counted. In a firing.
    pub fn find_or_insert(
        &self,
        cpu: u32,
        key: &[u8],
        data_words: u32,
        first: u64,
    ) -> Option<Found> {
        self.find_or_insert_counted(cpu, key, data_words, first, &mut 0)
    }

    /// As [`Store::find_or_insert`]; adds the words it looked at to `looked`.
    pub(crate) fn find_or_insert_counted(
        &self,
        cpu: u32,
        key: &[u8],
        data_words: u32,
        first: u64,
        looked: &mut u32,
    ) -> Option<Found> {
        let hash = hash(key);
        let mut filled = None;
        for _ in 0..TRIES {
            let head = match self.search(cpu, key, hash, looked) {
                Search::At { chunk, .. } => {
                    // Another CPU was faster. Nobody saw our chunk, but the free lists take nothing
                    // in a firing (I3).
                    if let Some(spare) = filled {
                        self.push_dirty(cpu, spare);
                    }
                    return Some(self.found(chunk, false));
                }
                Search::Absent { head } => head,
                Search::Disturbed => break,
            };
            let chunk = match filled {
                Some(chunk) => chunk,
                None => self.fill(cpu, key, hash, data_words, first)?,
            };
            filled = Some(chunk);
            self.field(chunk, NEXT)?.store(head, Ordering::Relaxed);
            // Release insert:A, pairs with search:B: the chunk's words (I5). Acquire is not asked
            // for: the words behind `head` were acquired by the search.
            let put = self.bucket(hash)?.compare_exchange(
                head,
                pointer(chunk),
                Ordering::Release,
                Ordering::Relaxed,
            );
            if put.is_ok() {
                return Some(self.found(chunk, true));
            }
        }
        if let Some(spare) = filled {
            self.push_dirty(cpu, spare);
        }
        self.count(cpu, DROPS);
        None
    }

    /// Removes a key; whether it was there and this call removed it. In a firing.
    pub fn remove(&self, cpu: u32, key: &[u8]) -> bool {
        self.remove_counted(cpu, key, &mut 0)
    }

    /// As [`Store::remove`]; adds the words it looked at to `looked`.
    pub(crate) fn remove_counted(&self, cpu: u32, key: &[u8], looked: &mut u32) -> bool {
        let hash = hash(key);
        let Search::At { chunk, from } = self.search(cpu, key, hash, looked) else {
            return false;
        };
        let Some(next) = self.field(chunk, NEXT) else {
            return false;
        };
        // AcqRel remove:C, pairs with search:B: `next` stays what it is from here on (I2).
        let old = next.fetch_or(MARK, Ordering::AcqRel);
        if old & MARK != 0 {
            return false;
        }
        if !self.unlink(cpu, from, chunk, old) {
            // Its predecessor changed: a search takes it out, this one or a later one.
            self.search(cpu, key, hash, looked);
        }
        true
    }

    /// Takes the dirty chunks of all CPUs to be rinsed, where the last rinse is over. Then comes a
    /// grace period, then [`Store::reclaim`]. Task context; one caller at a time.
    pub fn rinse(&self) {
        for cpu in 0..self.shape.cpus {
            let (Some(dirty), Some(rinsing)) = (self.cpu(cpu, DIRTY), self.cpu(cpu, RINSING))
            else {
                continue;
            };
            // Relaxed: only this caller writes it.
            if rinsing.load(Ordering::Relaxed) == NONE {
                // Acquire rinse:F, pairs with dirty:E: the links of the list.
                let list = dirty.swap(NONE, Ordering::Acquire);
                // Relaxed: firings only ask whether it is empty, to name a drop.
                rinsing.store(list, Ordering::Relaxed);
            }
        }
    }

    /// Whether a rinse and a reclaim would give something back. Any context; a hint.
    pub fn needs_cleaning(&self) -> bool {
        [DIRTY, RINSING].into_iter().any(|list| self.any(list))
    }

    /// Gives rinsed chunks back to the free lists. A grace period lies between [`Store::rinse`] and
    /// this: every CPU was outside a firing at a time after the one and before the other. Task
    /// context; one caller at a time.
    pub fn reclaim(&self) {
        for cpu in 0..self.shape.cpus {
            let Some(rinsing) = self.cpu(cpu, RINSING) else {
                continue;
            };
            // Relaxed: only this caller writes it.
            let first = rinsing.load(Ordering::Relaxed);
            let Some(first) = chunk_of(first) else {
                continue;
            };
            let mut last = first;
            for _ in 0..self.shape.chunks {
                match chunk_of(self.load(last, LINK)) {
                    Some(chunk) => last = chunk,
                    None => break,
                }
            }
            self.push_free(cpu, first, last);
            rinsing.store(NONE, Ordering::Relaxed);
        }
    }

    /// Drops of a CPU so far. Any context.
    pub fn drops(&self, cpu: u32) -> Drops {
        let count = |kind| {
            // Relaxed: a count orders nothing.
            self.cpu(cpu, DROPS + kind)
                .map_or(0, |word| word.load(Ordering::Relaxed))
        };
        Drops {
            dynamic: count(0),
            rinsing: count(1),
            dirty: count(2),
        }
    }

    /// Goes along the chain of `hash`, takes removed chunks out, ends at `key`.
    fn search(&self, cpu: u32, key: &[u8], hash: u64, looked: &mut u32) -> Search {
        let bucket = self.bucket_index(hash);
        'again: for _ in 0..TRIES {
            let Some(word) = self.memory.get(bucket) else {
                return Search::Disturbed;
            };
            // Acquire search:B, pairs with insert:A, remove:C and unlink:D.
            let mut head = word.load(Ordering::Acquire);
            let mut from = bucket;
            let mut at = head;
            for _ in 0..CHAIN {
                let Some(chunk) = chunk_of(at) else {
                    return Search::Absent { head };
                };
                let Some(word) = self.field(chunk, NEXT) else {
                    return Search::Disturbed;
                };
                *looked = looked.saturating_add(HEADER_WORDS as u32);
                // Acquire search:B, as above.
                let next = word.load(Ordering::Acquire);
                if next & MARK != 0 {
                    if !self.unlink(cpu, from, chunk, next & !MARK) {
                        continue 'again;
                    }
                    at = next & !MARK;
                    if from == bucket {
                        head = at;
                    }
                    continue;
                }
                if self.load(chunk, HASH) == hash {
                    *looked = looked.saturating_add((key.len() / 8) as u32);
                    if self.has_key(chunk, key) {
                        return Search::At { chunk, from };
                    }
                }
                from = self.index(chunk, NEXT);
                at = next;
            }
            return Search::Disturbed;
        }
        Search::Disturbed
    }

    /// Takes a marked chunk out of its chain: the word at `from` points to it, and shall point to
    /// `next`. Whether this call did it.
    fn unlink(&self, cpu: u32, from: usize, chunk: u32, next: u64) -> bool {
        let Some(word) = self.memory.get(from) else {
            return false;
        };
        // AcqRel unlink:D, pairs with search:B. It fails if the predecessor was removed as well: its
        // word has a mark then (I2).
        let swung =
            word.compare_exchange(pointer(chunk), next, Ordering::AcqRel, Ordering::Relaxed);
        if swung.is_ok() {
            self.push_dirty(cpu, chunk);
        }
        swung.is_ok()
    }

    /// Takes a free chunk and fills it: nobody else sees it yet. None: a drop, counted.
    fn fill(&self, cpu: u32, key: &[u8], hash: u64, data_words: u32, first: u64) -> Option<u32> {
        let key_words = u32::try_from(key.len() / 8).ok()?;
        let needed = (HEADER_WORDS as u32)
            .saturating_add(data_words)
            .saturating_add(key_words);
        if needed > self.shape.chunk_words || data_words == 0 {
            self.count(cpu, DROPS);
            return None;
        }
        let Some(chunk) = self.pop_any(cpu) else {
            self.count(cpu, DROPS + self.what_is_short());
            return None;
        };
        // Relaxed all: insert:A publishes them (I5).
        let put = |field, value| {
            if let Some(word) = self.field(chunk, field) {
                word.store(value, Ordering::Relaxed);
            }
        };
        put(HASH, hash);
        // A stale pointer into the chunk finds no data meanwhile, so it does not get at the key.
        put(SIZES, 0);
        put(HEADER_WORDS, first);
        let data_end = HEADER_WORDS + data_words as usize;
        for field in HEADER_WORDS + 1..data_end {
            put(field, 0);
        }
        for (field, word) in (data_end..).zip(key.chunks_exact(8)) {
            put(field, word_of(word));
        }
        put(SIZES, u64::from(data_words) | (u64::from(key_words) << 32));
        Some(chunk)
    }

    /// Which kind of drop it is that no chunk is free.
    fn what_is_short(&self) -> usize {
        if self.any(DIRTY) {
            2
        } else if self.any(RINSING) {
            1
        } else {
            0
        }
    }

    /// Whether a CPU's list of this kind holds a chunk.
    fn any(&self, list: usize) -> bool {
        // Relaxed: a hint.
        (0..self.shape.cpus).any(|cpu| {
            self.cpu(cpu, list)
                .is_some_and(|word| word.load(Ordering::Relaxed) != NONE)
        })
    }

    /// A free chunk of this CPU's, else of another's.
    fn pop_any(&self, cpu: u32) -> Option<u32> {
        let cpus = self.shape.cpus;
        let own = cpu.checked_rem(cpus)?;
        (own..cpus).chain(0..own).find_map(|cpu| self.pop(cpu))
    }

    fn pop(&self, cpu: u32) -> Option<u32> {
        let list = self.cpu(cpu, FREE)?;
        for _ in 0..TRIES {
            // Acquire pop:H, pairs with reclaim:G: the chunk's link.
            let head = list.load(Ordering::Acquire);
            let chunk = chunk_of(head)?;
            let rest = self.load(chunk, LINK);
            // The head is the one that was seen, so its link is (I3). Acquire pop:H; release for the
            // next who pops: what `reclaim:G` showed us it sees as well.
            let taken = list.compare_exchange(head, rest, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_ok() {
                return Some(chunk);
            }
        }
        None
    }

    /// Puts a list of chunks, `first` to `last`, before a CPU's free ones. One caller at a time.
    fn push_free(&self, cpu: u32, first: u32, last: u32) {
        let (Some(list), Some(link)) = (self.cpu(cpu, FREE), self.field(last, LINK)) else {
            return;
        };
        // Relaxed: only this caller puts chunks in, so what it sees it put there itself; poppers put
        // back a link of it.
        let mut head = list.load(Ordering::Relaxed);
        loop {
            link.store(head, Ordering::Relaxed);
            // Release reclaim:G, pairs with pop:H: the links. Each failure is a chunk that was
            // popped, and there are only so many.
            match list.compare_exchange(head, pointer(first), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Puts a chunk that is in no chain among this CPU's dirty ones.
    fn push_dirty(&self, cpu: u32, chunk: u32) {
        let (Some(list), Some(link)) = (self.cpu(cpu, DIRTY), self.field(chunk, LINK)) else {
            return;
        };
        // Relaxed: this CPU put it there, or the rinser emptied the list.
        let mut head = list.load(Ordering::Relaxed);
        // A failure is a rinse that came between; the next waits for this CPU to leave its firing.
        for _ in 0..TRIES {
            link.store(head, Ordering::Relaxed);
            // Release dirty:E, pairs with rinse:F: the links.
            match list.compare_exchange(head, pointer(chunk), Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
        self.count(cpu, LOST);
    }

    fn count(&self, cpu: u32, what: usize) {
        if let Some(word) = self.cpu(cpu, what) {
            // Relaxed: a count orders nothing.
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn found(&self, chunk: u32, new: bool) -> Found {
        Found {
            word: self.index(chunk, HEADER_WORDS) as u32,
            words: self.load(chunk, SIZES) as u32,
            new,
        }
    }

    fn has_key(&self, chunk: u32, key: &[u8]) -> bool {
        let sizes = self.load(chunk, SIZES);
        let (data_words, key_words) = (sizes as u32 as usize, (sizes >> 32) as usize);
        key_words == key.len() / 8
            && (HEADER_WORDS + data_words..)
                .zip(key.chunks_exact(8))
                .all(|(field, word)| self.load(chunk, field) == word_of(word))
    }

    /// The word at `index`, if it is data of a chunk. A pointer to a variable that was removed since
    /// may lead to another's data: as with any stale pointer of a program.
    fn data(&self, index: u32) -> Option<&'a Word> {
        let offset = index.checked_sub(self.shape.chunk_base() as u32)?;
        let chunk = offset.checked_div(self.shape.chunk_words)?;
        let field = offset.checked_rem(self.shape.chunk_words)?;
        let data = field.checked_sub(HEADER_WORDS as u32)?;
        let data_words = self.field(chunk, SIZES)?.load(Ordering::Relaxed) as u32;
        (data < data_words).then_some(())?;
        self.field(chunk, field as usize)
    }

    /// Relaxed: words that the pairs above or the caller's own order cover.
    fn load(&self, chunk: u32, field: usize) -> u64 {
        self.field(chunk, field)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn index(&self, chunk: u32, field: usize) -> usize {
        self.shape.chunk_base() + chunk as usize * self.shape.chunk_words as usize + field
    }

    fn field(&self, chunk: u32, field: usize) -> Option<&'a Word> {
        let inside = chunk < self.shape.chunks && field < self.shape.chunk_words as usize;
        inside.then_some(())?;
        self.memory.get(self.index(chunk, field))
    }

    fn cpu(&self, cpu: u32, field: usize) -> Option<&'a Word> {
        (cpu < self.shape.cpus).then_some(())?;
        self.memory.get(cpu as usize * CPU_WORDS + field)
    }

    fn bucket_index(&self, hash: u64) -> usize {
        // There is a power of two of them. Upper bits of the product are the better ones.
        let bucket = (hash >> 32) as usize & (self.shape.buckets as usize - 1);
        self.shape.cpus as usize * CPU_WORDS + bucket
    }

    fn bucket(&self, hash: u64) -> Option<&'a Word> {
        self.memory.get(self.bucket_index(hash))
    }
}

/// A word that points to `chunk`, without a mark.
fn pointer(chunk: u32) -> u64 {
    (u64::from(chunk) + 1) << 1
}

/// The chunk that a word points to.
fn chunk_of(word: u64) -> Option<u32> {
    u32::try_from((word >> 1).checked_sub(1)?).ok()
}

fn word_of(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |word| u64::from_ne_bytes(*word))
}

fn hash(key: &[u8]) -> u64 {
    // The odd factor spreads each word over the upper bits; the shift brings those down again, so that every
    // bit of a word takes part in what the next one is mixed with and in the bits that choose the bucket.
    let mix = |hash: u64| {
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    key.chunks_exact(8)
        .fold(key.len() as u64, |hash: u64, word| {
            mix(hash.rotate_left(23) ^ word_of(word))
        })
}
