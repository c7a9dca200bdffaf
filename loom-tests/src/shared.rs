// SPDX-License-Identifier: GPL-2.0
//! What the called functions of a model write, and how a model looks at it.

use loom::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use xcall::Work;

/// A value the caller sets, a value the target leaves, and how often it ran.
///
/// loom watches both values: an access that nothing orders after the other side's fails the model.
#[derive(Debug)]
pub struct Parcel {
    question: UnsafeCell<u32>,
    answer: UnsafeCell<u32>,
    runs: AtomicU32,
}

// SAFETY: loom reports any two accesses to the cells that are not ordered, which is what the models
// are for; `runs` is an atomic.
unsafe impl Sync for Parcel {}
// SAFETY: as for Sync.
unsafe impl Send for Parcel {}

impl Parcel {
    pub fn new(question: u32) -> Self {
        Self {
            question: UnsafeCell::new(question),
            answer: UnsafeCell::new(0),
            runs: AtomicU32::new(0),
        }
    }

    /// For posted calls: lives for ever.
    pub fn leaked(question: u32) -> &'static Self {
        Box::leak(Box::new(Self::new(question)))
    }

    /// What a target does with the parcel.
    pub fn run(&self) {
        // SAFETY: loom checks it.
        let question = self.question.with(|p| unsafe { *p });
        // SAFETY: loom checks it.
        self.answer.with_mut(|p| unsafe { *p = question + 100 });
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// What a target of a broadcast does: the answer cells of several targets are not one.
    pub fn run_quietly(&self) {
        // SAFETY: loom checks it.
        let question = self.question.with(|p| unsafe { *p });
        assert_ne!(question, 0, "the argument had ended");
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it ran. Not ordered: for the end of a model, or under an order of its own.
    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    /// The caller, after a call that ran, sees what the target wrote.
    pub fn assert_answered(&self) {
        // SAFETY: loom checks it.
        let question = self.question.with(|p| unsafe { *p });
        // SAFETY: loom checks it.
        assert_eq!(self.answer.with(|p| unsafe { *p }), question + 100);
    }

    /// The caller's argument goes out of scope: nobody may touch it any more.
    pub fn end_of_life(&self) {
        // SAFETY: loom checks it.
        self.question.with_mut(|p| unsafe { *p = 0 });
        // SAFETY: loom checks it.
        self.answer.with_mut(|p| unsafe { *p = 0 });
    }
}

/// `f` as NMI-safe work.
pub fn nmi_safe<F: Fn() + Sync>(f: &F) -> Work<'_> {
    // SAFETY: the functions of these models take no lock, and an execution of a model lets them be
    // interrupted at the engine's points only.
    unsafe { Work::nmi_safe(f) }
}
