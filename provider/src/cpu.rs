// SPDX-License-Identifier: GPL-2.0
//! One CPU's part: whether it is inside a firing, what waits for the firing's end, its environment.
//!
//! # The epoch
//!
//! One word says both whether the CPU is inside and which firing it is in: it is odd inside, and
//! advances by one at entry and at exit, in one instruction each. Only its own CPU writes it, so an
//! NMI that fires between the look and the step finds it even, runs whole, and leaves it even.
//!
//! I1. While the word is odd nobody else on this CPU gets in: entry is refused.
//! I2. Whoever holds the tokens of [`Entered`] is the only one on this CPU that does.
//! I3. The step at exit is Release and the last thing a firing does: who reads another value than the
//!     odd one it saw (Acquire) comes after all that the firing read and wrote.

use crate::point::{reach, Point};
use crate::primitive::{Counter, Ordering, OwnCpu, OwnWord, UnsafeCell};
use core::marker::PhantomData;

/// One CPU.
pub(crate) struct Cpu<E> {
    index: usize,
    epoch: OwnWord,
    /// A buffer of this CPU is to be switched when the firing ends.
    wanted: OwnCpu,
    /// Firings refused because one was on.
    nested: Counter,
    environment: UnsafeCell<E>,
}

// SAFETY: the environment is reached with the tokens of `Entered` only, which are one CPU's (I2).
// E moves between threads no more than a value behind a lock does, so Send is enough.
unsafe impl<E: Send> Sync for Cpu<E> {}

/// Proof of being inside a firing on a CPU: what is published may be read.
pub(crate) struct Inside<'a> {
    cpu: usize,
    _here: PhantomData<(&'a (), *mut ())>,
}

impl Inside<'_> {
    pub(crate) fn cpu(&self) -> usize {
        self.cpu
    }
}

/// Proof of being the only one on a CPU who writes into its buffers with halves `H`.
pub(crate) struct Pen<'a, H> {
    cpu: usize,
    _here: PhantomData<(&'a (), *mut H)>,
}

impl<H> Pen<'_, H> {
    pub(crate) fn cpu(&self) -> usize {
        self.cpu
    }
}

/// What a CPU that is inside a firing holds.
pub(crate) struct Entered<'a, E, H, A> {
    pub(crate) inside: Inside<'a>,
    pub(crate) pen: Pen<'a, H>,
    pub(crate) aggregation_pen: Pen<'a, A>,
    environment: &'a UnsafeCell<E>,
}

impl<'a, E, H, A> Entered<'a, E, H, A> {
    /// Runs `f` with the CPU's environment.
    #[inline(always)]
    pub(crate) fn with<R>(
        &mut self,
        f: impl FnOnce(&Inside<'a>, &mut Pen<'a, H>, &mut Pen<'a, A>, &mut E) -> R,
    ) -> R {
        let Self {
            inside,
            pen,
            aggregation_pen,
            environment,
        } = self;
        environment.with_mut(|environment| {
            // SAFETY: I2: there is one `Entered` of this CPU, and it is borrowed exclusively.
            let environment = unsafe { &mut *environment };
            f(inside, pen, aggregation_pen, environment)
        })
    }
}

impl<E> Cpu<E> {
    pub(crate) fn new(index: usize, environment: E) -> Self {
        Self {
            index,
            epoch: OwnWord::new(),
            wanted: OwnCpu::new(0),
            nested: Counter::new(),
            environment: UnsafeCell::new(environment),
        }
    }

    /// Goes in; None if this CPU is inside already. Interrupts off, or the CPU is off line and held.
    #[inline]
    pub(crate) fn enter<H, A>(&self) -> Option<Entered<'_, E, H, A>> {
        // Relaxed: own CPU only.
        if self.epoch.load(Ordering::Relaxed) % 2 == 1 {
            return None;
        }
        // Relaxed epoch:A: the word is read on this CPU (by a cross-call, which lies in its program
        // order), and by others only after such a call told them its value.
        self.epoch.advance(Ordering::Relaxed);
        reach(Point::Entered);
        Some(Entered {
            inside: Inside {
                cpu: self.index,
                _here: PhantomData,
            },
            pen: Pen {
                cpu: self.index,
                _here: PhantomData,
            },
            aggregation_pen: Pen {
                cpu: self.index,
                _here: PhantomData,
            },
            environment: &self.environment,
        })
    }

    /// Goes out.
    #[inline]
    pub(crate) fn leave<H, A>(&self, entered: Entered<'_, E, H, A>) {
        let Entered { .. } = entered;
        // Release epoch:B, pairs with epoch:C: who sees the firing over may free what it read.
        self.epoch.advance(Ordering::Release);
        reach(Point::Left);
    }

    /// What a cross-call on this CPU finds: None outside, else the firing it landed in.
    pub(crate) fn firing(&self) -> Option<u64> {
        // Relaxed: own CPU.
        let epoch = self.epoch.load(Ordering::Relaxed);
        (epoch % 2 == 1).then_some(epoch)
    }

    /// Whether the firing `seen` is still on. Any CPU.
    pub(crate) fn is_in(&self, seen: u64) -> bool {
        // Acquire epoch:C, pairs with epoch:B: after the firing's last access.
        self.epoch.load(Ordering::Acquire) == seen
    }

    /// A cross-call landed in a firing: a buffer is to be switched at its end.
    pub(crate) fn want(&self) {
        self.wanted.set(1);
    }

    /// Whether a switch waits. Cleared by [`serving`](Self::serving).
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.get() != 0
    }

    /// The buffers are looked at from now on: a call that comes later wants anew.
    pub(crate) fn serving(&self) {
        self.wanted.set(0);
    }

    #[inline]
    pub(crate) fn refused(&self) {
        self.nested.add(1);
    }

    pub(crate) fn nested(&self) -> u64 {
        self.nested.load()
    }
}
