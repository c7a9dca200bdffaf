// SPDX-License-Identifier: GPL-2.0
//! `dtrace.ko`: DTrace on xcall's calls.
//!
//! What DTrace is lies in crates that the host tests: `dtrace_provider` (probes, enablings, buffers),
//! `dof` and `dif` (programs), `dtrace_program` (which joins those), `dtrace_syscall`, `dtrace_profile`
//! and `dtrace_idt` (what the names of probes mean). Here is what ties them to a kernel:
//!
//! - `device`: `/dev/dtrace/dtrace`; `requests`: its ioctls; `user`: their structures; `refusal`.
//! - `live`: the one framework, and where probes find it; `held`: what must not be left.
//! - `machine`, `cpus`, `memory`: the kernel as the framework's machine.
//! - `surroundings`: the kernel as programs see it.
//! - `syscall`, `profile`, `idt`: the providers; `deadman`; `cleaner`.
//! - `gates`: exceptions counted at the gates of the IDT.
//! - `shim*.c`: the C functions and macros that Rust cannot reach; no decisions there.

mod cleaner;
mod cpus;
mod deadman;
mod device;
mod gates;
mod held;
mod idt;
mod live;
mod machine;
mod memory;
mod profile;
mod refusal;
mod requests;
mod shim;
mod surroundings;
mod syscall;
mod user;

use cleaner::Cleaner;
use deadman::Deadman;
use device::Session;
use dtrace_provider::Control;
use kernel::miscdevice::{MiscDeviceOptions, MiscDeviceRegistration};
use kernel::prelude::*;
use live::Live;
use machine::Host;
use profile::Timers;

module! {
    type: DtraceModule,
    name: "dtrace",
    authors: ["The xcall authors"],
    description: "DTrace",
    license: "GPL",
}

/// What is undone at unload, in this order.
struct DtraceModule {
    _gates: gates::Gates,
    _device: Pin<KBox<MiscDeviceRegistration<Session>>>,
    _deadman: Deadman,
    _cleaner: Cleaner,
    _live: Live,
    _timers: Timers,
}

/// The framework with its providers.
fn framework() -> Result<Control<Host>, dtrace_provider::Error> {
    let mut control = Control::new(Host, cpus::count() as usize)?;
    syscall::register(&mut control)?;
    profile::register(&mut control)?;
    idt::register(&mut control)?;
    Ok(control)
}

impl kernel::Module for DtraceModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let live = Live::start(framework().map_err(requests::errno)?);
        // The driver core makes a folder of what stands before the mark: /dev/dtrace/dtrace.
        let options = MiscDeviceOptions {
            name: c"dtrace!dtrace",
        };
        let timers = Timers::new()?;
        let deadman = Deadman::new();
        let cleaner = Cleaner::new();
        let device = KBox::pin_init(MiscDeviceRegistration::register(options), GFP_KERNEL)?;
        Ok(Self {
            _gates: gates::Gates::start(),
            _device: device,
            _deadman: deadman,
            _cleaner: cleaner,
            _live: live,
            _timers: timers,
        })
    }
}
