// SPDX-License-Identifier: GPL-2.0
//! NMI by the local APIC: bare metal, KVM, Xen PVH and HVM. Heard with interrupts off.
//!
//! Outside NMI the kernel's own way is used. Never from an NMI, which may have come between the two
//! halves of somebody's IPI: in xAPIC mode it would redirect that IPI, in x2APIC cluster mode
//! overwrite a per-CPU mask it uses; either loses a TLB shootdown. From NMI:
//!
//! - x2APIC: one write of one register per target, in physical destination mode.
//! - xAPIC: the registers are left as they were found.

use super::Without;
use crate::platform::{engine, now_ns};
use crate::shim;
use xcall::{CpuId, CpuSet, Here, Lane};

/// The interrupt command register, `arch/x86/include/asm/apicdef.h` and Intel SDM volume 3A, 12.6.
const APIC_ICR: u32 = 0x300;
const APIC_ICR2: u32 = 0x310;
const APIC_ICR_BUSY: u32 = 0x01000;
/// Delivery mode NMI, edge, physical destination, no shorthand.
const APIC_DM_NMI: u32 = 0x00400;
const XAPIC_DEST_SHIFT: u32 = 24;

/// The most looks at a busy register. An IPI leaves in well under a microsecond; one that has not
/// left after so many looks never will.
const IDLE_LOOKS: u32 = 100_000;

pub(crate) struct Nmi(());

impl Nmi {
    pub(super) fn new() -> Result<Self, Without> {
        // SAFETY: Reads a variable.
        if unsafe { shim::xcall_shim_xen_pv_domain() } {
            return Err(Without::Because("a Xen PV guest has no local APIC"));
        }
        // SAFETY: Reads a constant.
        if !unsafe { shim::xcall_shim_has_nmi_ipi() } {
            return Err(Without::Because("this kernel lets no module send an NMI"));
        }
        Ok(Self(()))
    }

    pub(super) fn ring_all(&self, here: &Here, targets: CpuSet<'_>) {
        // SAFETY: Answers a constant, or reads a variable that no longer changes.
        let longs = unsafe { shim::xcall_shim_cpumask_longs() };
        let is_cpumask = targets.words().len() >= longs as usize;
        if may_be_within_ipi(here) || !is_cpumask {
            targets.iter().for_each(|cpu| self.ring_one(here, cpu));
            return;
        }
        targets.iter().for_each(leave_credit);
        // SAFETY: Not an NMI. The words are laid out as a cpumask's, and are all that the kernel
        // looks at.
        unsafe { shim::xcall_shim_send_nmi_mask(targets.words().as_ptr().cast()) }
    }

    pub(super) fn ring_one(&self, here: &Here, cpu: CpuId) {
        leave_credit(cpu);
        if may_be_within_ipi(here) {
            send_from_nmi(cpu);
        } else {
            // SAFETY: Not an NMI; `cpu` has a mailbox, so it is a possible one.
            unsafe { shim::xcall_shim_send_nmi(cpu.0) }
        }
    }
}

/// Whether the code below may be in the middle of an IPI of its own: in an NMI, and with interrupts
/// off, since a probe may stand on the register write of `__x2apic_send_IPI_mask`.
fn may_be_within_ipi(here: &Here) -> bool {
    !here.may_run(Lane::Ordinary)
}

/// Says that an NMI of ours is about to be sent to `cpu`. Any context.
pub(super) fn leave_credit(cpu: CpuId) {
    if let Some(credit) = engine().and_then(|engine| engine.platform().credits.get(cpu)) {
        credit.leave(now_ns());
    }
}

/// Sends an NMI from an NMI.
fn send_from_nmi(cpu: CpuId) {
    // SAFETY: Reads a variable; `cpu` has a mailbox, so it is a possible one.
    let apic_id = unsafe { shim::xcall_shim_cpu_physical_id(cpu.0) };
    // SAFETY: Reads a variable.
    if unsafe { shim::xcall_shim_x2apic_mode() } {
        // SAFETY: x2APIC mode. One write, so there is no half-way for it to come between.
        unsafe { shim::xcall_shim_x2apic_icr_write(APIC_DM_NMI, apic_id) };
        return;
    }
    // An IPI on its way may still need both registers.
    wait_until_idle();
    // SAFETY: xAPIC mode (the kernel disables a missing APIC's SMP), so the registers are there.
    // What we interrupted may have written ICR2 and not ICR yet: it finds ICR2 as it left it.
    unsafe {
        let before = shim::xcall_shim_xapic_read(APIC_ICR2);
        shim::xcall_shim_xapic_write(APIC_ICR2, apic_id << XAPIC_DEST_SHIFT);
        shim::xcall_shim_xapic_write(APIC_ICR, APIC_DM_NMI);
        wait_until_idle();
        shim::xcall_shim_xapic_write(APIC_ICR2, before);
    }
}

fn wait_until_idle() {
    for _ in 0..IDLE_LOOKS {
        // SAFETY: xAPIC mode, as in our caller.
        if unsafe { shim::xcall_shim_xapic_read(APIC_ICR) } & APIC_ICR_BUSY == 0 {
            return;
        }
        // SAFETY: A pause instruction.
        unsafe { shim::xcall_shim_cpu_relax() };
    }
}
