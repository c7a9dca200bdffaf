/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cross-CPU calls that cannot lock up: what xcall.ko offers to other modules.
 *
 * docs/guide.md shows how to build against it, samples/xcall_sample.c how to
 * use it. From Rust, use the crate xcall_interface
 * (xcall/kernel/interface/lib.rs): it declares the same functions and
 * structures. A module that links against these symbols holds xcall.ko in
 * place by itself.
 *
 * Context "any": task, softirq, hard interrupt, NMI, interrupts on or off,
 * inside a called function.
 *
 * Errors of calls and posts:
 *   -ENXIO      offline: no such CPU, it takes no calls, or the kernel has
 *               begun to panic
 *   -ETIMEDOUT  targets did not start in time and will not; the others ran it
 *   -EBUSY      waiting calls are nested too deep on this CPU (two in an NMI,
 *               four elsewhere), or all call slots that this context may use
 *               are taken: too many posted calls under way
 *   -EDEADLK    a waiting ordinary call with interrupts off or in an NMI
 *   -EOPNOTSUPP no doorbell allowed for this lane can be rung from here
 *   -EINVAL     work is NULL or makes no sense; a set of targets is NULL, or
 *               is the set of those missed too
 * With any but -ETIMEDOUT nothing ran and nothing will.
 */
#ifndef XCALL_H
#define XCALL_H

#include <linux/types.h>

struct cpumask;

/* Where a function may run. */
enum xcall_lane {
	/*
	 * Anywhere, an NMI included, and on top of itself on the same CPU at
	 * any instruction: no locks, no faults, no printing, and no waiting
	 * for another CPU but by a call: that one may be below an NMI that
	 * waits for this function. Clocks may wait: use xcall_now_ns().
	 */
	XCALL_NMI_SAFE = 0,
	/* With interrupts off, never on top of code that had them off. */
	XCALL_ORDINARY = 1,
};

/* What to run. It runs with interrupts and preemption off and must not sleep. */
struct xcall_work {
	void (*function)(void *arg);
	void *arg;
	/* enum xcall_lane */
	u32 lane;
	/* 0 */
	u32 reserved;
	/*
	 * Time limit of a waiting call in nanoseconds; 0: the module's
	 * parameter deadline_ms. No wait is longer than 15 s, with interrupts
	 * off than 5 s, in an NMI than the parameter nmi_deadline_ms.
	 */
	u64 within_ns;
};

/* How many CPUs a struct xcall_cpus names. */
#define XCALL_NAMED_CPUS	8

/* A count of CPUs, and the first few by name. */
struct xcall_cpus {
	u32 count;
	u32 named[XCALL_NAMED_CPUS];
};

#define XCALL_DOORBELL_NAME	16

/* What came of a waiting call. */
struct xcall_report {
	/* Targets that ran the function. */
	u32 ran;
	/* Targets that were offline: they did not and will not run it. */
	struct xcall_cpus offline;
	/* Targets that did not start in time: they did not and will not run it. */
	struct xcall_cpus silent;
	/* After -ETIMEDOUT, in nanoseconds; else 0. */
	u64 age_ns;
	/* After -ETIMEDOUT, the doorbell last rung; else empty. */
	char last_doorbell[XCALL_DOORBELL_NAME];
};

/**
 * xcall_call() - run work on one CPU and wait until it is done
 * @cpu: the CPU; the caller's own is one like the others
 * @work: what to run
 * @report: filled in, whatever comes of it, unless NULL
 *
 * It returns by the work's time limit, plus the running time of the calls this
 * CPU answers meanwhile, and of this one's function where that has started.
 *
 * Context: any for lane XCALL_NMI_SAFE. For XCALL_ORDINARY a task or softirq
 * with interrupts on.
 * Return: 0: it ran, once, and the caller sees what it wrote. Else an error.
 */
int xcall_call(unsigned int cpu, const struct xcall_work *work, struct xcall_report *report);

