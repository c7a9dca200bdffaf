// SPDX-License-Identifier: GPL-2.0
//! The C shim, as `shim.h` declares it: contexts are said there.

use kernel::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

extern "C" {
    // This CPU.
    pub(crate) fn xcall_shim_preempt_disable_where() -> u64;
    pub(crate) fn xcall_shim_preempt_enable();
    pub(crate) fn xcall_shim_smp_processor_id() -> c_uint;
    pub(crate) fn xcall_shim_local_irq_save() -> c_ulong;
    pub(crate) fn xcall_shim_local_irq_restore(flags: c_ulong);
    pub(crate) fn xcall_shim_now_ns() -> u64;
    pub(crate) fn xcall_shim_cpu_online(cpu: c_uint) -> bool;
    pub(crate) fn xcall_shim_cpu_relax();
    pub(crate) fn xcall_shim_nr_cpu_ids() -> c_uint;

    // Tasks.
    pub(crate) fn xcall_shim_vzalloc(size: c_ulong) -> *mut c_void;
    pub(crate) fn xcall_shim_vfree(memory: *const c_void);
    pub(crate) fn xcall_shim_cpus_read_lock();
    pub(crate) fn xcall_shim_cpus_read_unlock();
    pub(crate) fn xcall_shim_synchronize_rcu();
    pub(crate) fn xcall_shim_msleep(ms: c_uint);
    pub(crate) fn xcall_shim_cond_resched();
    pub(crate) fn xcall_shim_sprint_symbol(buffer: *mut c_char, address: c_ulong) -> c_int;
    pub(crate) fn xcall_shim_ksym_symbol_len() -> c_uint;

    pub(crate) fn xcall_shim_init();

    // Parameters.
    pub(crate) fn xcall_shim_param_doorbell() -> *const c_char;
    pub(crate) fn xcall_shim_param_forbid() -> *const c_char;
    pub(crate) fn xcall_shim_param_deadline_ms() -> c_uint;
    pub(crate) fn xcall_shim_param_nmi_deadline_ms() -> c_uint;
    pub(crate) fn xcall_shim_param_nmi_credit_ms() -> c_uint;

    // Optional APIs.
    pub(crate) fn xcall_shim_has_nmi_ipi() -> bool;
    pub(crate) fn xcall_shim_has_nmi_handler() -> bool;
    pub(crate) fn xcall_shim_has_xen() -> bool;
    pub(crate) fn xcall_shim_has_xen_event_channel() -> bool;
    pub(crate) fn xcall_shim_has_xen_nmi() -> bool;
    pub(crate) fn xcall_shim_has_xen_resume() -> bool;
    pub(crate) fn xcall_shim_has_debugfs() -> bool;
    pub(crate) fn xcall_shim_has_kallsyms() -> bool;

    // NMI.
    pub(crate) fn xcall_shim_register_nmi_handlers() -> c_int;
    pub(crate) fn xcall_shim_unregister_nmi_handlers();
    pub(crate) fn xcall_shim_nmi_reason_is_absent() -> bool;
    pub(crate) fn xcall_shim_register_nmi_serr_handler() -> c_int;
    pub(crate) fn xcall_shim_unregister_nmi_serr_handler();
    pub(crate) fn xcall_shim_send_nmi(cpu: c_uint);
    pub(crate) fn xcall_shim_send_nmi_mask(cpus: *const c_ulong);
    pub(crate) fn xcall_shim_cpumask_longs() -> c_uint;
    pub(crate) fn xcall_shim_x2apic_mode() -> bool;
    pub(crate) fn xcall_shim_cpu_physical_id(cpu: c_uint) -> u32;
    pub(crate) fn xcall_shim_x2apic_icr_write(low: u32, apic_id: u32);
    pub(crate) fn xcall_shim_xapic_read(reg: u32) -> u32;
    pub(crate) fn xcall_shim_xapic_write(reg: u32, value: u32);

    // Maskable IPI.
    pub(crate) fn xcall_shim_smp_call_function_single_async(cpu: c_uint) -> c_int;
    pub(crate) fn xcall_shim_irq_work_queue_ring();
    pub(crate) fn xcall_shim_irq_work_sync_rings();

    // Xen.
    pub(crate) fn xcall_shim_xen_domain() -> bool;
    pub(crate) fn xcall_shim_xen_pv_domain() -> bool;
    pub(crate) fn xcall_shim_HYPERVISOR_sched_op(cmd: c_int) -> c_int;
    pub(crate) fn xcall_shim_HYPERVISOR_event_channel_op(cmd: c_int, arg: *mut c_void) -> c_int;
    pub(crate) fn xcall_shim_vcpuop_send_nmi(cpu: c_uint) -> c_int;
    pub(crate) fn xcall_shim_bind_evtchn_to_irqhandler(port: u32, cpu: c_uint) -> c_int;
    pub(crate) fn xcall_shim_unbind_from_irqhandler(irq: c_int, cpu: c_uint);
    pub(crate) fn xcall_shim_irq_set_affinity(irq: c_int, cpu: c_uint) -> c_int;
    pub(crate) fn xcall_shim_register_xen_resume() -> c_int;
    pub(crate) fn xcall_shim_unregister_xen_resume();

    // Posted calls.
    pub(crate) fn xcall_shim_posts_irq_work_queue();
    pub(crate) fn xcall_shim_posts_mod_timer(delay_ns: u64);
    pub(crate) fn xcall_shim_posts_stop();

    // Reports.
    pub(crate) fn xcall_shim_reports_irq_work_queue();
    pub(crate) fn xcall_shim_reports_irq_work_sync();

    // CPUs that come and go, and the end.
    pub(crate) fn xcall_shim_cpuhp_setup() -> c_int;
    pub(crate) fn xcall_shim_cpuhp_remove_cpuslocked();
    pub(crate) fn xcall_shim_panic_notifier_register() -> c_int;
    pub(crate) fn xcall_shim_panic_notifier_unregister();

    // debugfs.
    pub(crate) fn xcall_shim_debugfs_create();
    pub(crate) fn xcall_shim_debugfs_remove();
    pub(crate) fn xcall_shim_seq_write(m: *mut c_void, text: *const c_void, len: usize) -> c_int;
}
