/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions and configurations, and what is
 * lost without it.
 */
#ifndef XCALL_COMPAT_H
#define XCALL_COMPAT_H

#include <linux/cpumask.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <asm/apic.h>

/* Since Linux 6.6 a static call. Without either, doorbell nmi is lost. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define xcall_compat_send_IPI_mask(mask, vector)	__apic_send_IPI_mask(mask, vector)
#else
#define xcall_compat_send_IPI_mask(mask, vector)	apic->send_IPI_mask(mask, vector)
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

/* Without Xen guest support, doorbells event-channel and xen-nmi are lost. */
#ifdef CONFIG_XEN
#include <xen/events.h>
#include <xen/interface/vcpu.h>
#include <xen/xen.h>
#include <xen/xen-ops.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/hypervisor.h>
#define XCALL_COMPAT_XEN	1
#else
#define XCALL_COMPAT_XEN	0
#endif

#endif
