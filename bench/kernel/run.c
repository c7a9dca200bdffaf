// SPDX-License-Identifier: GPL-2.0
/* One run of a plan: the threads that call, those that are called, the samples. */
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/nmi.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>

#include "bench.h"

/* Calls made before the first that counts: caches, and lazily made things. */
#define BENCH_WARM_UP	8

struct bench_seat {
	struct bench_running *running;
	struct task_struct *thread;
	unsigned int cpu;
	u32 *cycles;
	int error;
};

/* Whose turn it is in a round of a drain. */
enum bench_turn {
	/* The caller is away, or has sent. */
	BENCH_AWAY,
	/* The caller keeps preemption off. */
	BENCH_READY,
	/* So does the target, and interrupts: it waits until the caller has sent. */
	BENCH_ASKED,
};

struct bench_running {
	const struct bench_plan *plan;
	/* Callers that are not ready yet: they begin together. */
	atomic_t unready;
	/* Callers that are not through yet. */
	atomic_t callers;
	/* Drain: an enum bench_turn. */
	atomic_t turn;
	/* The caller could not send: the target gives up as well. */
	bool failed;
};

static u32 bench_since(cycles_t start)
{
	return min_t(cycles_t, get_cycles() - start, U32_MAX);
}

/* All online CPUs but this one. Context: preemption off. */
static void bench_others(struct cpumask *cpus)
{
	cpumask_copy(cpus, cpu_online_mask);
	cpumask_clear_cpu(smp_processor_id(), cpus);
}

static int bench_call_once(const struct bench_plan *plan, const struct cpumask *others, u32 *cycles)
{
	const struct bench_way *way = plan->way;
	cycles_t start = get_cycles();
	int ret = plan->all ? way->call_many(others) : way->call(BENCH_TARGET);

	*cycles = bench_since(start);
	return ret;
}

/* What cpus have run, together. */
static unsigned long bench_heard_by(const struct cpumask *cpus)
{
	unsigned long heard = 0;
	unsigned int cpu;

	for_each_cpu(cpu, cpus)
		heard += bench_heard(cpu);
	return heard;
}

static int bench_send_once(const struct bench_plan *plan, const struct cpumask *others, u32 *cycles)
{
	const struct cpumask *cpus = plan->all ? others : cpumask_of(BENCH_TARGET);
	unsigned long heard = bench_heard_by(cpus) + cpumask_weight(cpus);
	const struct bench_way *way = plan->way;
	cycles_t start = get_cycles();
	int ret = plan->all ? way->send_many(others) : way->send(BENCH_TARGET, 0);

	*cycles = bench_since(start);
	while (!ret && bench_heard_by(cpus) != heard)
		cpu_relax();
	return ret;
}

/*
 * Waits until the target waits with interrupts off; returns with preemption off.
 *
 * Until then nobody keeps the other: a task that gets in between on either CPU
 * may wait for both, as stop_machine() does.
 */
static void bench_await_target(struct bench_running *running)
{
	for (;;) {
		preempt_disable();
		atomic_set(&running->turn, BENCH_READY);
		while (atomic_read(&running->turn) == BENCH_READY && !need_resched())
			cpu_relax();
		if (atomic_cmpxchg(&running->turn, BENCH_READY, BENCH_AWAY) == BENCH_ASKED)
			return;
		preempt_enable();
		cond_resched();
	}
}

/* The caller's part of a drain: sends what the target is to find. */
static int bench_feed_once(struct bench_running *running)
{
	unsigned int sent = 0;
	unsigned long heard;
	int ret = 0;

	bench_await_target(running);
	heard = bench_heard(BENCH_TARGET);
	while (sent < running->plan->pending && !ret) {
		ret = running->plan->way->send(BENCH_TARGET, sent);
		if (!ret)
			sent++;
	}
	if (ret)
		WRITE_ONCE(running->failed, true);
	/* Release, pairs with the target's acquire: it sees the failure. */
	atomic_set_release(&running->turn, BENCH_AWAY);
	preempt_enable();
	/* What was sent comes, and the next run uses the same descriptors. */
	while (ret && bench_heard(BENCH_TARGET) != heard + sent)
		cond_resched();
	return ret;
}

/* Waits until the caller is ready; returns with interrupts off. False: it has failed. */
static bool bench_await_caller(struct bench_running *running)
{
	while (!READ_ONCE(running->failed)) {
		local_irq_disable();
		if (atomic_cmpxchg(&running->turn, BENCH_READY, BENCH_ASKED) == BENCH_READY)
			return true;
		local_irq_enable();
		cpu_relax();
		cond_resched();
	}
	return false;
}

/* The target's part. False: the caller failed, and there is no sample. */
static bool bench_drain_once(struct bench_running *running, u32 *cycles)
{
	unsigned long heard = bench_heard(BENCH_TARGET) + running->plan->pending;
	cycles_t start;

	if (!bench_await_caller(running))
		return false;
	while (atomic_read_acquire(&running->turn) == BENCH_ASKED)
		cpu_relax();
	start = get_cycles();
	local_irq_enable();
	/* What is pending is taken here. */
	asm volatile("nop; nop" : : : "memory");
	local_irq_disable();
	*cycles = bench_since(start);
	local_irq_enable();
	if (READ_ONCE(running->failed))
		return false;
	while (bench_heard(BENCH_TARGET) != heard)
		cpu_relax();
	return true;
}

