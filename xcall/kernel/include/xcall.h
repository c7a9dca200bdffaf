/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Cross-CPU calls that cannot lock up: what xcall.ko offers to other modules.
 *
 * From Rust, use the crate xcall_interface (xcall/kernel/interface/lib.rs):
 * it declares the same functions and structures. A module that links against
 * these symbols holds xcall.ko in place by itself.
 *
 * Unless it says otherwise, a function may be called from any context: task,
 * softirq, hard interrupt, NMI, interrupts on or off, inside a called
 * function.
 *
 * Errors:
 *   -ENXIO      offline: no such CPU, it takes no calls, or the kernel has
 *               begun to panic; nothing ran, nothing will
 *   -ETIMEDOUT  targets did not start in time and will not; the others ran it
 *   -EBUSY      waiting calls are nested too deep on this CPU (two in an NMI,
 *               four elsewhere), or all call slots that this context may use
 *               are taken: too many posted calls under way
 *   -EDEADLK    a waiting ordinary call with interrupts off or in an NMI
 *   -EOPNOTSUPP no doorbell allowed for this lane can be rung from here
 *   -EINVAL     an argument makes no sense; targets and missed are one set
 * With any but -ETIMEDOUT nothing was sent.
 */
#ifndef XCALL_H
#define XCALL_H

#include <linux/types.h>

struct cpumask;

/* Where a function may run. */
enum xcall_lane {
	/*
	 * Anywhere, an NMI included, and on top of itself on the same CPU at
	 * any instruction: no locks, no faults, no printing.
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

/*
 * Run work on cpu, or on each of targets, or on every CPU that is online (the
 * caller's own is one like the others), and wait until it is done.
 *
 * Work of lane XCALL_ORDINARY: from a task or softirq with interrupts on.
 * report may be NULL. missed may be NULL; else it receives every target, by
 * number, that did not and will not run the work. Returns 0 or an error;
 * targets found offline are an error of xcall_call() only.
 */
int xcall_call(unsigned int cpu, const struct xcall_work *work, struct xcall_report *report);
int xcall_call_many(const struct cpumask *targets, const struct xcall_work *work,
		    struct cpumask *missed, struct xcall_report *report);
int xcall_call_all(const struct xcall_work *work, struct xcall_report *report);

/*
 * Send work and return: it runs on each target once, soon. The argument stays
 * valid until xcall_flush() has returned 0, or until the caller knows by other
 * means that the function has run. within_ns has no meaning here.
 *
 * xcall_post() returns 0 or an error, xcall_post_many() to how many targets it
 * was sent, or an error; missed, if not NULL, receives those that were offline.
 */
int xcall_post(unsigned int cpu, const struct xcall_work *work);
int xcall_post_many(const struct cpumask *targets, const struct xcall_work *work,
		    struct cpumask *missed);

/*
 * Wait until all calls posted before, from any CPU, have ended: what a module
 * that posts does before it unloads. within_ns 0: no limit. A task that may
 * sleep; -EDEADLK elsewhere, -ETIMEDOUT: still under way.
 */
int xcall_flush(u64 within_ns);

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
	/* Waiting calls by duration: bucket n counts 2^n to 2^(n+1) - 1 ns. */
	u64 latency[XCALL_LATENCY_BUCKETS];
};

/*
 * The counters of one CPU (-EINVAL: no such CPU), or of all together: this
 * never shows more calls run or withdrawn than made.
 */
int xcall_cpu_stats(unsigned int cpu, struct xcall_stats *stats);
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

/* Doorbell number index, from 0, weakest first. -ENOENT past the last. */
int xcall_doorbell(unsigned int index, struct xcall_doorbell *doorbell);

/*
 * Lets calls use the doorbells in names, separated by commas, and no others;
 * NULL or "": the module's choice at load. A lane that none of them serves
 * keeps that choice. For everybody on this machine: a means of tests, and of
 * the administrator. -ENOENT: no such doorbell, or this machine does not have
 * it; nothing changes.
 */
int xcall_select_doorbells(const char *names);

/*
 * Every ring asks filter first how often to ring cpu: 0, the ring is lost; 1,
 * as usual; 2, twice. A filter that spins delays the ring. What fault
 * injection needs, and nothing else should use. NULL: no filter; then no CPU
 * runs the old one any more when this returns (but for rings from where RCU is
 * not watching, such as a probe in the idle loop). The filter is called from
 * any context, with preemption off. Task context. -EBUSY: there is one already.
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

void xcall_nmi_counts(struct xcall_nmi_counts *counts);

#endif
