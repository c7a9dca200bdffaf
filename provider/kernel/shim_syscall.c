// SPDX-License-Identifier: GPL-2.0
/* System calls: their names on this kernel, and the tracepoints. See shim.h for contexts. */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/tracepoint.h>
#include <trace/events/syscalls.h>
#include <asm/syscall.h>
#include <asm/thread_info.h>

#include "shim.h"

/* ---- names ---------------------------------------------------------------------------- */

/* The generated headers are lists of [number] = "name", made by module.mk. */
static const char *const dtrace_names_native[] = {
#include "syscalls_64.h"
};

static const char *const dtrace_names_ia32[] = {
#ifdef CONFIG_IA32_EMULATION
#include "syscalls_32.h"
#endif
};

static const char *const dtrace_names_x32[] = {
#ifdef CONFIG_X86_X32_ABI
#include "syscalls_x32.h"
#endif
};

static const struct {
	const char *const *names;
	unsigned int count;
} dtrace_abis[] = {
	{ dtrace_names_native, ARRAY_SIZE(dtrace_names_native) },
	{ dtrace_names_ia32, ARRAY_SIZE(dtrace_names_ia32) },
	{ dtrace_names_x32, ARRAY_SIZE(dtrace_names_x32) },
};

const char *dtrace_shim_syscall_name(unsigned int abi, unsigned int number)
{
	if (abi >= ARRAY_SIZE(dtrace_abis) || number >= dtrace_abis[abi].count)
		return NULL;
	return dtrace_abis[abi].names[number];
}

/* ---- what has no record, in /sys/module/dtrace/parameters ------------------------------ */

static int dtrace_shim_get_loss(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", dtrace_syscall_loss((unsigned long)param->arg));
}

static const struct kernel_param_ops dtrace_loss_ops = {
	.set = dtrace_shim_set_nothing,
	.get = dtrace_shim_get_loss,
};

module_param_cb(returns_without_entry, &dtrace_loss_ops, (void *)0UL, 0444);
MODULE_PARM_DESC(returns_without_entry, "To be read: returns of system calls whose entry was not seen while returns were traced");

module_param_cb(entries_without_place, &dtrace_loss_ops, (void *)1UL, 0444);
MODULE_PARM_DESC(entries_without_place, "To be read: entries that found the table of tasks full, so that their returns were not traced");

/* ---- tracepoints ---------------------------------------------------------------------- */

/*
 * Fires an entry with its arguments, which go by value: no array of them is made here.
 * Interrupts are on: kernel/entry/common.c turns them on before it looks at the work of
 * an entry.
 */
static __always_inline void dtrace_shim_enter(u32 probe, struct pt_regs *regs)
{
	unsigned long of[6];

	syscall_get_arguments(current, regs, of);
	raw_local_irq_disable();
	dtrace_enter(probe, raw_smp_processor_id(), current->tgid, of[0], of[1], of[2], of[3],
		     of[4], of[5]);
	raw_local_irq_enable();
}

/*
 * Most entries fire nothing: they leave after one call. The rest is here, and not in
 * Rust, because only C can look at registers, interrupts and this CPU without a call.
 */
static noinstr void dtrace_shim_sys_enter(void *data, struct pt_regs *regs, long id)
{
	u32 probe = dtrace_sys_enter(id, in_ia32_syscall(), (unsigned long)current);

	if (probe)
		dtrace_shim_enter(probe, regs);
}

/* Since Linux 6.13 it comes with preemption on. */
static noinstr void dtrace_shim_sys_exit(void *data, struct pt_regs *regs, long value)
{
	preempt_disable_notrace();
	dtrace_sys_exit(value, (unsigned long)current);
	preempt_enable_notrace();
}

/* Never called: a prototype that changes does not compile. */
static void __maybe_unused dtrace_shim_canary(void)
{
	check_trace_callback_type_sys_enter(dtrace_shim_sys_enter);
	check_trace_callback_type_sys_exit(dtrace_shim_sys_exit);
}

/* What to look for; then where it is. The tracepoints themselves are not exported. */
struct dtrace_wanted {
	const char *name;
	struct tracepoint *found;
};

static void dtrace_shim_look_at(struct tracepoint *tracepoint, void *priv)
{
	struct dtrace_wanted *wanted = priv;

	if (!strcmp(tracepoint->name, wanted->name))
		wanted->found = tracepoint;
}

static struct tracepoint *dtrace_shim_tracepoint(const char *name)
{
	struct dtrace_wanted wanted = { .name = name };

	for_each_kernel_tracepoint(dtrace_shim_look_at, &wanted);
	return wanted.found;
}

static unsigned int tracepoints;
module_param(tracepoints, uint, 0444);
MODULE_PARM_DESC(tracepoints, "To be read: tracepoints that are registered: sys_enter, sys_exit");

static int dtrace_shim_register(const char *name, void *probe)
{
	struct tracepoint *tracepoint = dtrace_shim_tracepoint(name);
	int ret = tracepoint ? tracepoint_probe_register(tracepoint, probe, NULL) : -EOPNOTSUPP;

	tracepoints += !ret;
	return ret;
}

static void dtrace_shim_unregister(const char *name, void *probe)
{
	tracepoint_probe_unregister(dtrace_shim_tracepoint(name), probe, NULL);
	tracepoint_synchronize_unregister();
	tracepoints--;
}

int dtrace_shim_sys_enter_register(void)
{
	return dtrace_shim_register("sys_enter", dtrace_shim_sys_enter);
}

int dtrace_shim_sys_exit_register(void)
{
	return dtrace_shim_register("sys_exit", dtrace_shim_sys_exit);
}

void dtrace_shim_sys_enter_unregister(void)
{
	dtrace_shim_unregister("sys_enter", dtrace_shim_sys_enter);
}

void dtrace_shim_sys_exit_unregister(void)
{
	dtrace_shim_unregister("sys_exit", dtrace_shim_sys_exit);
}
