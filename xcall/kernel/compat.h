/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions and configurations, and what is
 * lost without it.
 *
 * XCALL_COMPAT_<API> is 1 where the kernel has an optional API. To see what
 * is left without one that it has, build with make XCALL_WITHOUT=<API>;
 * `cargo xtask test --only without` does so for each in turn.
 *
 * Not optional, because every SMP kernel for x86-64 has them:
 * smp_call_function_single_async(), irq_work, timers, CPU hotplug states, the
 * panic notifiers, ktime_get_mono_fast_ns().
 */
#ifndef XCALL_COMPAT_H
#define XCALL_COMPAT_H

/* DEBUGFS: without it, /sys/kernel/debug/xcall is lost. Stands before its header. */
#ifdef XCALL_WITHOUT_DEBUGFS
#undef CONFIG_DEBUG_FS
#endif
#ifdef CONFIG_DEBUG_FS
#define XCALL_COMPAT_DEBUGFS	1
#else
#define XCALL_COMPAT_DEBUGFS	0
#endif

#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kallsyms.h>
#include <linux/nmi.h>
#include <linux/platform_device.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <xen/xen.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/nmi.h>

/*
 * NMI_IPI: sending NMIs by the local APIC, a static call since Linux 6.6.
 * Without it, doorbell nmi is lost.
 */
#ifdef XCALL_WITHOUT_NMI_IPI
#define XCALL_COMPAT_NMI_IPI	0
#define xcall_compat_send_IPI_mask(mask, vector)	((void)(mask))
#else
#define XCALL_COMPAT_NMI_IPI	1
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define xcall_compat_send_IPI_mask(mask, vector)	__apic_send_IPI_mask(mask, vector)
#else
#define xcall_compat_send_IPI_mask(mask, vector)	apic->send_IPI_mask(mask, vector)
#endif
#endif

/* NMI_HANDLER: hearing NMIs. Without it, doorbells nmi and xen-nmi are lost. */
#ifdef XCALL_WITHOUT_NMI_HANDLER
#define XCALL_COMPAT_NMI_HANDLER	0
#define xcall_compat_register_nmi_handler(type, handler, flags, name) \
	((void)(handler), -EOPNOTSUPP)
#define xcall_compat_unregister_nmi_handler(type, name)	((void)0)
#else
#define XCALL_COMPAT_NMI_HANDLER	1
#define xcall_compat_register_nmi_handler(type, handler, flags, name) \
	register_nmi_handler(type, handler, flags, name)
#define xcall_compat_unregister_nmi_handler(type, name)	unregister_nmi_handler(type, name)
#endif

/* KALLSYMS: without it, the log shows a function's address instead of its name. */
#if defined(CONFIG_KALLSYMS) && !defined(XCALL_WITHOUT_KALLSYMS)
#define XCALL_COMPAT_KALLSYMS	1
#define xcall_compat_sprint_symbol(buffer, address)	sprint_symbol(buffer, address)
#else
#define XCALL_COMPAT_KALLSYMS	0
#define xcall_compat_sprint_symbol(buffer, address)	0
#endif

/*
 * How far the kernel reads a cpumask. Since Linux 6.3 to the end of NR_CPUS
 * bits where that is a few words. Nothing is lost without it: before, nr_cpu_ids
 * or NR_CPUS bits.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define xcall_compat_cpumask_bits	large_cpumask_bits
#else
#define xcall_compat_cpumask_bits	nr_cpumask_bits
#endif

/*
 * Since Linux 6.2, and in later point releases of 6.1, which no version tells
 * apart. Nothing is lost without it: our timers are not started any more by then.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_shutdown_sync(timer)	del_timer_sync(timer)
#endif

/* A PV guest without XEN has no local APIC all the same, and must be known. */
#define xcall_compat_xen_pv_domain()	boot_cpu_has(X86_FEATURE_XENPV)

/*
 * XEN: being a guest of Xen's. Without it, doorbells event-channel and
 * xen-nmi are lost, and waiters do not yield.
 */