/**
 * xcall_call_many() - run work on each CPU of a set and wait until all are done
 * @targets: the CPUs; the caller's own may be one of them
 * @work: what to run
 * @missed: unless NULL, emptied, and filled with every target, by number, that
 *          was offline or silent; another set than @targets
 * @report: filled in, whatever comes of it, unless NULL
 *
 * Context: as for xcall_call().
 * Return: 0: it ran once on each target that was online; those that were not
 * are in @report and @missed, and no error. Else an error; after any but
 * -ETIMEDOUT @missed is empty, or untouched after -EINVAL: nothing ran.
 */
int xcall_call_many(const struct cpumask *targets, const struct xcall_work *work,
		    struct cpumask *missed, struct xcall_report *report);

/**
 * xcall_call_all() - run work on every CPU that is online, the caller's too
 * @work: what to run
 * @report: filled in, whatever comes of it, unless NULL; names no offline CPUs
 *
 * Context: as for xcall_call().
 * Return: 0 or an error.
 */
int xcall_call_all(const struct xcall_work *work, struct xcall_report *report);

/**
 * xcall_post() - send work to one CPU and return
 * @cpu: the CPU; on the caller's own it has run at return, where its lane may
 *       run in the caller's context
 * @work: what to run, once, soon; within_ns has no meaning. The structure may
 *        go when this returns; what @work->arg points to, and the function,
 *        stay until xcall_flush() has returned 0, or until the caller knows by
 *        other means that the function has run
 *
 * Context: any, both lanes.
 * Return: 0: it is sent. Else -ENXIO, -EBUSY, -EOPNOTSUPP or -EINVAL.
 */
int xcall_post(unsigned int cpu, const struct xcall_work *work);

/**
 * xcall_post_many() - send work to each CPU of a set and return
 * @targets: the CPUs
 * @work: as for xcall_post()
 * @missed: unless NULL, emptied, and filled with the targets that were offline;
 *          another set than @targets
 *
 * Context: any, both lanes.
 * Return: to how many it was sent, 0 if all are offline. Else -ENXIO (after a
 * panic has begun), -EBUSY, -EOPNOTSUPP or -EINVAL.
 */
int xcall_post_many(const struct cpumask *targets, const struct xcall_work *work,
		    struct cpumask *missed);

/**
 * xcall_flush() - wait until all calls posted before, from any CPU, have ended
 * @within_ns: for how long at most, in nanoseconds; 0: no limit
 *
 * What a module that posts does before it unloads, and when its init fails
 * after it has posted.
 *
 * Context: a task that may sleep.
 * Return: 0; -EDEADLK in another context; -ETIMEDOUT: still under way, the
 * module must stay.
 */
int xcall_flush(u64 within_ns);

/**
 * xcall_now_ns() - the monotonic clock, for called functions
 *
 * ktime_get_mono_fast_ns(), but it never waits for another CPU. That one does
 * where the clock source is the HPET and it is read outside an NMI.
 *
 * Context: any.
 * Return: nanoseconds.
 */
u64 xcall_now_ns(void);

#define XCALL_LATENCY_BUCKETS	40

/* Counters since load. Counts of calls count each target. */
struct xcall_stats {
	/* Calls made from this CPU, self-calls included. */
	u64 made;
	/* Calls run on this CPU. */
	u64 run;
	/* Of those made here: never ran, the target was silent or offline. */
	u64 withdrawn;
	/* Doorbells rung from this CPU. */
	u64 rings;
	/* Rings saved because one at least as strong was due already. */
	u64 rings_saved;
	/* Of rings: second and later ones for the same call. */
	u64 rerings;
	/* Steps up the doorbell ladder. */
	u64 escalations;
	/* Waiting calls that ended in -ETIMEDOUT. */
	u64 timeouts;
	/* Calls refused with -EBUSY. */
	u64 busy;
	/* Deepest nesting of waiting calls. */
	u64 deepest;
	/*
	 * Waiting calls to other CPUs, by duration: bucket n counts those of
	 * 2^n to 2^(n+1) - 1 ns, the last one also the longer ones.
	 */
	u64 latency[XCALL_LATENCY_BUCKETS];
};

