// SPDX-License-Identifier: GPL-2.0
//! The store of dynamic variables, `dif::Store`: all keys in one chain, hardly any chunk.

use super::{model, Model};
use dif::{Shape, Store, Word};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

pub fn models() -> Vec<Model> {
    vec![
        model(
            "variable_once",
            "two CPUs store the same new variable: there is one of it, and no chunk is lost",
            |_| once(),
        ),
        model(
            "variable_found_whole",
            "a CPU that finds a variable while another stores it finds its value too",
            |_| found_whole(),
        ),
        model(
            "variable_found_behind",
            "the same if a third CPU stores another one before it in the chain",
            |_| found_behind(),
        )
        .bounded(3),
        model(
            "variable_removed_and_stored",
            "a variable is removed while one is stored before it: the one is gone, the other there",
            |_| removed_and_stored(),
        ),
        model(
            "variable_neighbours_removed",
            "two CPUs remove neighbours in a chain: both are gone and both chunks come back",
            |_| neighbours_removed(),
        ),
        model(
            "variable_removed_once",
            "two CPUs remove the same variable: one of them did, its chunk comes back once",
            |_| removed_once(),
        ),
        model(
            "variable_chunk_reused",
            "what a firing reached stays what it is until the firing is over",
            |_| chunk_reused(),
        ),
        model(
            "variable_chunks_popped",
            "two CPUs take chunks from one list while one gives some back: no chunk serves two",
            |_| chunks_popped(),
        )
        .bounded(3),
        model(
            "variable_rinsed",
            "a chunk becomes dirty while others are rinsed: none is lost",
            |_| rinsed(),
        ),
    ]
}

const CPUS: u32 = 2;
/// Header, a word of data, a word of key.
const CHUNK: u32 = 6;

/// A store's memory and shape, for threads.
#[derive(Clone)]
struct Memory(Arc<Vec<Word>>, Shape);

impl Memory {
    fn new(chunks: u32) -> Self {
        let shape = Shape::chained(CPUS, CHUNK, chunks);
        let words = (0..shape.memory_words()).map(|_| Word::new(0));
        let memory = Self(Arc::new(words.collect()), shape);
        memory.store().format();
        memory
    }

    fn store(&self) -> Store<'_> {
        Store::new(&self.0, self.1).unwrap()
    }

    fn on_cpu<R: 'static>(
        &self,
        firing: impl FnOnce(Store<'_>) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let memory = self.clone();
        thread::spawn(move || firing(memory.store()))
    }

    /// At rest: what `key` holds.
    fn value(&self, key: u64) -> Option<u64> {
        let store = self.store();
        let found = store.find(0, &key.to_ne_bytes())?;
        store.read(found.word)
    }

    /// At rest: besides the `live` variables there is room for as many as there are other chunks.
    fn nothing_lost(&self, live: u32) {
        let store = self.store();
        // What was dirty while other chunks were rinsing is rinsed the second time.
        for _ in 0..2 {
            store.rinse();
            store.reclaim();
        }
        for n in live..self.1.chunks() {
            let key = (100 + u64::from(n)).to_ne_bytes();
            assert!(store.find_or_insert(0, &key, 1, 1).is_some_and(|f| f.new));
        }
        let one_more = store.find_or_insert(0, &99u64.to_ne_bytes(), 1, 1);
        assert_eq!(one_more, None);
    }
}

fn put(store: Store<'_>, cpu: u32, key: u64, value: u64) -> dif::Found {
    store
        .find_or_insert(cpu, &key.to_ne_bytes(), 1, value)
        .expect("there is a chunk")
}

const A: u64 = 1;
const B: u64 = 2;

fn once() {
    let memory = Memory::new(2);
    let other = memory.on_cpu(|store| put(store, 1, A, 42));
    let one = put(memory.store(), 0, A, 42);
    let other = other.join().unwrap();
    assert_eq!(one.word, other.word);
    assert!(one.new != other.new);
    assert_eq!(memory.value(A), Some(42));
    memory.nothing_lost(1);
}

