// SPDX-License-Identifier: GPL-2.0
//! Files that are almost right never make the loader or its reader panic.

mod common;

fn load(bytes: &[u8]) -> bool {
    match dof::load(bytes) {
        Ok(description) => {
            common::read_all(&description);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Repeatable numbers: xorshift64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn every_bit_may_flip() {
    let mut file = common::sample().to_bytes().unwrap();
    let (mut taken, mut refused) = (0, 0);
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        *(if load(&file) {
            &mut taken
        } else {
            &mut refused
        }) += 1;
        file[bit / 8] ^= 1 << (bit % 8);
    }
    // Both ways are gone: names and code may change, the frame may not.
    assert!(
        taken > 100 && refused > 1000,
        "{taken} taken, {refused} refused"
    );
    assert!(load(&file));
}

#[test]
fn every_end_may_be_missing() {
    let file = common::sample().to_bytes().unwrap();
    for end in 0..file.len() {
        assert!(
            !load(&file[..end]),
            "{end} of {} bytes were taken",
            file.len()
        );
    }
    let longer = [&file[..], &[1, 2, 3]].concat();
    assert!(load(&longer), "what follows does not matter");
}

fn storm(rounds: usize, seed: u64) {
    // What breaks a reader: edges of sizes, and the file's own indices and offsets.
    const EDGES: [u64; 12] = [
        0,
        1,
        2,
        7,
        8,
        0x7f,
        0xffff,
        0xffff_fffe,
        0xffff_ffff,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ];
    let sample = common::sample().to_bytes().unwrap();
    let mut numbers = Numbers(seed);
    let mut taken = 0;
    for _ in 0..rounds {
        let mut file = sample.clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(file.len());
            let width = 1 << numbers.below(4);
            let at = at & !(width - 1);
            let value = match numbers.below(3) {
                0 => EDGES[numbers.below(EDGES.len())],
                1 => numbers.below(file.len()) as u64,
                _ => numbers.below(32) as u64,
            };
            let end = (at + width).min(file.len());
            file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        taken += usize::from(load(&file));
    }
    assert!(
        taken > rounds / 100,
        "{taken} of {rounds} were taken: the rest was not looked at"
    );
}

#[test]
fn a_storm_of_edges() {
    storm(20_000, 0x9e37_79b9_7f4a_7c15);
}

/// `cargo test --release -p dof --test mutations -- --ignored`: minutes.
#[test]
#[ignore = "minutes; run it after a change of the loader"]
fn a_long_storm_of_edges() {
    for seed in 1..=20 {
        storm(1_000_000, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
    }
}
