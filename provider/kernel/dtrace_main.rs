// SPDX-License-Identifier: GPL-2.0
//! `dtrace.ko`: DTrace on xcall's calls.
//!
//! What DTrace is lies in crates that the host tests. Here is what ties them to a kernel:
//!
//! - `device`: `/dev/dtrace/dtrace` and its ioctls.
//! - `syscall`: the tracepoints, for the syscall provider.
//! - `shim*.c`: the C functions and macros that Rust cannot reach; no decisions there.

mod device;
mod shim;
mod syscall;

use device::Session;
use kernel::miscdevice::{MiscDeviceOptions, MiscDeviceRegistration};
use kernel::prelude::*;

module! {
    type: DtraceModule,
    name: "dtrace",
    authors: ["The xcall authors"],
    description: "DTrace",
    license: "GPL",
}

struct DtraceModule {
    _device: Pin<KBox<MiscDeviceRegistration<Session>>>,
}

impl kernel::Module for DtraceModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // The driver core makes a folder of what stands before the mark: /dev/dtrace/dtrace.
        let options = MiscDeviceOptions {
            name: c"dtrace!dtrace",
        };
        let device = KBox::pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?;
        Ok(Self { _device: device })
    }
}
