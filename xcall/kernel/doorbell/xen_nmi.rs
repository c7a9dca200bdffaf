// SPDX-License-Identifier: GPL-2.0
//! NMI by hypercall, in a Xen PV guest: `VCPUOP_send_nmi`. Heard with events masked.
//!
//! Guests of the other kinds have a local APIC, and Xen refuses this hypercall to them.

use super::nmi::leave_credit;
use super::Without;
use crate::shim;
use xcall::CpuId;

pub(crate) struct XenNmi(());

impl XenNmi {
    pub(super) fn new() -> Result<Self, Without> {
        // SAFETY: Reads a variable.
        if !unsafe { shim::xcall_shim_xen_pv_domain() } {
            return Err(Without::Because("not a Xen PV guest"));
        }
        // SAFETY: Reads a constant.
        if !unsafe { shim::xcall_shim_has_xen_nmi() } {
            return Err(Without::Because("this kernel has no VCPUOP_send_nmi"));
        }
        Ok(Self(()))
    }

    pub(super) fn ring_one(&self, cpu: CpuId) {
        leave_credit(cpu);
        // SAFETY: `cpu` has a mailbox, so it is a possible one. Refused if the vCPU is not there;
        // the engine then finds its mailbox closed.
        unsafe { shim::xcall_shim_vcpuop_send_nmi(cpu.0) };
    }
}
