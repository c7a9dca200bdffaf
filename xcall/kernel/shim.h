/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel as xcall.ko's Rust code sees it: xcall_shim_<kernel name>(), one
 * statement each where it can be, no decisions. shim.rs declares the same.
 *
 * Contexts: "any" includes NMI. What a call or a doorbell's handler runs is
 * noinstr, and none of it is traced (module.mk), so that no probe can be put
 * into what probes run.
 */
#ifndef XCALL_SHIM_H
#define XCALL_SHIM_H

#include <linux/types.h>

struct irq_work;
struct pt_regs;

/* Context: any. */
#define XCALL_SHIM_IN_NMI		(1ULL << 32)
#define XCALL_SHIM_IN_HARDIRQ		(1ULL << 33)
#define XCALL_SHIM_IN_SOFTIRQ		(1ULL << 34)
#define XCALL_SHIM_IRQS_DISABLED	(1ULL << 35)
/* Returns the CPU in its lower half, and where the caller stood in these bits. */
u64 xcall_shim_preempt_disable_where(void);
void xcall_shim_preempt_enable(void);
unsigned int xcall_shim_smp_processor_id(void);
unsigned long xcall_shim_local_irq_save(void);
void xcall_shim_local_irq_restore(unsigned long flags);
u64 xcall_shim_now_ns(void);
bool xcall_shim_cpu_online(unsigned int cpu);
void xcall_shim_cpu_relax(void);
unsigned int xcall_shim_nr_cpu_ids(void);

/* Context: task. */
void *xcall_shim_vzalloc(unsigned long size);
void xcall_shim_vfree(const void *memory);
void xcall_shim_cpus_read_lock(void);
void xcall_shim_cpus_read_unlock(void);
void xcall_shim_synchronize_rcu(void);
void xcall_shim_msleep(unsigned int ms);
void xcall_shim_cond_resched(void);
/* Returns the length; buffer takes KSYM_SYMBOL_LEN bytes. Context: any but NMI. */
int xcall_shim_sprint_symbol(char *buffer, unsigned long address);
unsigned int xcall_shim_ksym_symbol_len(void);

/* Once, before everything but the parameters. Context: task. */
void xcall_shim_init(void);

/* Module parameters. */
const char *xcall_shim_param_doorbell(void);
const char *xcall_shim_param_forbid(void);
unsigned int xcall_shim_param_deadline_ms(void);
unsigned int xcall_shim_param_nmi_deadline_ms(void);
unsigned int xcall_shim_param_nmi_credit_ms(void);

/* Optional APIs, as in compat.h. Context: any. */
bool xcall_shim_has_nmi_ipi(void);
bool xcall_shim_has_nmi_handler(void);
bool xcall_shim_has_xen(void);
bool xcall_shim_has_xen_event_channel(void);
bool xcall_shim_has_xen_nmi(void);
bool xcall_shim_has_xen_resume(void);
bool xcall_shim_has_debugfs(void);
bool xcall_shim_has_kallsyms(void);

/* NMI. Registration: task. */
int xcall_shim_register_nmi_handlers(void);
void xcall_shim_unregister_nmi_handlers(void);
/* Whether nothing answers at the port where the kernel looks for an NMI's reason. */
bool xcall_shim_nmi_reason_is_absent(void);
int xcall_shim_register_nmi_serr_handler(void);
void xcall_shim_unregister_nmi_serr_handler(void);
/* Context: any but NMI. */
void xcall_shim_send_nmi(unsigned int cpu);
void xcall_shim_send_nmi_mask(const unsigned long *cpus);
/* Context: any. cpumask_longs: words of a cpumask that the kernel may look at. */
unsigned int xcall_shim_cpumask_longs(void);
bool xcall_shim_x2apic_mode(void);
u32 xcall_shim_cpu_physical_id(unsigned int cpu);
void xcall_shim_x2apic_icr_write(u32 low, u32 apic_id);
u32 xcall_shim_xapic_read(u32 reg);
void xcall_shim_xapic_write(u32 reg, u32 value);

/* Maskable IPI. Context: any but NMI. */
int xcall_shim_smp_call_function_single_async(unsigned int cpu);
void xcall_shim_irq_work_queue_ring(void);
/* Context: task. */
void xcall_shim_irq_work_sync_rings(void);

/* Xen. Context: any. */
bool xcall_shim_xen_domain(void);
bool xcall_shim_xen_pv_domain(void);
int xcall_shim_HYPERVISOR_sched_op(int cmd);
int xcall_shim_HYPERVISOR_event_channel_op(int cmd, void *arg);
int xcall_shim_vcpuop_send_nmi(unsigned int cpu);
/* Context: task. */
int xcall_shim_bind_evtchn_to_irqhandler(u32 port, unsigned int cpu);
void xcall_shim_unbind_from_irqhandler(int irq, unsigned int cpu);
int xcall_shim_irq_set_affinity(int irq, unsigned int cpu);
int xcall_shim_register_xen_resume(void);
void xcall_shim_unregister_xen_resume(void);

/* Looking after posted calls. stop: task; irq_work_queue: any; mod_timer: any but NMI. */
void xcall_shim_posts_irq_work_queue(void);
void xcall_shim_posts_mod_timer(u64 delay_ns);
void xcall_shim_posts_stop(void);

/* Printing what was recorded. queue: any; sync: task. */
void xcall_shim_reports_irq_work_queue(void);
void xcall_shim_reports_irq_work_sync(void);

/* CPUs that come and go, and the end. Context: task. */
int xcall_shim_cpuhp_setup(void);
/* With CPUs locked. */
void xcall_shim_cpuhp_remove_cpuslocked(void);
int xcall_shim_panic_notifier_register(void);
void xcall_shim_panic_notifier_unregister(void);

/* /sys/kernel/debug/xcall. Context: task; seq_write: while a file is shown. */
struct seq_file;
void xcall_shim_debugfs_create(void);
void xcall_shim_debugfs_remove(void);
int xcall_shim_seq_write(struct seq_file *m, const void *text, size_t len);

/* What Rust defines, for the shim to call. */
void xcall_show_stats(struct seq_file *m);
void xcall_show_doorbells(struct seq_file *m);
void xcall_show_latency(struct seq_file *m);
void xcall_show_selftest(struct seq_file *m);
int xcall_nmi_local(void);
int xcall_nmi_unknown(void);
void xcall_event_channel_rung(void);
void xcall_ipi_rung(void);
void xcall_posts_due(void);
void xcall_reports_due(void);
int xcall_cpu_online(unsigned int cpu);
int xcall_cpu_offline(unsigned int cpu);
/* Context: interrupts off, the other CPUs stopped. */
void xcall_xen_woken(void);
/* Context: task. */
void xcall_xen_restored(void);
void xcall_panic(void);

#endif
