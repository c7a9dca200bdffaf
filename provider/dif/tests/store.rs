// SPDX-License-Identifier: GPL-2.0
//! The store of dynamic variables: against a map, by drops, and under threads.

use dif::{Drops, Shape, Store, Word, HEADER_WORDS};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Barrier;

fn memory(words: usize) -> Vec<Word> {
    (0..words).map(|_| Word::new(0)).collect()
}

/// A store of exactly `chunks` chunks of one word of data and of key.
fn small(chunks: u32, cpus: usize) -> (Vec<Word>, Shape) {
    let chunk_words = HEADER_WORDS as u32 + 2;
    let shape = (1..)
        .find_map(|words| Shape::new(words, cpus, chunk_words).filter(|s| s.chunks() >= chunks));
    let words = (1..).find(|words| Shape::new(*words, cpus, chunk_words) == shape);
    let memory = memory(words.unwrap());
    Store::new(&memory, shape.unwrap()).unwrap().format();
    (memory, shape.unwrap())
}

#[test]
fn shapes() {
    assert_eq!(Shape::new(0, 1, 8), None);
    assert_eq!(Shape::new(100, 0, 8), None);
    assert_eq!(Shape::new(100, usize::MAX, 8), None);
    assert_eq!(Shape::new(100, 1, u32::MAX), None);
    assert!(Shape::new(usize::MAX, 1, 8).is_none());
    let shape = Shape::new(100, 2, 8).unwrap();
    assert!(shape.chunks() >= 8);
    assert!(Store::new(&memory(10), shape).is_none());
    // No shape takes more than there is.
    for words in 0..300 {
        for chunk_words in 0..20 {
            if let Some(shape) = Shape::new(words, 2, chunk_words) {
                let memory = memory(words);
                let store = Store::new(&memory, shape).unwrap();
                store.format();
                let key = [1; 8];
                assert_eq!(
                    store.find_or_insert(0, &key, 1, 1).is_some(),
                    chunk_words >= HEADER_WORDS as u32 + 2
                );
            }
        }
    }
}

#[test]
fn like_a_map() {
    let memory = memory(6000);
    let shape = Shape::new(memory.len(), 3, HEADER_WORDS as u32 + 6).unwrap();
    let store = Store::new(&memory, shape).unwrap();
    store.format();
    let mut map: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    for step in 0..200_000u64 {
        let length = 1 + (next() % 3) as usize;
        let key: Vec<u8> = (0..length)
            .flat_map(|_| (next() % 8).to_ne_bytes())
            .collect();
        let cpu = (next() % 3) as u32;
        match next() % 4 {
            0 | 1 => match store.find_or_insert(cpu, &key, 1, step) {
                Some(found) => {
                    assert_eq!(found.new, !map.contains_key(&key));
                    assert_eq!(found.words, 1);
                    store.write(found.word, step).unwrap();
                    map.insert(key, step);
                }
                None => assert!(!map.contains_key(&key)),
            },
            2 => assert_eq!(store.remove(cpu, &key), map.remove(&key).is_some()),
            _ => {
                let found = store.find(cpu, &key).map(|f| store.read(f.word).unwrap());
                assert_eq!(found, map.get(&key).copied());
            }
        }
        if step % 64 == 0 {
            store.rinse();
            store.reclaim();
        }
    }
    assert!(map.len() > 50);
}

#[test]
fn drops_say_what_stands_in_the_way() {
    let (memory, shape) = small(3, 2);
    let store = Store::new(&memory, shape).unwrap();
    let put = |key: u64| store.find_or_insert(1, &key.to_ne_bytes(), 1, 1).is_some();
    let chunks = u64::from(shape.chunks());
    for key in 0..chunks {
        assert!(put(key));
    }
    assert!(!put(100));
    let mut drops = Drops {
        dynamic: 1,
        ..Drops::default()
    };
    assert_eq!(store.drops(1), drops);
    assert!(store.remove(0, &0u64.to_ne_bytes()));
    assert!(!put(100));
    drops.dirty = 1;
    assert_eq!(store.drops(1), drops);
    store.rinse();
    assert!(!put(100));
    drops.rinsing = 1;
    assert_eq!(store.drops(1), drops);
    store.reclaim();
    assert!(put(100));
    // It does not fit into a chunk.
    assert_eq!(store.find_or_insert(1, &[0; 16], 1, 1), None);
    assert_eq!(store.find_or_insert(1, &[7; 8], 2, 1), None);
    drops.dynamic += 2;
    assert_eq!(store.drops(1), drops);
    assert_eq!(store.drops(0), Drops::default());
}