/**
 * xcall_cpu_stats() - the counters of one CPU
 * @cpu: the CPU, online or not
 * @stats: filled in
 *
 * Context: any.
 * Return: 0; -EINVAL: no such CPU, or @stats is NULL.
 */
int xcall_cpu_stats(unsigned int cpu, struct xcall_stats *stats);

/**
 * xcall_total_stats() - the counters of all CPUs together
 * @stats: filled in; never shows more calls run or withdrawn than made
 *
 * Context: any; takes time for each CPU that the machine could have.
 */
void xcall_total_stats(struct xcall_stats *stats);

/* A doorbell that xcall knows. */
struct xcall_doorbell {
	char name[XCALL_DOORBELL_NAME];
	/* XCALL_DOORBELL_* */
	u32 flags;
	/* 0 */
	u32 reserved;
	/* Runs of its handler since load, on all CPUs... */
	u64 heard;
	/* ...and of those, the ones that found no call to run. */
	u64 heard_empty;
};

/* This machine has it. */
#define XCALL_DOORBELL_OFFERED		0x01
/* Calls of the lane use it. */
#define XCALL_DOORBELL_NMI_SAFE		0x02
#define XCALL_DOORBELL_ORDINARY		0x04
/* A CPU with interrupts off does not hear it. */
#define XCALL_DOORBELL_MASKABLE		0x08
/* It can be rung from an NMI. */
#define XCALL_DOORBELL_FROM_NMI		0x10

/**
 * xcall_doorbell() - what there is to know about a doorbell
 * @index: its number, from 0, weakest first
 * @doorbell: filled in
 *
 * Context: any.
 * Return: 0; -ENOENT past the last; -EINVAL: @doorbell is NULL.
 */
int xcall_doorbell(unsigned int index, struct xcall_doorbell *doorbell);

/**
 * xcall_latency() - how long waiting calls took that rang this doorbell last
 * @index: its number, as for xcall_doorbell()
 * @buckets: XCALL_LATENCY_BUCKETS of them, filled in as in struct xcall_stats,
 *           for all CPUs together
 *
 * A call whose ring was saved counts with the doorbell it would have rung.
 *
 * Context: any; takes time for each CPU that the machine could have.
 * Return: 0; -ENOENT past the last doorbell; -EINVAL: @buckets is NULL.
 */
int xcall_latency(unsigned int index, u64 *buckets);

/**
 * xcall_select_doorbells() - let calls use certain doorbells and no others
 * @names: their names, separated by commas; NULL or "": the choice at load
 *
 * A lane that none of them serves keeps the machine's own choice. This is for
 * everybody on this machine: a means of tests, and of the administrator.
 *
 * Context: any.
 * Return: 0; -ENOENT: no such doorbell, or this machine does not have it;
 * nothing changes.
 */
int xcall_select_doorbells(const char *names);

/**
 * xcall_set_ring_filter() - spoil rings
 * @filter: asked before every ring, with the CPU, how often to ring: 0, the
 *          ring is lost; 1, as usual; 2, twice. One that spins delays the ring.
 *          It is called from any context, with preemption off. NULL: no filter;
 *          then no CPU runs the old one any more when this returns (but for
 *          rings from where RCU is not watching, such as a probe in the idle
 *          loop)
 *
 * What fault injection needs, and nothing else should use.
 *
 * Context: a task that may sleep.
 * Return: 0; -EBUSY: there is a filter already.
 */
int xcall_set_ring_filter(unsigned int (*filter)(unsigned int cpu));

/*
 * NMIs since load: that ran calls, that found none left (an earlier one had
 * run them), and of those, that nobody else claimed either and xcall knew as
 * its own.
 */
struct xcall_nmi_counts {
	u64 handled;
	u64 empty;
	u64 unknown_claimed;
};

/**
 * xcall_nmi_counts() - what became of NMIs, on all CPUs together
 * @counts: filled in
 *
 * Context: any.
 */
void xcall_nmi_counts(struct xcall_nmi_counts *counts);

#endif
