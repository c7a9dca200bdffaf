// SPDX-License-Identifier: GPL-2.0
/* The ways to call that are compared. */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/apic.h>
#include <asm/nmi.h>

#include "../../xcall/kernel/compat.h"
#include "../../xcall/kernel/include/xcall.h"
#include "bench.h"

struct bench_rings bench_rings;

static DEFINE_PER_CPU(unsigned long, bench_runs);

unsigned long bench_heard(unsigned int cpu)
{
	return READ_ONCE(per_cpu(bench_runs, cpu));
}

/* What is called, by every way: one addition, by one instruction. */
static noinstr void bench_called(void *unused)
{
	raw_cpu_inc(bench_runs);
}

/* ---- xcall ---------------------------------------------------------------------------- */

static struct {
	typeof(&xcall_call) call;
	typeof(&xcall_call_many) call_many;
	typeof(&xcall_post) post;
	typeof(&xcall_post_many) post_many;
	typeof(&xcall_total_stats) total_stats;
	typeof(&xcall_select_doorbells) select_doorbells;
} bench_xcall;

static struct xcall_work bench_work = {
	.function = bench_called,
};

static struct xcall_stats bench_stats;

static void bench_xcall_put(void)
{
	if (bench_xcall.call)
		symbol_put(xcall_call);
	if (bench_xcall.call_many)
		symbol_put(xcall_call_many);
	if (bench_xcall.post)
		symbol_put(xcall_post);
	if (bench_xcall.post_many)
		symbol_put(xcall_post_many);
	if (bench_xcall.total_stats)
		symbol_put(xcall_total_stats);
	if (bench_xcall.select_doorbells)
		symbol_put(xcall_select_doorbells);
	memset(&bench_xcall, 0, sizeof(bench_xcall));
}

static int bench_xcall_get(void)
{
	bench_xcall.call = symbol_get(xcall_call);
	bench_xcall.call_many = symbol_get(xcall_call_many);
	bench_xcall.post = symbol_get(xcall_post);
	bench_xcall.post_many = symbol_get(xcall_post_many);
	bench_xcall.total_stats = symbol_get(xcall_total_stats);
	bench_xcall.select_doorbells = symbol_get(xcall_select_doorbells);
	if (bench_xcall.call && bench_xcall.call_many && bench_xcall.post &&
	    bench_xcall.post_many && bench_xcall.total_stats && bench_xcall.select_doorbells)
		return 0;
	bench_xcall_put();
	return -ENODEV;
}

static int bench_xcall_begin(const struct bench_plan *plan)
{
	int ret = bench_xcall_get();

	if (ret)
		return ret;
	/* A maskable doorbell's calls run where smp_call_function's do. */
	bench_work.lane = strstr(plan->doorbell, "nmi") ? XCALL_NMI_SAFE : XCALL_ORDINARY;
	ret = bench_xcall.select_doorbells(plan->doorbell);
	if (ret) {
		bench_xcall_put();
		return ret;
	}
	bench_xcall.total_stats(&bench_stats);
	bench_rings.calls = bench_stats.made;
	bench_rings.rings = bench_stats.rings;
	return 0;
}

static void bench_xcall_end(void)
{
	bench_xcall.total_stats(&bench_stats);
	bench_rings.calls = bench_stats.made - bench_rings.calls;
	bench_rings.rings = bench_stats.rings - bench_rings.rings;
	bench_xcall.select_doorbells(NULL);
	bench_xcall_put();
}

static int bench_xcall_call(unsigned int cpu)
{
	return bench_xcall.call(cpu, &bench_work, NULL);
}

static int bench_xcall_call_many(const struct cpumask *cpus)
{
	return bench_xcall.call_many(cpus, &bench_work, NULL, NULL);
}

static int bench_xcall_send(unsigned int cpu, unsigned int nth)
{
	return bench_xcall.post(cpu, &bench_work);
}

static int bench_xcall_send_many(const struct cpumask *cpus)
{
	int ret = bench_xcall.post_many(cpus, &bench_work, NULL);

	return ret < 0 ? ret : 0;
}

/* ---- the kernel's --------------------------------------------------------------------- */

static call_single_data_t bench_csds[BENCH_PENDING];

