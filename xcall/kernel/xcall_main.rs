// SPDX-License-Identifier: GPL-2.0
//! `xcall.ko`: cross-CPU calls that cannot lock up.
//!
//! The engine is the crate `xcall`, which knows no kernel. Here is what ties it to one:
//!
//! - `platform`: where am I, what time is it, relax; and the one engine of this machine.
//! - `doorbell`: the ways to ring, a file each; `selection`: which of them are used.
//! - `nmi`, `hotplug`, `posts`, `timeouts`: what the kernel calls us for.
//! - `apis`: what this kernel lacks.
//! - `export`: what other modules call us for, declared in `include/xcall.h`; `debugfs`: the
//!   counters, for people.
//! - `shim*.c`: the C functions and macros that Rust cannot reach; no decisions there.

mod apis;
mod debugfs;
mod doorbell;
mod export;
mod hotplug;
mod live;
mod nmi;
mod params;
mod percpu;
mod platform;
mod posts;
mod selection;
mod shim;
mod timeouts;

use debugfs::Folder;
use doorbell::{Bell, XenResume};
use hotplug::{OnlineCpus, PanicNotifier};
use kernel::prelude::*;
use live::{Flushed, Live};
use params::Params;

module! {
    type: XcallModule,
    name: "xcall",
    authors: ["The xcall authors"],
    description: "Cross-CPU calls that cannot lock up",
    license: "GPL",
}

/// What is undone at unload, in this order; what fails at load is undone in this order too.
struct XcallModule {
    _debugfs: Option<Folder>,
    _panic_notifier: PanicNotifier,
    _xen_resume: Option<XenResume>,
    _flushed: Flushed,
    _online_cpus: OnlineCpus,
    _nmi_handlers: Option<nmi::Handlers>,
    _live: Live,
}

impl kernel::Module for XcallModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let params = Params::read()?;
        apis::report_missing();
        let nmi_handlers = nmi::Handlers::register();
        let nmis_heard = nmi_handlers.as_ref().map(|_| ()).map_err(|why| *why);
        let live = Live::start(&params, nmis_heard)?;
        let has = |wanted: fn(&Bell) -> bool| live.engine().doorbells().any(wanted);
        // Bound anew, so that they go before the engine if what follows fails.
        let nmi_handlers = nmi_handlers.ok().filter(|_| has(Bell::is_nmi));
        let online_cpus = OnlineCpus::register()?;
        let flushed = Flushed;
        let xen_resume = match has(|bell| matches!(bell, Bell::EventChannel(_))) {
            true => XenResume::register(),
            false => None,
        };
        let panic_notifier = PanicNotifier::register()?;

        selection::try_all(live.engine());
        selection::decide(live.engine(), params.doorbell);
        // SAFETY: Reads a constant.
        let debugfs = unsafe { shim::xcall_shim_has_debugfs() }.then(Folder::create);
        Ok(Self {
            _debugfs: debugfs,
            _panic_notifier: panic_notifier,
            _xen_resume: xen_resume,
            _flushed: flushed,
            _online_cpus: online_cpus,
            _nmi_handlers: nmi_handlers,
            _live: live,
        })
    }
}
