// SPDX-License-Identifier: GPL-2.0
//! Interruption points: the places of a firing where a model lets a cross-call or an NMI in.
//!
//! Between two neighbouring points the code touches shared memory once at most, so an NMI at any
//! instruction is like one at a point.

/// A place between two steps of a firing, a switch or a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    dead_code,
    reason = "the names are the documentation; models use them"
)]
pub enum Point {
    Entered,
    EcbSeen,
    Admitted,
    Reserved,
    Written,
    Committed,
    Served,
    Left,
    SwitchBegun,
    Switched,
}

#[cfg(not(any(loom, test)))]
#[inline(always)]
pub(crate) fn reach(_: Point) {}

#[cfg(any(loom, test))]
pub(crate) use model::reach;
#[cfg(any(loom, test))]
pub use model::set_hook;
#[cfg(loom)]
pub use model::Hook;

#[cfg(any(loom, test))]
mod model {
    use super::Point;
    use std::boxed::Box;
    use std::cell::RefCell;

    /// What a model does at the points its thread passes.
    pub type Hook = Box<dyn FnMut(Point)>;

    #[cfg(loom)]
    use loom::thread_local;
    #[cfg(not(loom))]
    use std::thread_local;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = RefCell::new(None);
    }

    /// Calls `hook` at every point this thread passes from now on, but not within the hook itself.
    pub fn set_hook(hook: Hook) {
        HOOK.with(|h| *h.borrow_mut() = Some(hook));
    }

    pub(crate) fn reach(point: Point) {
        // Taken out while it runs: what the hook itself passes is not interrupted again.
        let hook = HOOK.with(|h| h.borrow_mut().take());
        if let Some(mut hook) = hook {
            hook(point);
            HOOK.with(|h| *h.borrow_mut() = Some(hook));
        }
    }
}