/// A CPU that looks for A once. Models write in the first thread and read in a later one: loom
/// remembers the last access to a word only, so it does not try a load again behind a
/// compare-and-swap whose thread loaded the word as well in between.
fn reader_of_a(memory: &Memory) -> thread::JoinHandle<()> {
    memory.on_cpu(|store| {
        if let Some(found) = store.find(1, &A.to_ne_bytes()) {
            assert_eq!(store.read(found.word), Some(42));
        }
    })
}

fn found_whole() {
    let memory = Memory::new(1);
    let reader = reader_of_a(&memory);
    put(memory.store(), 0, A, 42);
    reader.join().unwrap();
    assert_eq!(memory.value(A), Some(42));
}

fn found_behind() {
    let memory = Memory::new(2);
    let other = memory.on_cpu(|store| {
        put(store, 1, B, 43);
    });
    let reader = reader_of_a(&memory);
    put(memory.store(), 0, A, 42);
    other.join().unwrap();
    reader.join().unwrap();
    assert_eq!((memory.value(A), memory.value(B)), (Some(42), Some(43)));
}

fn removed_and_stored() {
    let memory = Memory::new(2);
    put(memory.store(), 0, A, 42);
    let other = memory.on_cpu(|store| {
        put(store, 1, B, 43);
    });
    assert!(memory.store().remove(0, &A.to_ne_bytes()));
    other.join().unwrap();
    assert_eq!((memory.value(A), memory.value(B)), (None, Some(43)));
    memory.nothing_lost(1);
}

fn neighbours_removed() {
    let memory = Memory::new(2);
    put(memory.store(), 0, A, 42);
    put(memory.store(), 0, B, 43);
    let other = memory.on_cpu(|store| assert!(store.remove(1, &A.to_ne_bytes())));
    assert!(memory.store().remove(0, &B.to_ne_bytes()));
    other.join().unwrap();
    assert_eq!((memory.value(A), memory.value(B)), (None, None));
    memory.nothing_lost(0);
}

fn removed_once() {
    let memory = Memory::new(2);
    put(memory.store(), 0, A, 42);
    let other = memory.on_cpu(|store| store.remove(1, &A.to_ne_bytes()));
    let one = memory.store().remove(0, &A.to_ne_bytes());
    assert!(one != other.join().unwrap());
    memory.nothing_lost(0);
}

fn chunk_reused() {
    let memory = Memory::new(1);
    put(memory.store(), 0, A, 42);
    let over = Arc::new(AtomicU64::new(0));
    let firing_is_over = over.clone();
    let firing = memory.on_cpu(move |store| {
        if let Some(found) = store.find(1, &A.to_ne_bytes()) {
            assert_eq!(store.read(found.word), Some(42));
        }
        firing_is_over.store(1, Ordering::Release);
    });
    let store = memory.store();
    assert!(store.remove(0, &A.to_ne_bytes()));
    // No chunk before the grace period.
    let too_early = store.find_or_insert(0, &B.to_ne_bytes(), 1, 43);
    assert_eq!(too_early, None);
    store.rinse();
    if over.load(Ordering::Acquire) == 1 {
        store.reclaim();
        // None if it is the firing's CPU that took the chunk out and made it dirty, after the rinse.
        store.find_or_insert(0, &B.to_ne_bytes(), 1, 43);
    }
    firing.join().unwrap();
}

fn chunks_popped() {
    let memory = Memory::new(4);
    let other = memory.on_cpu(|store| {
        put(store, 1, A, 42);
        // From the other CPU's list.
        put(store, 1, B, 43);
        assert!(store.remove(1, &A.to_ne_bytes()));
        put(store, 1, A, 44);
    });
    put(memory.store(), 0, 3, 45);
    other.join().unwrap();
    assert_eq!(
        (memory.value(A), memory.value(B), memory.value(3)),
        (Some(44), Some(43), Some(45))
    );
    memory.nothing_lost(3);
}

fn rinsed() {
    let memory = Memory::new(2);
    put(memory.store(), 1, A, 42);
    put(memory.store(), 1, B, 43);
    let firing = memory.on_cpu(|store| {
        assert!(store.remove(1, &A.to_ne_bytes()));
        assert!(store.remove(1, &B.to_ne_bytes()));
    });
    memory.store().rinse();
    firing.join().unwrap();
    memory.nothing_lost(0);
}
