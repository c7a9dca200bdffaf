// SPDX-License-Identifier: GPL-2.0
//! What a program can see of the machine it runs on.

use crate::{BuiltIn, FaultKind};

/// The firing as its programs see it. Methods run in probe context: no lock, no allocation, no
/// fault, bounded time; an NMI may run them.
///
/// Addresses are whatever the program computed: judge each. Those of [`crate::address`] never come
/// to [`Environment::kernel`], but may come to [`Environment::user`], which refuses them as
/// not a user's.
pub trait Environment {
    /// Copies kernel memory at `address`, without a fault. Refuses user addresses. `into` is at most
    /// 64 bytes long.
    fn kernel(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind>;

    /// Copies the running process's memory at `address`, without a fault: a page that is away is
    /// [`FaultKind::BadAddress`]. `into` may be as long as scratch.
    fn user(&mut self, address: u64, into: &mut [u8]) -> Result<(), FaultKind>;

    /// A built-in that is a number. `index`: of the array's element, for arrays.
    fn number(&mut self, builtin: BuiltIn, index: u64) -> Result<u64, FaultKind>;

    /// A built-in that is a string: copies as much of it as fits and returns how much, without a
    /// NUL.
    fn text(&mut self, builtin: BuiltIn, into: &mut [u8]) -> Result<usize, FaultKind>;

    /// Tells threads apart: the key of thread-local variables. Differs for what runs at the same
    /// time (interrupts of a CPU may count as a thread) and is not used again too soon.
    fn thread(&mut self) -> u64;

    /// Whether the running process descends from `pid`, or is it. Bounded in depth.
    fn progeny_of(&mut self, pid: u64) -> Result<bool, FaultKind>;

    /// A weak random number.
    fn random(&mut self) -> u64;
}
