// SPDX-License-Identifier: GPL-2.0
//! Two halves of one CPU's buffer: its owner writes into one, the consumer reads the other.
//!
//! ```text
//!   switches:   even                odd                 even
//!   half 0      owner writes    ->  consumer reads  ->  owner writes
//!   half 1      consumer has it     owner writes        consumer reads
//! ```
//!
//! I1. Half `switches % 2` is the owner's: only firings on its CPU touch it, one at a time ([`Pen`]).
//! I2. The other is the consumer's: only the control side touches it, one at a time ([`Writer`]).
//! I3. Only the owner steps `switches`, only with the pen, so never within a firing; and only when the
//!     consumer asked, which hands its half over clean.
//! I4. A wish names the count it was made at and is fulfilled at that count only: one that was asked again,
//!     and lands while it is being fulfilled, names a count that is past and does nothing.

use crate::cpu::Pen;
use crate::memory::Writer;
use crate::point::{reach, Point};
use crate::primitive::{MutPtr, Ordering, OwnCpu, OwnWord, UnsafeCell};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// The halves.
pub(crate) struct Halves<H> {
    cpu: usize,
    halves: [UnsafeCell<H>; 2],
    switches: OwnWord,
    /// One more than the count of switches at which the consumer asked within a firing; 0: it did not.
    /// Its own CPU's.
    wanted: OwnCpu,
}

/// The owner's half, while the pen is borrowed.
///
/// # Invariant
///
/// By I1 nobody else is at the half.
pub(crate) struct OwnHalf<'a, H> {
    half: MutPtr<H>,
    _pen: PhantomData<&'a mut H>,
}

impl<H> OwnHalf<'_, H> {
    /// Nobody is at it any more.
    #[inline(always)]
    pub(crate) fn put_back(self) {}
}

impl<H> Deref for OwnHalf<'_, H> {
    type Target = H;
    #[inline(always)]
    fn deref(&self) -> &H {
        // SAFETY: the invariant.
        unsafe { self.half.deref() }
    }
}

impl<H> DerefMut for OwnHalf<'_, H> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut H {
        // SAFETY: the invariant, and this is the only one, borrowed exclusively.
        unsafe { self.half.deref() }
    }
}

// SAFETY: by I1 and I2 a half is one thread's at a time, and the step of `switches` orders the
// hand-over (switch:A and B; the asking cross-call the other way).
unsafe impl<H: Send> Sync for Halves<H> {}

impl<H> Halves<H> {
    pub(crate) fn new(cpu: usize, first: H, second: H) -> Self {
        Self {
            cpu,
            halves: [UnsafeCell::new(first), UnsafeCell::new(second)],
            switches: OwnWord::new(),
            wanted: OwnCpu::new(0),
        }
    }

    fn half(&self, number: u64) -> &UnsafeCell<H> {
        let [even, odd] = &self.halves;
        if number % 2 == 0 {
            even
        } else {
            odd
        }
    }

    /// The owner's half; None on another CPU than the owner. Probe context.
    #[inline(always)]
    pub(crate) fn own<'a>(&'a self, pen: &'a mut Pen<'_, H>) -> Option<OwnHalf<'a, H>> {
        if pen.cpu() != self.cpu {
            return None;
        }
        // Relaxed: own CPU.
        let half = self.half(self.switches.load(Ordering::Relaxed));
        Some(OwnHalf {
            half: half.get_mut(),
            _pen: PhantomData,
        })
    }

    /// Gives the owner's half to the consumer, unless that was done since the count was `before`. Its
    /// own CPU; the consumer has asked.
    pub(crate) fn switch_from(&self, before: u64, pen: &mut Pen<'_, H>) {
        // Relaxed: own CPU.
        if self.switches.load(Ordering::Relaxed) == before {
            self.switch(pen);
        }
    }

    fn switch(&self, pen: &mut Pen<'_, H>) {
        if pen.cpu() != self.cpu {
            return;
        }
        reach(Point::SwitchBegun);
        // Release switch:A, pairs with switch:B: the consumer sees all that was written into it.
        self.switches.advance(Ordering::Release);
        reach(Point::Switched);
    }

    /// A cross-call landed in a firing: to be switched at its end, unless that was done since the count
    /// was `before`. Its own CPU.
    pub(crate) fn want_from(&self, before: u64) {
        self.wanted.set(before.wrapping_add(1));
    }

    /// Switches if that was wanted at the count as it is now. Its own CPU.
    pub(crate) fn serve(&self, pen: &mut Pen<'_, H>) {
        // Relaxed: own CPU.
        let now = self.switches.load(Ordering::Relaxed);
        if self.wanted.get() == now.wrapping_add(1) {
            self.switch(pen);
        }
    }

    /// How often it was switched. Control side: a later value means that the asked switch is done.
    pub(crate) fn switches(&self) -> u64 {
        // Acquire switch:B, pairs with switch:A.
        self.switches.load(Ordering::Acquire)
    }

    /// Runs `f` on the consumer's half; it leaves it as the owner is to find it. Control side, no
    /// switch asked for and not yet done.
    pub(crate) fn read<R>(&self, _: &mut Writer, f: impl FnOnce(&mut H) -> R) -> R {
        let half = self.half(self.switches().wrapping_add(1));
        // SAFETY: I2, and by I3 no switch comes meanwhile: none is asked for.
        half.with_mut(|half| f(unsafe { &mut *half }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Halves;
    use crate::cpu::Cpu;
    use crate::point::{set_hook, Point};
    use std::boxed::Box;
    use std::sync::Arc;

    #[test]
    fn a_wish_that_is_made_while_it_is_fulfilled_is_the_same_one() {
        let halves = Arc::new(Halves::new(0, 0_u32, 0_u32));
        let cpu = Cpu::new(0, ());
        let mut entered = cpu.enter::<u32, u32>().unwrap();
        let late = halves.clone();
        set_hook(Box::new(move |point| {
            if point == Point::SwitchBegun {
                late.want_from(0);
            }
        }));
        halves.want_from(0);
        for _ in 0..2 {
            halves.serve(&mut entered.pen);
            assert_eq!(halves.switches(), 1);
        }
        cpu.leave(entered);
    }
}
