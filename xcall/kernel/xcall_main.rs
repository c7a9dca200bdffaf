// SPDX-License-Identifier: GPL-2.0
//! `xcall.ko`: cross-CPU calls that cannot lock up.
//!
//! The engine is the crate `xcall`, which knows no kernel. Here is what ties it to one:
//!
//! - `platform`: where am I, what time is it, relax; and the one engine of this machine.
//! - `doorbell`: the ways to ring, a file each; `selection`: which of them are used.
//! - `nmi`, `hotplug`, `posts`, `timeouts`: what the kernel calls us for.
//! - `export`: what other modules call us for, declared in `include/xcall.h`; `debugfs`: the
//!   counters, for people.
//! - `shim*.c`: the C functions and macros that Rust cannot reach; no decisions there.

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
    _debugfs: Folder,
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
        let live = Live::start(&params)?;
        let has = |wanted: fn(&Bell) -> bool| live.engine().doorbells().any(wanted);
        let nmi_handlers = match has(Bell::is_nmi) {
            true => Some(nmi::Handlers::register()?),
            false => None,
        };
        let online_cpus = OnlineCpus::register()?;
        let flushed = Flushed;
        let xen_resume = match has(|bell| matches!(bell, Bell::EventChannel(_))) {
            true => Some(XenResume::register()?),
            false => None,
        };
        let panic_notifier = PanicNotifier::register()?;

        selection::try_all(live.engine());
        selection::decide(live.engine(), params.doorbell);
        Ok(Self {
            _debugfs: Folder::create(),
            _panic_notifier: panic_notifier,
            _xen_resume: xen_resume,
            _flushed: flushed,
            _online_cpus: online_cpus,
            _nmi_handlers: nmi_handlers,
            _live: live,
        })
    }
}
