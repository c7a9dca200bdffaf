// SPDX-License-Identifier: GPL-2.0
/* See shim.h for contexts. */
#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/nmi.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/smpboot.h>
#include <linux/string.h>
#include <asm/nmi.h>

#include "../../xcall/kernel/compat.h"
#include "shim.h"

/* ---- this CPU ------------------------------------------------------------------------- */

noinstr unsigned int xcall_stress_shim_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

noinstr bool xcall_stress_shim_in_nmi(void)
{
	return in_nmi();
}

unsigned long xcall_stress_shim_local_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}

void xcall_stress_shim_local_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

noinstr void xcall_stress_shim_cpu_relax(void)
{
	cpu_relax();
}

/* ---- tasks ---------------------------------------------------------------------------- */

void xcall_stress_shim_breathe(void)
{
	touch_nmi_watchdog();
	cond_resched();
}

void xcall_stress_shim_msleep(unsigned int ms)
{
	msleep(ms);
}

bool xcall_stress_shim_capable(void)
{
	return capable(CAP_SYS_ADMIN);
}

static DEFINE_MUTEX(xcall_stress_mutex);

void xcall_stress_shim_lock(void)
{
	mutex_lock(&xcall_stress_mutex);
}

void xcall_stress_shim_unlock(void)
{
	mutex_unlock(&xcall_stress_mutex);
}

void xcall_stress_shim_online_cpus(unsigned long *words, unsigned int count)
{
	memcpy(words, cpumask_bits(cpu_online_mask),
	       min_t(size_t, count, BITS_TO_LONGS(nr_cpu_ids)) * sizeof(*words));
}

void xcall_stress_shim_symbol(char *name, size_t size, const void *address)
{
	scnprintf(name, size, "%ps", address);
}

static DEFINE_PER_CPU(struct task_struct *, xcall_stress_thread);

static struct smp_hotplug_thread xcall_stress_threads = {
	.store = &xcall_stress_thread,
	.thread_should_run = xcall_stress_should_run,
	.thread_fn = xcall_stress_run,
	.thread_comm = "xcall_stress/%u",
};

int xcall_stress_shim_register_threads(void)
{
	return smpboot_register_percpu_thread(&xcall_stress_threads);
}

void xcall_stress_shim_unregister_threads(void)
{
	smpboot_unregister_percpu_thread(&xcall_stress_threads);
}

bool xcall_stress_shim_should_park(void)
{
	return kthread_should_park() || kthread_should_stop();
}

/* ---- NMIs of our own ------------------------------------------------------------------ */

static int xcall_stress_shim_nmi_local(unsigned int type, struct pt_regs *regs)
{
	return xcall_stress_nmi_local();
}

bool xcall_stress_shim_has_nmis(void)
{
	return XCALL_COMPAT_NMI_IPI && XCALL_COMPAT_NMI_HANDLER;
}

int xcall_stress_shim_register_nmi_handler(void)
{
	return xcall_compat_register_nmi_handler(NMI_LOCAL, xcall_stress_shim_nmi_local, 0,
						 "xcall_stress");
}

void xcall_stress_shim_unregister_nmi_handler(void)
{
	xcall_compat_unregister_nmi_handler(NMI_LOCAL, "xcall_stress");
}

void xcall_stress_shim_send_nmi(unsigned int cpu)
{
	xcall_compat_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}
