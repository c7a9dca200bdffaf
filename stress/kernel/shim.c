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
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
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

u64 xcall_stress_shim_now_ns(void)
{
	return ktime_get_mono_fast_ns();
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

void *xcall_stress_shim_start_thread(unsigned int cpu, void *seat)
{
	struct task_struct *thread =
		kthread_create_on_cpu(xcall_stress_thread, seat, cpu, "xcall_stress/%u");

	if (IS_ERR(thread))
		return NULL;
	get_task_struct(thread);
	wake_up_process(thread);
	return thread;
}

void xcall_stress_shim_stop_thread(void *thread)
{
	kthread_stop(thread);
	put_task_struct(thread);
}

/* ---- NMIs of our own ------------------------------------------------------------------ */

static int xcall_stress_shim_nmi_local(unsigned int type, struct pt_regs *regs)
{
	return xcall_stress_nmi_local();
}

int xcall_stress_shim_register_nmi_handler(void)
{
	return register_nmi_handler(NMI_LOCAL, xcall_stress_shim_nmi_local, 0, "xcall_stress");
}

void xcall_stress_shim_unregister_nmi_handler(void)
{
	unregister_nmi_handler(NMI_LOCAL, "xcall_stress");
}

void xcall_stress_shim_send_nmi(unsigned int cpu)
{
	xcall_compat_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}
