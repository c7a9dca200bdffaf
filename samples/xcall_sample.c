// SPDX-License-Identifier: GPL-2.0
/*
 * How another module uses xcall.ko, in plain C: on load it makes each kind of
 * call, checks what came of it, and prints a line each. A wrong count makes
 * the load fail with -EIO.
 *
 * `make` in the top folder builds it beside xcall.ko; `make` in this folder
 * builds it as a module of somebody else's would be: with the kernel's headers
 * and gcc alone, against xcall.h and xcall.ko's Module.symvers.
 *
 * Parameter miscount=1: count wrong on purpose, to see the load fail.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/smp.h>

#include <xcall.h>

static bool miscount;
module_param(miscount, bool, 0444);
MODULE_PARM_DESC(miscount, "Count wrong on purpose: the load must fail (default: no)");

static atomic_t runs;

/* What most calls run. One addition may come on top of another: NMI-safe. */
static void count(void *counter)
{
	atomic_inc(counter);
}

static const struct xcall_work nmi_safe = {
	.function = count,
	.arg = &runs,
	.lane = XCALL_NMI_SAFE,
	.within_ns = 5 * NSEC_PER_SEC,
};

static const struct xcall_work ordinary = {
	.function = count,
	.arg = &runs,
	.lane = XCALL_ORDINARY,
	.within_ns = 5 * NSEC_PER_SEC,
};

/* Prints a line; -EIO unless the function ran as often as it should. */
static int check(const char *what, int wanted)
{
	int ran = atomic_xchg(&runs, 0);

	if (miscount)
		wanted++;
	if (ran != wanted) {
		pr_err("%s: %d runs, not %d\n", what, ran, wanted);
		return -EIO;
	}
	pr_info("%s: ok, %d runs\n", what, ran);
	return 0;
}

/* As check(), of an error that a call must have given. */
static int expect(const char *what, int wanted, int ret)
{
	if (ret != wanted) {
		pr_err("%s: %d, not %d\n", what, ret, wanted);
		return -EIO;
	}
	return check(what, 0);
}

/* Each CPU in turn, this one too. */
static int try_call(void)
{
	unsigned int cpu;
	int ret;

	for_each_online_cpu(cpu) {
		ret = xcall_call(cpu, &nmi_safe, NULL);
		if (ret)
			return ret;
		ret = xcall_call(cpu, &ordinary, NULL);
		if (ret)
			return ret;
	}
	return check("call", 2 * num_online_cpus());
}

/* All CPUs at once. */
static int try_call_all(void)
{
	struct xcall_report report;
	int ret = xcall_call_all(&nmi_safe, &report);

	if (ret)
		return ret;
	if (report.ran != num_online_cpus())
		return -EIO;
	return check("call_all", num_online_cpus());
}

/* With interrupts off: what smp_call_function_single() must not be called with. */
static int try_irqs_off(void)
{
	unsigned long flags;
	unsigned int cpu;
	int ret = 0;

	for_each_online_cpu(cpu) {
		local_irq_save(flags);
		ret = xcall_call(cpu, &nmi_safe, NULL);
		local_irq_restore(flags);
		if (ret)
			return ret;
	}
	return check("call, interrupts off", num_online_cpus());
}

/* Sent, not waited for; then waited for all at once. */
static int try_post(void)
{
	int sent = xcall_post_many(cpu_online_mask, &nmi_safe, NULL);
	int ret;

	if (sent < 0)
		return sent;
	ret = xcall_flush(5 * NSEC_PER_SEC);
	if (ret)
		return ret;
	if (sent != num_online_cpus())
		return -EIO;
	return check("post_many and flush", sent);
}

/* Keeps its CPU, interrupts off, until it is let go, or for a second. */
static bool held, let_go;

static void hold(void *unused)
{
	unsigned int ms;

	WRITE_ONCE(held, true);
	for (ms = 0; ms < 1000 && !READ_ONCE(let_go); ms++)
		mdelay(1);
}

static const struct xcall_work holding = {
	.function = hold,
	.lane = XCALL_ORDINARY,
};

static const struct xcall_work hurried = {
	.function = count,
	.arg = &runs,
	.lane = XCALL_ORDINARY,
	.within_ns = 20 * NSEC_PER_MSEC,
};

/*
 * A CPU that does not answer in time: the report names it, and when it is back
 * it does not run the call.
 */
static int try_timeout(void)
{
	unsigned long give_up = jiffies + 5 * HZ;
	struct xcall_report report = {};
	unsigned int cpu;
	int ret;

	/* Stays where it is: on the CPU to be held it would hold itself. */
	cpu = cpumask_any_but(cpu_online_mask, get_cpu());
	if (cpu >= nr_cpu_ids) {
		put_cpu();
		pr_info("timeout: left out, there is one CPU\n");
		return 0;
	}
	ret = xcall_post(cpu, &holding);
	while (!ret && !READ_ONCE(held) && time_before(jiffies, give_up))
		cpu_relax();
	if (!ret)
		ret = xcall_call(cpu, &hurried, &report);
	WRITE_ONCE(let_go, true);
	put_cpu();
	if (ret != -ETIMEDOUT || report.silent.count != 1 || report.silent.named[0] != cpu) {
		pr_err("timeout: %d, %u silent, CPU%u held\n", ret, report.silent.count, cpu);
		return -EIO;
	}
	pr_info("timeout: CPU%u was busy, last doorbell %s\n", cpu, report.last_doorbell);
	ret = xcall_flush(5 * NSEC_PER_SEC);
	if (ret)
		return ret;
	return check("timeout, withdrawn", 0);
}

/* What is refused at once. */
static int try_errors(void)
{
	struct xcall_work nothing = nmi_safe;
	unsigned long flags;
	int ret;

	ret = expect("no such CPU", -ENXIO, xcall_call(nr_cpu_ids, &nmi_safe, NULL));
	if (ret)
		return ret;
	nothing.function = NULL;
	ret = expect("no function", -EINVAL, xcall_call(0, &nothing, NULL));
	if (ret)
		return ret;
	local_irq_save(flags);
	ret = xcall_call(raw_smp_processor_id(), &ordinary, NULL);
	local_irq_restore(flags);
	return expect("ordinary, interrupts off", -EDEADLK, ret);
}

static int (*const trials[])(void) = {
	try_call,
	try_call_all,
	try_irqs_off,
	try_post,
	try_timeout,
	try_errors,
};

static int __init xcall_sample_init(void)
{
	int ret = 0;
	int i;

	/* So that the CPUs stay those that are counted. */
	cpus_read_lock();
	for (i = 0; i < ARRAY_SIZE(trials) && !ret; i++)
		ret = trials[i]();
	cpus_read_unlock();
	/* A module that has posted must not go before all has run, here neither. */
	if (ret)
		xcall_flush(0);
	return ret;
}

static void __exit xcall_sample_exit(void)
{
	xcall_flush(0);
}

module_init(xcall_sample_init);
module_exit(xcall_sample_exit);

MODULE_AUTHOR("The xcall authors");
MODULE_DESCRIPTION("How to use xcall.ko from C");
MODULE_LICENSE("GPL");
