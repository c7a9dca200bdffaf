// SPDX-License-Identifier: GPL-2.0
//! shim.h, for Rust. Contexts are told there.

use kernel::prelude::*;

extern "C" {
    pub(crate) fn xcall_stress_shim_smp_processor_id() -> c_uint;
    pub(crate) fn xcall_stress_shim_in_nmi() -> bool;
    pub(crate) fn xcall_stress_shim_local_irq_save() -> c_ulong;
    pub(crate) fn xcall_stress_shim_local_irq_restore(flags: c_ulong);
    pub(crate) fn xcall_stress_shim_cpu_relax();

    pub(crate) fn xcall_stress_shim_breathe();
    pub(crate) fn xcall_stress_shim_msleep(ms: c_uint);
    pub(crate) fn xcall_stress_shim_capable() -> bool;
    pub(crate) fn xcall_stress_shim_lock();
    pub(crate) fn xcall_stress_shim_unlock();
    pub(crate) fn xcall_stress_shim_online_cpus(words: *mut u64, count: c_uint);
    pub(crate) fn xcall_stress_shim_symbol(name: *mut u8, size: usize, address: *const c_void);
    pub(crate) fn xcall_stress_shim_register_threads() -> c_int;
    pub(crate) fn xcall_stress_shim_unregister_threads();
    pub(crate) fn xcall_stress_shim_should_park() -> bool;

    pub(crate) fn xcall_stress_shim_has_nmis() -> bool;
    pub(crate) fn xcall_stress_shim_register_nmi_handler() -> c_int;
    pub(crate) fn xcall_stress_shim_unregister_nmi_handler();
    pub(crate) fn xcall_stress_shim_send_nmi(cpu: c_uint);
}
