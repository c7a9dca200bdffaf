// SPDX-License-Identifier: GPL-2.0
//! Memory for arguments: what the kernel writes hits nothing of ours, and the end of it is an edge.

use crate::programs;
use crate::random::Random;
use dtrace_interface::dof::Header;
use dtrace_interface::{ioctl, Plain};

const SIZE: usize = 2 << 20;
/// Behind it: as much as the largest buffer, so that a snapshot ends in EFAULT and nowhere else.
const GUARD: usize = 2 << 30;
/// Memory that the kernel may write: never seen as a reference while it does.
pub struct Arena {
    start: *mut u8,
}

impl Arena {
    /// All zero.
    pub fn map() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let none = libc::PROT_NONE;
        // SAFETY: a new mapping, wherever.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), SIZE + GUARD, none, flags, -1, 0) };
        assert!(
            start != libc::MAP_FAILED,
            "mmap: {}",
            std::io::Error::last_os_error()
        );
        // SAFETY: the first part of it.
        let answer = unsafe { libc::mprotect(start, SIZE, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(answer, 0, "mprotect: {}", std::io::Error::last_os_error());
        Self {
            start: start.cast(),
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let room = SIZE.saturating_sub(at).min(bytes.len());
        // SAFETY: within the arena, to which nobody has a reference.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(at), room) };
    }

    fn address(&self, at: usize) -> u64 {
        self.start as u64 + at as u64
    }

    /// Addresses that are none.
    fn nowhere(&self, random: &mut Random) -> u64 {
        match random.below(4) {
            0 => random.odd(),
            1 => 0xffff_8880_0000_0000 + random.any() % (1 << 30),
            2 => self.address(SIZE),
            _ => u64::MAX - random.any() % 4096,
        }
    }

    /// Where an argument lies: mostly well within.
    fn place(&self, random: &mut Random) -> usize {
        match random.below(8) {
            0 => SIZE - random.below(512),
            _ => random.below(1024) * 8,
        }
    }

    /// Words for any request, at some place: sizes, addresses and numbers as they might be.
    pub fn argument(&mut self, random: &mut Random) -> u64 {
        if random.below(12) == 0 {
            return self.nowhere(random);
        }
        let place = self.place(random);
        let mut bytes = vec![0; 400];
        for word in bytes.chunks_exact_mut(8) {
            let value = match random.below(8) {
                0 => self.address(4096 + random.below(SIZE - 4096)),
                1 => self.nowhere(random),
                2 | 3 => random.odd(),
                4 => (random.any() % 5) | ((random.any() % 3) << 32),
                5 => 4096 | (1 << 32),
                _ => 0,
            };
            word.copy_from_slice(&value.to_ne_bytes());
        }
        let texts: [&[u8]; 5] = [b"syscall\0", b"dtrace\0", b"*\0", b"profile\0", b"[\0"];
        if random.below(2) == 0 {
            let text = texts[random.below(texts.len())];
            let at = [0, 4][random.below(2)];
            bytes[at..at + text.len()].copy_from_slice(text);
        }
        // A size, for those that begin with one.
        if random.below(3) == 0 {
            let requests = [ioctl::ACCOUNTING, ioctl::REFUSAL];
            let size = (requests[random.below(2)] >> 16) & 0x3fff;
            bytes[..4].copy_from_slice(&size.to_ne_bytes());
            bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        }
        // A CPU and a place, for snapshots.
        if random.below(3) == 0 {
            bytes[8..12].copy_from_slice(&(random.below(5) as u32).to_ne_bytes());
            bytes[24..32].copy_from_slice(&self.address(65_536).to_ne_bytes());
        } else if random.below(3) == 0 {
            // A place, its size and a number, for formats.
            bytes[..8].copy_from_slice(&self.address(65_536).to_ne_bytes());
            bytes[8..12].copy_from_slice(&(random.below(64) as u32).to_ne_bytes());
            bytes[12..14].copy_from_slice(&(random.below(4) as u16).to_ne_bytes());
        }
        self.write(place, &bytes);
        self.address(place)
    }

    /// An entry for poll: any event of a file.
    pub fn poll(&mut self, file: u32) -> u64 {
        let place = 16_384;
        self.write(place, &file.to_ne_bytes());
        self.write(place + 4, &[0xff; 4]);
        self.address(place)
    }

    /// A program: its file spoilt or not, or its objects.
    pub fn program(&mut self, random: &mut Random, programs: &[Vec<u8>]) -> u64 {
        if random.below(20) == 0 {
            return self.nowhere(random);
        }
        let (mut bytes, spoilt) = match random.below(2) {
            0 => (programs::spoilt(random), 0),
            _ => {
                let bytes = programs[random.below(programs.len())].clone();
                (bytes, [0, 0, 1, 2, 8][random.below(5)])
            }
        };
        for _ in 0..spoilt {
            let at = match random.below(3) {
                0 => random.below(Header::SIZE),
                _ => random.below(bytes.len()),
            };
            match random.below(3) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.any() as u8,
                _ => {
                    let value = random.odd().to_ne_bytes();
                    for (byte, value) in bytes[at..].iter_mut().zip(value) {
                        *byte = value;
                    }
                }
            }
        }
        let place = match random.below(8) {
            // It ends where memory does, or behind.
            0 => SIZE - bytes.len() + random.below(16),
            _ => random.below(1024) * 8,
        };
        self.write(place, &bytes);
        self.address(place)
    }
}
