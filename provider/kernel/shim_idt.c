// SPDX-License-Identifier: GPL-2.0
/* Exceptions and interrupts: who in the kernel tells of them. See shim.h for contexts. */
#include <linux/errno.h>
#include <linux/kdebug.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/linkage.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/objtool.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/signal.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/signal.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/ibt.h>
#include <asm/nmi.h>
#include <asm/processor.h>
#include <asm/ptrace.h>
#include <asm/trace/irq_vectors.h>
/* Linux 6.16 moved them. */
#if __has_include(<trace/events/exceptions.h>)
#include <trace/events/exceptions.h>
#else
#include <asm/trace/exceptions.h>
#endif

#include "../../xcall/kernel/compat.h"
#include "shim.h"

noinstr void dtrace_shim_idt_frame(const struct pt_regs *regs, struct dtrace_idt_frame *frame)
{
	frame->ip = regs->ip;
	frame->sp = regs->sp;
	frame->flags = regs->flags;
	frame->cs = (u16)regs->cs;
	frame->user = user_mode((struct pt_regs *)regs);
}

bool dtrace_shim_xen_pv(void)
{
	return boot_cpu_has(X86_FEATURE_XENPV);
}

/* ---- tracepoints ---------------------------------------------------------------------- */

static noinstr void dtrace_shim_page_fault(void *data, unsigned long address,
					   struct pt_regs *regs, unsigned long error)
{
	preempt_disable_notrace();
	dtrace_idt_page_fault(regs, address, error);
	preempt_enable_notrace();
}

/*
 * With the lock of the target's signals held. Some senders have a number for info. In a
 * system call orig_ax is its number: there a task sends itself what code it likes.
 */
static noinstr void dtrace_shim_signal(void *data, int number, struct kernel_siginfo *info,
				       struct task_struct *task, int group, int result)
{
	bool has_info = (unsigned long)info > (unsigned long)SEND_SIG_PRIV;
	struct pt_regs *regs = task_pt_regs(task);

	if (task != current || in_interrupt() || !has_info || regs->orig_ax != -1UL)
		return;
	preempt_disable_notrace();
	dtrace_idt_signal(regs, number, info->si_code, task->thread.trap_nr,
			  task->thread.error_code);
	preempt_enable_notrace();
}

static noinstr void dtrace_shim_interrupt(void *data, int vector)
{
	preempt_disable_notrace();
	dtrace_idt_interrupt((unsigned long)data, vector);
	preempt_enable_notrace();
}

/* Never called: a prototype that changes does not compile. */
static void __maybe_unused dtrace_shim_idt_canary(void)
{
	check_trace_callback_type_page_fault_user(dtrace_shim_page_fault);
	check_trace_callback_type_page_fault_kernel(dtrace_shim_page_fault);
	check_trace_callback_type_signal_generate(dtrace_shim_signal);
	check_trace_callback_type_local_timer_entry(dtrace_shim_interrupt);
	check_trace_callback_type_call_function_entry(dtrace_shim_interrupt);
}

/* ---- the die notifier ----------------------------------------------------------------- */

static noinstr bool dtrace_shim_event(unsigned long event, struct die_args *args)
{
	switch (event) {
	case DIE_INT3:
		return dtrace_idt_int3(args->regs);
	case DIE_DEBUG:
		return dtrace_idt_debug(args->regs, args->err,
					*(unsigned long *)ERR_PTR(args->err));
	case DIE_TRAP:
	case DIE_GPF:
		dtrace_idt_trap(args->regs, args->trapnr, args->err);
		break;
	}
	return false;
}

static noinstr int dtrace_shim_die(struct notifier_block *block, unsigned long event, void *args)
{
	bool is_over;

	preempt_disable_notrace();
	is_over = dtrace_shim_event(event, args);
	preempt_enable_notrace();
	return is_over ? NOTIFY_STOP : NOTIFY_DONE;
}