#if defined(CONFIG_XEN) && !defined(XCALL_WITHOUT_XEN)
#include <xen/events.h>
#include <xen/interface/vcpu.h>
#include <xen/xen-ops.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/hypervisor.h>
#define XCALL_COMPAT_XEN	1
#define xcall_compat_xen_domain()	xen_domain()
#define xcall_compat_sched_op(cmd)	HYPERVISOR_sched_op(cmd, NULL)
#else
#define XCALL_COMPAT_XEN	0
#define xcall_compat_xen_domain()	false
#define xcall_compat_sched_op(cmd)	(-EOPNOTSUPP)
#endif

/* XEN_EVENT_CHANNEL: without it, doorbell event-channel is lost. */
#if XCALL_COMPAT_XEN && !defined(XCALL_WITHOUT_XEN_EVENT_CHANNEL)
#define XCALL_COMPAT_XEN_EVENT_CHANNEL	1
#define xcall_compat_event_channel_op(cmd, arg)	HYPERVISOR_event_channel_op(cmd, arg)
#define xcall_compat_bind_evtchn_to_irqhandler(port, handler, flags, name, dev) \
	bind_evtchn_to_irqhandler(port, handler, flags, name, dev)
#define xcall_compat_unbind_from_irqhandler(irq, dev)	unbind_from_irqhandler(irq, dev)
#else
#define XCALL_COMPAT_XEN_EVENT_CHANNEL	0
#define xcall_compat_event_channel_op(cmd, arg)	(-EOPNOTSUPP)
#define xcall_compat_bind_evtchn_to_irqhandler(port, handler, flags, name, dev) \
	((void)(handler), (void)(dev), -EOPNOTSUPP)
#define xcall_compat_unbind_from_irqhandler(irq, dev)	((void)(dev))
#endif

/* XEN_NMI: VCPUOP_send_nmi, of use to PV guests. Without it, doorbell xen-nmi is lost. */
#if XCALL_COMPAT_XEN && defined(CONFIG_XEN_PV) && !defined(XCALL_WITHOUT_XEN_NMI)
#define XCALL_COMPAT_XEN_NMI	1
#define xcall_compat_vcpuop_send_nmi(cpu) \
	HYPERVISOR_vcpu_op(VCPUOP_send_nmi, xen_vcpu_nr(cpu), NULL)
#else
#define XCALL_COMPAT_XEN_NMI	0
#define xcall_compat_vcpuop_send_nmi(cpu)	(-EOPNOTSUPP)
#endif

/*
 * XEN_RESUME: hearing that a guest was restored. Without it, event channels
 * stay silent after that: NMI-safe calls climb past them, ordinary ones time out.
 */
#if defined(CONFIG_HIBERNATE_CALLBACKS) && !defined(XCALL_WITHOUT_XEN_RESUME)
#define XCALL_COMPAT_XEN_RESUME	1
#define xcall_compat_platform_driver_register(driver)	platform_driver_register(driver)
#else
#define XCALL_COMPAT_XEN_RESUME	0
#define xcall_compat_platform_driver_register(driver)	((void)(driver), -EOPNOTSUPP)
#endif

/*
 * Hearing of a resume before any other CPU runs. Its functions take an argument
 * since Linux 6.19, and in later point releases of 6.12. Nothing is lost without
 * it: before, they take none.
 */
#ifdef XCALL_HAVE_REGISTER_SYSCORE
#define XCALL_COMPAT_SYSCORE_ARG	void *data
#define XCALL_COMPAT_SYSCORE(name, its_ops)	static struct syscore name = { .ops = &(its_ops) }
#define xcall_compat_register_syscore(name)	register_syscore(&(name))
#define xcall_compat_unregister_syscore(name)	unregister_syscore(&(name))
#else
#define XCALL_COMPAT_SYSCORE_ARG	void
#define XCALL_COMPAT_SYSCORE(name, its_ops)	static struct syscore_ops *const name = &(its_ops)
#define xcall_compat_register_syscore(name)	register_syscore_ops(name)
#define xcall_compat_unregister_syscore(name)	unregister_syscore_ops(name)
#endif

#endif
