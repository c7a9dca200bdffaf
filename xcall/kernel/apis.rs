// SPDX-License-Identifier: GPL-2.0
//! Optional APIs of the kernel (`compat.h`): those that this one lacks are named on the log, each with
//! what is lost and what takes its place.

use crate::shim;
use kernel::prelude::*;

struct Api {
    name: &'static str,
    has: unsafe extern "C" fn() -> bool,
    lost: &'static str,
    instead: &'static str,
}

const APIS: &[Api] = &[
    Api {
        name: "NMI_IPI",
        has: shim::xcall_shim_has_nmi_ipi,
        lost: "doorbell nmi",
        instead: "event-channel or ipi",
    },
    Api {
        name: "NMI_HANDLER",
        has: shim::xcall_shim_has_nmi_handler,
        lost: "doorbells nmi and xen-nmi",
        instead: "event-channel or ipi",
    },
    Api {
        name: "XEN",
        has: shim::xcall_shim_has_xen,
        lost: "doorbells event-channel and xen-nmi, yielding to other virtual CPUs",
        instead: "nmi or ipi, spinning",
    },
    Api {
        name: "XEN_EVENT_CHANNEL",
        has: shim::xcall_shim_has_xen_event_channel,
        lost: "doorbell event-channel",
        instead: "xen-nmi or nmi, for ordinary calls ipi",
    },
    Api {
        name: "XEN_NMI",
        has: shim::xcall_shim_has_xen_nmi,
        lost: "doorbell xen-nmi",
        instead: "event-channel or ipi",
    },
    Api {
        name: "XEN_RESUME",
        has: shim::xcall_shim_has_xen_resume,
        lost: "event channels once a guest has been restored",
        instead: "xen-nmi or nmi then; ordinary calls time out",
    },
    Api {
        name: "DEBUGFS",
        has: shim::xcall_shim_has_debugfs,
        lost: "/sys/kernel/debug/xcall",
        instead: "the exported functions",
    },
    Api {
        name: "KALLSYMS",
        has: shim::xcall_shim_has_kallsyms,
        lost: "names of functions in the log",
        instead: "addresses",
    },
];

/// Says on the log which are missing. Task context.
pub(crate) fn report_missing() {
    for api in APIS {
        // SAFETY: Reads a constant.
        if !unsafe { (api.has)() } {
            pr_info!(
                "{}\n",
                format_args!(
                    "this kernel has no {}: lost {}; instead {}",
                    api.name, api.lost, api.instead
                )
            );
        }
    }
}