/*
 * Equal priorities come in the order they were registered in: behind perf's
 * breakpoints, which take what is theirs, and before uprobes, which take any int3 of
 * a process that has one.
 */
static struct notifier_block dtrace_die = {
	.notifier_call = dtrace_shim_die,
	.priority = INT_MAX,
};

noinstr void dtrace_shim_idt_end_steps(struct pt_regs *regs, long dr6)
{
	regs->flags &= ~X86_EFLAGS_TF;
	*(unsigned long *)ERR_PTR(dr6) &= ~DR_STEP;
}

/* ---- NMIs ----------------------------------------------------------------------------- */

static noinstr int dtrace_shim_nmi(unsigned int type, struct pt_regs *regs)
{
	dtrace_idt_nmi(regs);
	return NMI_DONE;
}

/* ---- sources, by their numbers -------------------------------------------------------- */

enum { DTRACE_DIE = 2, DTRACE_SIGNAL = 3, DTRACE_NMI = 4, DTRACE_SOURCES = 16 };

/* Tracepoints by their names in the kernel; those that are not there are NULL. */
static struct {
	const char *name;
	void *function;
	struct tracepoint *tracepoint;
} dtrace_sources[] = {
	{ "page_fault_user", dtrace_shim_page_fault },
	{ "page_fault_kernel", dtrace_shim_page_fault },
	[DTRACE_SIGNAL] = { "signal_generate", dtrace_shim_signal },
	[5] = { "local_timer_entry", dtrace_shim_interrupt },
	{ "reschedule_entry", dtrace_shim_interrupt },
	{ "call_function_entry", dtrace_shim_interrupt },
	{ "call_function_single_entry", dtrace_shim_interrupt },
	{ "irq_work_entry", dtrace_shim_interrupt },
	{ "x86_platform_ipi_entry", dtrace_shim_interrupt },
	{ "error_apic_entry", dtrace_shim_interrupt },
	{ "spurious_apic_entry", dtrace_shim_interrupt },
	{ "thermal_apic_entry", dtrace_shim_interrupt },
	{ "threshold_apic_entry", dtrace_shim_interrupt },
	{ "deferred_error_apic_entry", dtrace_shim_interrupt },
};

static_assert(ARRAY_SIZE(dtrace_sources) == DTRACE_SOURCES);

static void dtrace_shim_look_for(struct tracepoint *tracepoint, void *priv)
{
	unsigned int source = *(unsigned int *)priv;

	if (!strcmp(tracepoint->name, dtrace_sources[source].name))
		dtrace_sources[source].tracepoint = tracepoint;
}

bool dtrace_shim_idt_has(unsigned int source)
{
	if (source == DTRACE_DIE)
		return true;
	if (source == DTRACE_NMI)
		return XCALL_COMPAT_NMI_HANDLER;
	if (source >= DTRACE_SOURCES || !dtrace_sources[source].name)
		return false;
	for_each_kernel_tracepoint(dtrace_shim_look_for, &source);
	return dtrace_sources[source].tracepoint;
}

int dtrace_shim_idt_register(unsigned int source)
{
	if (source == DTRACE_DIE)
		return register_die_notifier(&dtrace_die);
	if (source == DTRACE_NMI)
		return xcall_compat_register_nmi_handler(NMI_LOCAL, dtrace_shim_nmi, 0, "dtrace");
	return tracepoint_probe_register(dtrace_sources[source].tracepoint,
					 dtrace_sources[source].function,
					 (void *)(unsigned long)source);
}

/* The first two wait for an RCU grace period themselves. */
void dtrace_shim_idt_unregister(unsigned int source)
{
	if (source == DTRACE_DIE) {
		unregister_die_notifier(&dtrace_die);
		return;
	}
	if (source == DTRACE_NMI) {
		xcall_compat_unregister_nmi_handler(NMI_LOCAL, "dtrace");
		return;
	}
	tracepoint_probe_unregister(dtrace_sources[source].tracepoint,
				    dtrace_sources[source].function,
				    (void *)(unsigned long)source);
	tracepoint_synchronize_unregister();
}