#[test]
fn only_data_can_be_reached() {
    let (memory, shape) = small(4, 1);
    let store = Store::new(&memory, shape).unwrap();
    let found = store.find_or_insert(0, &[9; 8], 1, 5).unwrap();
    let words = memory.len() as u32;
    let reached: Vec<u32> = (0..words + 100)
        .filter(|word| store.read(*word).is_some())
        .collect();
    assert_eq!(reached, [found.word]);
    let before: Vec<u64> = memory.iter().map(|w| w.load(Ordering::Relaxed)).collect();
    for word in (0..words + 100).chain([u32::MAX]) {
        if word != found.word {
            assert_eq!(store.write(word, 1), None);
        }
    }
    let after: Vec<u64> = memory.iter().map(|w| w.load(Ordering::Relaxed)).collect();
    assert_eq!(before, after);
}

/// Threads as CPUs, one that cleans. A variable's value is its key, whoever stores it: another
/// value would be another variable's.
#[test]
fn threads() {
    const CPUS: usize = 4;
    const KEYS: u64 = 24;
    const FIRINGS: u64 = 30_000;
    let (memory, shape) = small(16, CPUS);
    let store = || Store::new(&memory, shape).unwrap();
    // Odd: in a firing.
    let epochs: Vec<AtomicU64> = (0..CPUS).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    let start = Barrier::new(CPUS + 1);
    std::thread::scope(|scope| {
        let cpus: Vec<_> = (0..CPUS)
            .map(|cpu| {
                let (epoch, start) = (&epochs[cpu], &start);
                scope.spawn(move || {
                    start.wait();
                    let mut state = cpu as u64 + 1;
                    for _ in 0..FIRINGS {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        let key = (state >> 33) % KEYS;
                        let bytes = key.to_ne_bytes();
                        let store = store();
                        epoch.fetch_add(1, Ordering::SeqCst);
                        match (state >> 40) % 4 {
                            0 => {
                                store.remove(cpu as u32, &bytes);
                            }
                            1 => {
                                store.find_or_insert(cpu as u32, &bytes, 1, key + 1);
                            }
                            _ => {
                                if let Some(found) = store.find(cpu as u32, &bytes) {
                                    assert_eq!(store.read(found.word), Some(key + 1));
                                }
                            }
                        }
                        epoch.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let (epochs, over, start) = (&epochs, &over, &start);
        let cleaner = scope.spawn(move || {
            start.wait();
            while !over.load(Ordering::Relaxed) {
                store().rinse();
                for epoch in epochs {
                    let seen = epoch.load(Ordering::SeqCst);
                    while seen % 2 == 1 && epoch.load(Ordering::SeqCst) == seen {
                        std::thread::yield_now();
                    }
                }
                store().reclaim();
                std::thread::yield_now();
            }
        });
        for cpu in cpus {
            cpu.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        cleaner.join().unwrap();
    });
    // Every chunk is somewhere: take all variables out, clean, and fill it.
    let store = store();
    for key in 0..KEYS {
        store.remove(0, &key.to_ne_bytes());
    }
    for _ in 0..2 {
        store.rinse();
        store.reclaim();
    }
    for key in 0..u64::from(shape.chunks()) {
        assert!(store
            .find_or_insert(0, &(1000 + key).to_ne_bytes(), 1, 1)
            .is_some());
    }
    assert_eq!(store.find_or_insert(0, &[0xff; 8], 1, 1), None);
}
