// SPDX-License-Identifier: GPL-2.0
/* Timers of the profile provider. See shim.h for contexts. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/version.h>
#include <asm/irq_regs.h>

#include "shim.h"

struct dtrace_timer {
	struct hrtimer timer;
	struct list_head timers;
	u64 period_ns;
	u32 probe;
	/* DTRACE_SHIM_ANY_CPU, or where it fires and nowhere else. */
	unsigned int cpu;
};

/* hrtimer_setup() since Linux 6.13. Nothing is lost without it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define dtrace_hrtimer_setup(timer, function, clock, mode) \
	hrtimer_setup(timer, function, clock, mode)
#else
#define dtrace_hrtimer_setup(timer, its_function, clock, mode) \
	do { hrtimer_init(timer, clock, mode); (timer)->function = its_function; } while (0)
#endif

static enum hrtimer_restart dtrace_shim_timer_fires(struct hrtimer *hrtimer)
{
	struct dtrace_timer *timer = container_of(hrtimer, struct dtrace_timer, timer);
	const struct pt_regs *regs = get_irq_regs();
	u64 pc = regs ? instruction_pointer((struct pt_regs *)regs) : 0;
	bool user = regs && user_mode((struct pt_regs *)regs);

	dtrace_timer_fired(timer->probe, user ? 0 : pc, user ? pc : 0);
	hrtimer_forward_now(hrtimer, ns_to_ktime(timer->period_ns));
	return HRTIMER_RESTART;
}

static void dtrace_shim_timer_begin(void *arg)
{
	struct dtrace_timer *timer = arg;

	hrtimer_start(&timer->timer, ns_to_ktime(timer->period_ns), HRTIMER_MODE_REL_PINNED_HARD);
}

/*
 * Timers that there are. A CPU on its way up or down takes it: so nobody who holds it
 * waits for CPUs.
 */
static DEFINE_MUTEX(dtrace_timers_mutex);
static LIST_HEAD(dtrace_timers);

static unsigned int timers;
module_param(timers, uint, 0444);
MODULE_PARM_DESC(timers, "To be read: timers of probes");

/* On that CPU, in its hotplug thread. */
static int dtrace_shim_timers_online(unsigned int cpu)
{
	struct dtrace_timer *timer;

	mutex_lock(&dtrace_timers_mutex);
	list_for_each_entry(timer, &dtrace_timers, timers)
		if (timer->cpu == cpu)
			dtrace_shim_timer_begin(timer);
	mutex_unlock(&dtrace_timers_mutex);
	return 0;
}

static int dtrace_shim_timers_offline(unsigned int cpu)
{
	struct dtrace_timer *timer;

	mutex_lock(&dtrace_timers_mutex);
	list_for_each_entry(timer, &dtrace_timers, timers)
		if (timer->cpu == cpu)
			hrtimer_cancel(&timer->timer);
	mutex_unlock(&dtrace_timers_mutex);
	return 0;
}

int dtrace_shim_timers_follow_cpus(void)
{
	return cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "dtrace:timers",
					 dtrace_shim_timers_online, dtrace_shim_timers_offline);
}

void dtrace_shim_timers_leave_cpus(int state)
{
	cpuhp_remove_state_nocalls(state);
}

int dtrace_shim_timer_start(unsigned int cpu, u32 probe, u64 period_ns)
{
	struct dtrace_timer *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return -ENOMEM;
	timer->period_ns = period_ns;
	timer->probe = probe;
	timer->cpu = cpu;
	dtrace_hrtimer_setup(&timer->timer, dtrace_shim_timer_fires, CLOCK_MONOTONIC,
			     HRTIMER_MODE_REL_PINNED_HARD);
	mutex_lock(&dtrace_timers_mutex);
	list_add(&timer->timers, &dtrace_timers);
	timers++;
	mutex_unlock(&dtrace_timers_mutex);
	if (cpu == DTRACE_SHIM_ANY_CPU)
		dtrace_shim_timer_begin(timer);
	else if (cpu_online(cpu))
		smp_call_function_single(cpu, dtrace_shim_timer_begin, timer, true);
	return 0;
}

void dtrace_shim_timers_stop(u32 probe)
{
	struct dtrace_timer *timer, *next;

	mutex_lock(&dtrace_timers_mutex);
	list_for_each_entry_safe(timer, next, &dtrace_timers, timers) {
		if (timer->probe != probe)
			continue;
		hrtimer_cancel(&timer->timer);
		list_del(&timer->timers);
		timers--;
		kfree(timer);
	}
	mutex_unlock(&dtrace_timers_mutex);
}