/* ---- our own traps, and the list of probes, in /sys/module/dtrace/parameters ------------ */

/*
 * The notifier knows our traps by the addresses behind them. A trap flag that popf
 * sets takes effect behind the next instruction.
 */
asm("	.pushsection .noinstr.text, \"ax\"\n"
    "	.type dtrace_own_int3, @function\n"
    "dtrace_own_int3:\n"
    "	" ASM_ENDBR "\n"
    "	int3\n"
    "dtrace_own_int3_end:\n"
    "	" ANNOTATE_NOENDBR "\n"
    "	" ASM_RET "\n"
    "	.size dtrace_own_int3, . - dtrace_own_int3\n"
    "	.type dtrace_own_step, @function\n"
    "dtrace_own_step:\n"
    "	" ASM_ENDBR "\n"
    "	pushfq\n"
    "	orq $0x100, (%rsp)\n"
    "	popfq\n"
    "	nop\n"
    "dtrace_own_step_end:\n"
    "	" ANNOTATE_NOENDBR "\n"
    "	" ASM_RET "\n"
    "	.size dtrace_own_step, . - dtrace_own_step\n"
    "	.popsection\n");

void dtrace_own_int3(void);
void dtrace_own_step(void);
extern const char dtrace_own_int3_end[], dtrace_own_step_end[];

noinstr u64 dtrace_shim_idt_own_int3(void)
{
	return (unsigned long)dtrace_own_int3_end;
}

noinstr u64 dtrace_shim_idt_own_step(void)
{
	return (unsigned long)dtrace_own_step_end;
}

void dtrace_shim_idt_own_traps(void)
{
	dtrace_own_int3();
	dtrace_own_step();
	cond_resched();
}

/* With PTRACE_SINGLEBLOCK the trap flag means branches, not instructions. */
static int dtrace_shim_set_own_traps(const char *text, const struct kernel_param *param)
{
	unsigned int count;
	int ret = kstrtouint(text, 0, &count);

	if (ret)
		return ret;
	if (!dtrace_shim_capable())
		return -EPERM;
	if (test_thread_flag(TIF_BLOCKSTEP))
		return -EBUSY;
	return dtrace_idt_make_own_traps(count);
}

static int dtrace_shim_get_own_traps(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", dtrace_idt_own_traps_ended());
}

static const struct kernel_param_ops dtrace_own_traps_ops = {
	.set = dtrace_shim_set_own_traps,
	.get = dtrace_shim_get_own_traps,
};

module_param_cb(idt_own_traps, &dtrace_own_traps_ops, NULL, 0600);
MODULE_PARM_DESC(idt_own_traps, "Written, not at loading: executes so many int3 and single steps in dtrace.ko's own text. Read: how many were taken and resumed");

static int dtrace_shim_get_hooks(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%u\n", dtrace_idt_hooks());
}

static const struct kernel_param_ops dtrace_hooks_ops = {
	.set = dtrace_shim_set_nothing,
	.get = dtrace_shim_get_hooks,
};

module_param_cb(idt_hooks, &dtrace_hooks_ops, NULL, 0444);
MODULE_PARM_DESC(idt_hooks, "To be read: how many of the kernel's hooks the idt provider has; 0 when none of its probes is enabled");

static int dtrace_shim_get_probes(char *buffer, const struct kernel_param *param)
{
	unsigned int number = 0;
	size_t length = 0, more;

	while ((more = dtrace_idt_line(number++, buffer + length, PAGE_SIZE - length)))
		length += more;
	return length;
}

static const struct kernel_param_ops dtrace_probes_ops = {
	.set = dtrace_shim_set_nothing,
	.get = dtrace_shim_get_probes,
};

module_param_cb(idt_probes, &dtrace_probes_ops, NULL, 0444);
MODULE_PARM_DESC(idt_probes, "To be read: vectors, and who in the kernel tells of each, or why it has no probe");
