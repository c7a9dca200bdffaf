// SPDX-License-Identifier: GPL-2.0
/* See shim.h for contexts. */
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/topology.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <asm/processor.h>
#include <asm/ptrace.h>

#include "shim.h"

/* ---- this CPU ------------------------------------------------------------------------- */

noinstr unsigned int dtrace_shim_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

noinstr unsigned int dtrace_shim_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

noinstr unsigned long dtrace_shim_local_irq_save(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	return flags;
}

noinstr void dtrace_shim_local_irq_restore(unsigned long flags)
{
	raw_local_irq_restore(flags);
}

/* ---- tasks ---------------------------------------------------------------------------- */

bool dtrace_shim_capable(void)
{
	return capable(CAP_SYS_ADMIN);
}

int dtrace_shim_locked_down(void)
{
	return security_locked_down(LOCKDOWN_BPF_READ_KERNEL);
}

bool dtrace_shim_in_compat_syscall(void)
{
	return in_compat_syscall();
}

bool dtrace_shim_is_killed(void)
{
	return fatal_signal_pending(current);
}

static DEFINE_MUTEX(dtrace_mutex);

void dtrace_shim_lock(void)
{
	mutex_lock(&dtrace_mutex);
}

void dtrace_shim_unlock(void)
{
	mutex_unlock(&dtrace_mutex);
}

void dtrace_shim_cpus_read_lock(void)
{
	cpus_read_lock();
}

void dtrace_shim_cpus_read_unlock(void)
{
	cpus_read_unlock();
}

bool dtrace_shim_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

void dtrace_shim_msleep(unsigned int ms)
{
	msleep(ms);
}

/*
 * __GFP_RETRY_MAYFAIL: no process is killed for a buffer that is too large. It goes
 * with each page that vmalloc asks for. Of page tables, Linux 6.1 and 6.12 do not take
 * it over (mm/vmalloc.c: "not supported"), which is a page in 512; 7.3 does. Its price
 * is that kmalloc, which is asked first, reclaims memory as well.
 */
void *dtrace_shim_kvzalloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
}

void dtrace_shim_kvfree(const void *memory)
{
	kvfree(memory);
}

/* ---- the current task ----------------------------------------------------------------- */

noinstr u64 dtrace_shim_current(void)
{
	return (unsigned long)current;
}

noinstr u32 dtrace_shim_tgid(void)
{
	return current->tgid;
}

noinstr u32 dtrace_shim_pid(void)
{
	return current->pid;
}

/*
 * Interrupts are off, which is a read-side critical section: the parent stays. But
 * a task that exits runs on for a while after it was reaped, and then nobody tells
 * it that its parent goes (linux/sched.h, task_ppid_nr_ns(), takes the same care).
 */
noinstr u32 dtrace_shim_ppid(void)
{
	return pid_alive(current) ? rcu_dereference_raw(current->real_parent)->tgid : 0;
}

noinstr u32 dtrace_shim_uid(void)
{
	return __kuid_val(current_uid());
}

noinstr u32 dtrace_shim_gid(void)
{
	return __kgid_val(current_gid());
}

/* As above: of a task that was reaped, only its own number is known. */
noinstr bool dtrace_shim_is_progeny(u32 tgid, unsigned int generations)
{
	const struct task_struct *task = current;

	while (generations-- && task->tgid != tgid && task->pid && pid_alive(task))
		task = rcu_dereference_raw(task->real_parent);
	return task->tgid == tgid;
}

noinstr bool dtrace_shim_in_interrupt(void)
{
	return in_nmi() || in_hardirq() || in_serving_softirq();
}

noinstr u64 dtrace_shim_start_time(void)
{
	return current->start_time;
}

noinstr u64 dtrace_shim_runtime(void)
{
	return current->se.sum_exec_runtime;
}

noinstr void dtrace_shim_comm(char *comm)
{
	BUILD_BUG_ON(TASK_COMM_LEN != DTRACE_SHIM_COMM);
	memcpy(comm, current->comm, DTRACE_SHIM_COMM);
	comm[DTRACE_SHIM_COMM - 1] = '\0';
}

noinstr u64 dtrace_shim_walltimestamp(void)
{
	return ktime_get_real_fast_ns();
}

/* ---- memory --------------------------------------------------------------------------- */

noinstr long dtrace_shim_copy_from_kernel(void *to, u64 from, unsigned long size)
{
	return copy_from_kernel_nofault(to, (const void *)from, size);
}

noinstr long dtrace_shim_copy_from_user(void *to, u64 from, unsigned long size)
{
	return copy_from_user_nofault(to, (const void __user *)from, size);
}

noinstr unsigned int dtrace_shim_stack(unsigned long *addresses, unsigned int count)
{
	return stack_trace_save(addresses, count, 1);
}

/* Two fields of the module, which are written when it is loaded. */
noinstr bool dtrace_shim_is_own(u64 address)
{
	return within_module(address, THIS_MODULE);
}

noinstr bool dtrace_shim_user_register(u64 number, u64 *value)
{
	bool known = !(current->flags & PF_KTHREAD) && number <= MAX_REG_OFFSET / sizeof(long);

	*value = known ? regs_get_register(task_pt_regs(current), number * sizeof(long)) : 0;
	return known;
}

noinstr u32 dtrace_shim_this_chip(void)
{
	return topology_physical_package_id(raw_smp_processor_id());
}

noinstr u32 dtrace_shim_this_node(void)
{
	return numa_node_id();
}

noinstr void dtrace_shim_user_frame(u64 *pc, u64 *frame)
{
	bool user = !(current->flags & PF_KTHREAD);

	*pc = user ? task_pt_regs(current)->ip : 0;
	*frame = user ? task_pt_regs(current)->bp : 0;
}