static int bench_smp_begin(const struct bench_plan *plan)
{
	unsigned int i;

	for (i = 0; i < BENCH_PENDING; i++)
		INIT_CSD(&bench_csds[i], bench_called, NULL);
	return 0;
}

static void bench_smp_end(void)
{
}

static int bench_smp_call(unsigned int cpu)
{
	return smp_call_function_single(cpu, bench_called, NULL, 1);
}

static int bench_smp_call_many(const struct cpumask *cpus)
{
	smp_call_function_many(cpus, bench_called, NULL, true);
	return 0;
}

static int bench_smp_send(unsigned int cpu, unsigned int nth)
{
	return smp_call_function_single_async(cpu, &bench_csds[nth]);
}

static int bench_smp_send_many(const struct cpumask *cpus)
{
	smp_call_function_many(cpus, bench_called, NULL, false);
	return 0;
}

/* ---- a bare NMI ----------------------------------------------------------------------- */

/* Pings that a CPU has not taken yet. */
static DEFINE_PER_CPU(bool, bench_ping_due);

static noinstr int bench_ping_heard(unsigned int type, struct pt_regs *regs)
{
	if (!raw_cpu_read(bench_ping_due))
		return NMI_DONE;
	raw_cpu_write(bench_ping_due, false);
	raw_cpu_inc(bench_runs);
	return NMI_HANDLED;
}

static int bench_ping_begin(const struct bench_plan *plan)
{
	if (!XCALL_COMPAT_NMI_IPI || !XCALL_COMPAT_NMI_HANDLER)
		return -EOPNOTSUPP;
	/* A CPU has one mark, so one ping at a time. */
	if (plan->crowd || (plan->what == BENCH_DRAIN && plan->pending > 1))
		return -EINVAL;
	return xcall_compat_register_nmi_handler(NMI_LOCAL, bench_ping_heard, 0, "xcall_bench");
}

static void bench_ping_end(void)
{
	xcall_compat_unregister_nmi_handler(NMI_LOCAL, "xcall_bench");
}

static int bench_ping_send_many(const struct cpumask *cpus)
{
	unsigned int cpu;

	for_each_cpu(cpu, cpus)
		WRITE_ONCE(per_cpu(bench_ping_due, cpu), true);
	xcall_compat_send_IPI_mask(cpus, NMI_VECTOR);
	return 0;
}

static int bench_ping_send(unsigned int cpu, unsigned int nth)
{
	WRITE_ONCE(per_cpu(bench_ping_due, cpu), true);
	xcall_compat_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
	return 0;
}

static int bench_ping_call_many(const struct cpumask *cpus)
{
	unsigned int cpu;

	bench_ping_send_many(cpus);
	for_each_cpu(cpu, cpus) {
		while (READ_ONCE(per_cpu(bench_ping_due, cpu)))
			cpu_relax();
	}
	return 0;
}

static int bench_ping_call(unsigned int cpu)
{
	bench_ping_send(cpu, 0);
	while (READ_ONCE(per_cpu(bench_ping_due, cpu)))
		cpu_relax();
	return 0;
}

/* --------------------------------------------------------------------------------------- */

static const struct bench_way bench_ways[] = {
	{
		.name = "xcall",
		.begin = bench_xcall_begin,
		.end = bench_xcall_end,
		.call = bench_xcall_call,
		.call_many = bench_xcall_call_many,
		.send = bench_xcall_send,
		.send_many = bench_xcall_send_many,
	},
	{
		.name = "smp_call_function",
		.begin = bench_smp_begin,
		.end = bench_smp_end,
		.call = bench_smp_call,
		.call_many = bench_smp_call_many,
		.send = bench_smp_send,
		.send_many = bench_smp_send_many,
	},
	{
		.name = "nmi-ping",
		.begin = bench_ping_begin,
		.end = bench_ping_end,
		.call = bench_ping_call,
		.call_many = bench_ping_call_many,
		.send = bench_ping_send,
		.send_many = bench_ping_send_many,
	},
};

const struct bench_way *bench_way(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bench_ways); i++) {
		if (!strcmp(bench_ways[i].name, name))
			return &bench_ways[i];
	}
	return NULL;
}
