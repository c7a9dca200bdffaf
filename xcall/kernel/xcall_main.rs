// SPDX-License-Identifier: GPL-2.0
//! `xcall.ko`: cross-CPU calls that cannot lock up.

use crossbeam_utils::CachePadded;
use kernel::prelude::*;

module! {
    type: XcallModule,
    name: "xcall",
    authors: ["The xcall authors"],
    description: "Cross-CPU calls that cannot lock up",
    license: "GPL",
}

extern "C" {
    fn xcall_shim_raw_smp_processor_id() -> c_uint;
}

struct XcallModule {
    cpu: CachePadded<u32>,
}

impl kernel::Module for XcallModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: Reads one per-CPU variable.
        let cpu = CachePadded::new(unsafe { xcall_shim_raw_smp_processor_id() });
        pr_info!(
            "loaded on CPU {}, {} bytes a line, evtchn_send {} bytes\n",
            *cpu,
            size_of::<CachePadded<u32>>(),
            size_of::<xen_sys::evtchn_send>(),
        );
        Ok(Self { cpu })
    }
}

impl Drop for XcallModule {
    fn drop(&mut self) {
        pr_info!("unloaded, loaded on CPU {}\n", *self.cpu);
    }
}