static void bench_caller(struct bench_seat *seat, struct cpumask *others)
{
	struct bench_running *running = seat->running;
	const struct bench_plan *plan = running->plan;
	int i, ret = 0;
	u32 cycles;

	for (i = -BENCH_WARM_UP; i < (int)plan->rounds && !ret; i++) {
		if (plan->what == BENCH_DRAIN) {
			ret = bench_feed_once(running);
		} else {
			preempt_disable();
			bench_others(others);
			if (plan->what == BENCH_CALL)
				ret = bench_call_once(plan, others, &cycles);
			else
				ret = bench_send_once(plan, others, &cycles);
			preempt_enable();
			if (i >= 0)
				seat->cycles[i] = cycles;
		}
		if (i % 16 == 0)
			cond_resched();
	}
	seat->error = ret;
}

static int bench_caller_thread(void *data)
{
	struct bench_seat *seat = data;
	struct bench_running *running = seat->running;
	cpumask_var_t others;

	atomic_dec(&running->unready);
	while (atomic_read(&running->unready))
		cond_resched();
	if (alloc_cpumask_var(&others, GFP_KERNEL)) {
		bench_caller(seat, others);
		free_cpumask_var(others);
	} else {
		seat->error = -ENOMEM;
		WRITE_ONCE(running->failed, true);
	}
	atomic_dec(&running->callers);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* The target of drains, or a CPU that is busy until it is told to stop. */
static int bench_target_thread(void *data)
{
	struct bench_seat *seat = data;
	struct bench_running *running = seat->running;
	const struct bench_plan *plan = running->plan;
	u32 cycles;
	int i;

	if (plan->what == BENCH_DRAIN) {
		for (i = -BENCH_WARM_UP; i < (int)plan->rounds; i++) {
			if (!bench_drain_once(running, &cycles))
				break;
			if (i >= 0)
				seat->cycles[i] = cycles;
		}
	}
	while (!kthread_should_stop()) {
		if (plan->busy && atomic_read(&running->callers)) {
			cpu_relax();
			cond_resched();
		} else {
			schedule_timeout_interruptible(1);
		}
	}
	return 0;
}

static int bench_start(struct bench_seat *seat, int (*thread)(void *))
{
	seat->thread = kthread_create_on_cpu(thread, seat, seat->cpu, "xcall_bench/%u");
	if (IS_ERR(seat->thread)) {
		int ret = PTR_ERR(seat->thread);

		seat->thread = NULL;
		return ret;
	}
	get_task_struct(seat->thread);
	return 0;
}

static bool bench_is_caller(const struct bench_plan *plan, unsigned int cpu)
{
	if (plan->crowd)
		return plan->all || cpu != BENCH_TARGET;
	return cpu == BENCH_CALLER;
}

static bool bench_is_target(const struct bench_plan *plan, unsigned int cpu)
{
	if (bench_is_caller(plan, cpu))
		return false;
	if (plan->what == BENCH_DRAIN)
		return cpu == BENCH_TARGET;
	return plan->busy && (plan->all || cpu == BENCH_TARGET);
}

/* Starts a thread on each CPU that has a part, waits for the callers, stops all. */
static int bench_seats(struct bench_running *running, struct bench_seat *seats, unsigned int count)
{
	const struct bench_plan *plan = running->plan;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++) {
		bool caller = bench_is_caller(plan, seats[i].cpu);

		if (caller)
			atomic_inc(&running->callers);
		ret = bench_start(&seats[i], caller ? bench_caller_thread : bench_target_thread);
	}
	atomic_set(&running->unready, atomic_read(&running->callers));
	/* A thread that was never woken returns from kthread_stop at once. */
	for (i = 0; i < count && !ret; i++)
		wake_up_process(seats[i].thread);
	while (!ret && atomic_read(&running->callers))
		schedule_timeout_interruptible(1);
	for (i = 0; i < count; i++) {
		if (!seats[i].thread)
			continue;
		kthread_stop(seats[i].thread);
		put_task_struct(seats[i].thread);
		if (seats[i].error)
			ret = seats[i].error;
	}
	return ret;
}

int bench_run(const struct bench_plan *plan, struct bench_samples *samples)
{
	struct bench_running running = { .plan = plan };
	struct bench_seat *seats;
	unsigned int cpu, count = 0;
	u32 *cycles;
	int ret;

	seats = kcalloc(nr_cpu_ids, sizeof(*seats), GFP_KERNEL);
	cycles = vzalloc(array3_size(nr_cpu_ids, plan->rounds, sizeof(*cycles)));
	if (!seats || !cycles) {
		ret = -ENOMEM;
		goto out;
	}
	cpus_read_lock();
	if (!cpu_online(BENCH_CALLER) || !cpu_online(BENCH_TARGET)) {
		ret = -ENODEV;
		goto unlock;
	}
	samples->count = 0;
	samples->cycles = cycles;
	for_each_online_cpu(cpu) {
		bool caller = bench_is_caller(plan, cpu);
		bool samples_here = plan->what == BENCH_DRAIN ? cpu == BENCH_TARGET : caller;

		if (!caller && !bench_is_target(plan, cpu))
			continue;
		seats[count].running = &running;
		seats[count].cpu = cpu;
		if (samples_here) {
			seats[count].cycles = cycles + samples->count;
			samples->count += plan->rounds;
		}
		count++;
	}
	bench_rings = (struct bench_rings){};
	ret = plan->way->begin(plan);
	if (!ret) {
		ret = bench_seats(&running, seats, count);
		plan->way->end();
	}
unlock:
	cpus_read_unlock();
out:
	kfree(seats);
	if (ret) {
		vfree(cycles);
		samples->cycles = NULL;
		samples->count = 0;
	}
	return ret;
}
