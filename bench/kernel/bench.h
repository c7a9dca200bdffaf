/* SPDX-License-Identifier: GPL-2.0 */
/*
 * xcall_bench.ko: what one cross-CPU call costs, by xcall and by the kernel's
 * own means, in the same boot.
 *
 * A plan names a way to call, what is measured, and what the machine does
 * meanwhile. Samples are differences of the time stamp counter: time, or under
 * QEMU's -icount instructions of all CPUs together. They are handed to user
 * space raw.
 */
#ifndef XCALL_BENCH_H
#define XCALL_BENCH_H

#include <linux/cpumask.h>
#include <linux/types.h>

/* The CPU that is called where only one is, and the one that calls. */
#define BENCH_TARGET	1
#define BENCH_CALLER	0

/* Posted calls a CPU may have under way: slots of an xcall engine that no waiting call has. */
#define BENCH_PENDING	4

enum bench_what {
	/* A call, from its start to its return. */
	BENCH_CALL,
	/* Sending alone, without waiting. */
	BENCH_SEND,
	/* On the target: interrupts on with calls pending, to interrupts off again. */
	BENCH_DRAIN,
};

struct bench_plan {
	const struct bench_way *way;
	char doorbell[16];
	enum bench_what what;
	/* All others are called; else one. */
	bool all;
	/* Targets spin, interrupts on; else they idle. */
	bool busy;
	/* Everybody calls; else one. */
	bool crowd;
	/* Calls pending when the target looks: what BENCH_DRAIN measures. */
	unsigned int pending;
	/* Calls each caller makes. */
	unsigned int rounds;
};

/*
 * A way to call. Callers are tasks with interrupts on and preemption off; those
 * of drain's targets the same. A way without a function is refused.
 */
struct bench_way {
	const char *name;
	/* Before and after a run. Context: task. */
	int (*begin)(const struct bench_plan *plan);
	void (*end)(void);
	/* Calls and waits. */
	int (*call)(unsigned int cpu);
	int (*call_many)(const struct cpumask *cpus);
	/* Sends; bench_heard() grows when it has come. nth: of those under way at once. */
	int (*send)(unsigned int cpu, unsigned int nth);
	int (*send_many)(const struct cpumask *cpus);
};

const struct bench_way *bench_way(const char *name);
/* Calls that cpu has run. */
unsigned long bench_heard(unsigned int cpu);

/* Rings and calls of xcall's during the last run; 0 with other ways. */
struct bench_rings {
	u64 calls;
	u64 rings;
};
extern struct bench_rings bench_rings;

/* A run's samples. */
struct bench_samples {
	unsigned int count;
	u32 *cycles;
};

/* Runs plan; the samples are the caller's to vfree. */
int bench_run(const struct bench_plan *plan, struct bench_samples *samples);

#endif
