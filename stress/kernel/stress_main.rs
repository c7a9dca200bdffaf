// SPDX-License-Identifier: GPL-2.0
//! `xcall_stress.ko`: storms of cross-CPU calls, by threads on each CPU, on xcall.ko's public
//! interface alone.
//!
//! What a storm is lies in the crate `xcall_storm`, which the host tests. Here:
//!
//! - `device`: `/dev/xcall-stress` and its ioctls (crate `xcall_stress_protocol`).
//! - `running`: the storm that is going on, and its end; `threads`: its workers, one a CPU.
//! - `one_call`: a call beside it; `hold`: a CPU kept with interrupts off.
//! - `guest`: the kernel as a storm's machine.
//! - `selection`, `faults`, `carrier`: doorbells, spoilt rings, NMIs of our own.
//! - `shim.c`: the C functions and macros that Rust cannot reach.

mod carrier;
mod device;
mod faults;
mod guest;
mod hold;
mod one_call;
mod running;
mod selection;
mod shim;
mod threads;

use device::Session;
use kernel::miscdevice::{MiscDeviceOptions, MiscDeviceRegistration};
use kernel::prelude::*;

module! {
    type: StressModule,
    name: "xcall_stress",
    authors: ["The xcall authors"],
    description: "Storms of cross-CPU calls through xcall",
    license: "GPL",
}

struct StressModule {
    device: Option<Pin<KBox<MiscDeviceRegistration<Session>>>>,
}

impl kernel::Module for StressModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let options = MiscDeviceOptions {
            name: c"xcall-stress",
        };
        let device = KBox::pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?;
        Ok(Self {
            device: Some(device),
        })
    }
}

impl Drop for StressModule {
    fn drop(&mut self) {
        // No new storm; then the end of the one that may be going on.
        self.device = None;
        running::end_any();
    }
}
