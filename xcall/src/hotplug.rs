// SPDX-License-Identifier: GPL-2.0
//! CPUs that come and go.

use crate::call::Lane;
use crate::engine::Engine;
use crate::platform::Platform;

/// How long a CPU that goes offline looks after the calls it has posted, in nanoseconds. Later a
/// flush does.
const LINGER_NS: u64 = 1_000_000_000;

impl<P: Platform> Engine<P> {
    /// The caller's CPU takes calls from now on. Task context on that CPU, interrupts on.
    pub fn open(&self) {
        self.pinned(|here| {
            for lane in Lane::ALL {
                self.mailbox(here.cpu(), lane).open();
            }
        });
    }

    /// The caller's CPU takes no calls from now on; those it has taken have ended when this
    /// returns. It may still make calls. Task context on that CPU, interrupts on.
    ///
    /// Nothing else runs calls on this CPU then: interrupts and NMIs that did have returned before
    /// the task goes on, and other tasks do not hold half-run calls, since calls run with preemption
    /// off.
    pub fn close(&self) {
        self.pinned(|here| {
            for lane in Lane::ALL {
                self.mailbox(here.cpu(), lane).close();
                self.scan(here, lane);
            }
        });
        let give_up_ns = self.platform.now_ns().saturating_add(LINGER_NS);
        for turn in 0.. {
            if self.tend().is_none() || self.platform.now_ns() >= give_up_ns {
                break;
            }
            self.pinned(|here| self.platform.relax(here, turn));
        }
    }
}
