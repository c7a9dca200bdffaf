// SPDX-License-Identifier: GPL-2.0
/* See shim.h for contexts. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/hardirq.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/nmi.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <asm/apic.h>
#include <asm/nmi.h>
#include <asm/smp.h>
#include <asm/x86_init.h>

#include "compat.h"
#include "shim.h"

/* ---- this CPU ------------------------------------------------------------------------- */

/* One call for what every xcall call and every doorbell's handler begins with. */
noinstr u64 xcall_shim_preempt_disable_where(void)
{
	preempt_disable_notrace();
	return raw_smp_processor_id() |
	       (in_nmi() ? XCALL_SHIM_IN_NMI : 0) |
	       (in_hardirq() ? XCALL_SHIM_IN_HARDIRQ : 0) |
	       (in_serving_softirq() ? XCALL_SHIM_IN_SOFTIRQ : 0) |
	       (raw_irqs_disabled() ? XCALL_SHIM_IRQS_DISABLED : 0);
}

noinstr void xcall_shim_preempt_enable(void)
{
	preempt_enable_notrace();
}

noinstr unsigned int xcall_shim_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

noinstr unsigned long xcall_shim_local_irq_save(void)
{
	unsigned long flags;

	raw_local_irq_save(flags);
	return flags;
}

noinstr void xcall_shim_local_irq_restore(unsigned long flags)
{
	raw_local_irq_restore(flags);
}

/*
 * The HPET's read_hpet() waits for a reader on another CPU, except in an NMI
 * (arch/x86/kernel/hpet.c). That reader may be below an NMI that waits for a
 * call which this CPU has started: neither would go on. So it is read as in an
 * NMI everywhere; interrupts are off meanwhile, since none may come in an NMI.
 */
noinstr u64 xcall_shim_now_ns(void)
{
	unsigned long flags;
	u64 ns;

	raw_local_irq_save(flags);
	__preempt_count_add(NMI_OFFSET);
	ns = ktime_get_mono_fast_ns();
	__preempt_count_sub(NMI_OFFSET);
	raw_local_irq_restore(flags);
	return ns;
}

noinstr bool xcall_shim_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

noinstr void xcall_shim_cpu_relax(void)
{
	cpu_relax();
}

noinstr unsigned int xcall_shim_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

/* ---- tasks ---------------------------------------------------------------------------- */

void *xcall_shim_vzalloc(unsigned long size)
{
	return vzalloc(size);
}

void xcall_shim_vfree(const void *memory)
{
	vfree(memory);
}

void xcall_shim_cpus_read_lock(void)
{
	cpus_read_lock();
}

void xcall_shim_cpus_read_unlock(void)
{
	cpus_read_unlock();
}

void xcall_shim_synchronize_rcu(void)
{
	synchronize_rcu();
}

void xcall_shim_msleep(unsigned int ms)
{
	msleep(ms);
}

void xcall_shim_cond_resched(void)
{
	cond_resched();
}

int xcall_shim_sprint_symbol(char *buffer, unsigned long address)
{
	return xcall_compat_sprint_symbol(buffer, address);
}

unsigned int xcall_shim_ksym_symbol_len(void)
{
	return KSYM_SYMBOL_LEN;
}

/* ---- parameters ----------------------------------------------------------------------- */

static char *doorbell = "";
module_param(doorbell, charp, 0444);
MODULE_PARM_DESC(doorbell, "Doorbells to use, of ipi,event-channel,xen-nmi,nmi (default: chosen for the machine)");

static char *forbid = "";
module_param(forbid, charp, 0444);
MODULE_PARM_DESC(forbid, "Doorbells never to touch, of the same names (default: none)");

static unsigned int deadline_ms = 10000;
module_param(deadline_ms, uint, 0444);
MODULE_PARM_DESC(deadline_ms, "Time limit of calls that set none, in milliseconds, 15000 at most (default: 10000; with interrupts off no call waits longer than 5000)");

static unsigned int nmi_deadline_ms = 500;
module_param(nmi_deadline_ms, uint, 0444);
MODULE_PARM_DESC(nmi_deadline_ms, "Time limit of any call made in an NMI, in milliseconds 9000 at most (default: 500; crash dumping waits for a CPU 1000 at most)");

static unsigned int nmi_credit_ms = 100;
module_param(nmi_credit_ms, uint, 0444);
MODULE_PARM_DESC(nmi_credit_ms, "How long after a ring an NMI that nobody claims is taken for it, in milliseconds, 60000 at most (default: 100)");

const char *xcall_shim_param_doorbell(void)
{
	return doorbell;
}

const char *xcall_shim_param_forbid(void)
{
	return forbid;
}

unsigned int xcall_shim_param_deadline_ms(void)
{
	return deadline_ms;
}

unsigned int xcall_shim_param_nmi_deadline_ms(void)
{
	return nmi_deadline_ms;
}

unsigned int xcall_shim_param_nmi_credit_ms(void)
{
	return nmi_credit_ms;
}

/* ---- optional APIs -------------------------------------------------------------------- */

bool xcall_shim_has_nmi_ipi(void)
{
	return XCALL_COMPAT_NMI_IPI;
}

bool xcall_shim_has_nmi_handler(void)
{
	return XCALL_COMPAT_NMI_HANDLER;
}

bool xcall_shim_has_debugfs(void)
{
	return XCALL_COMPAT_DEBUGFS;
}

bool xcall_shim_has_kallsyms(void)
{
	return XCALL_COMPAT_KALLSYMS;
}

/* ---- NMI ------------------------------------------------------------------------------ */

static noinstr int xcall_shim_nmi_local(unsigned int type, struct pt_regs *regs)
{
	return xcall_nmi_local();
}

static noinstr int xcall_shim_nmi_unknown(unsigned int type, struct pt_regs *regs)
{
	return xcall_nmi_unknown();
}

int xcall_shim_register_nmi_handlers(void)
{
	int ret = xcall_compat_register_nmi_handler(NMI_LOCAL, xcall_shim_nmi_local, 0, "xcall");

	if (ret)
		return ret;
	ret = xcall_compat_register_nmi_handler(NMI_UNKNOWN, xcall_shim_nmi_unknown, 0, "xcall");
	if (ret)
		xcall_compat_unregister_nmi_handler(NMI_LOCAL, "xcall");
	return ret;
}

void xcall_shim_unregister_nmi_handlers(void)
{
	xcall_compat_unregister_nmi_handler(NMI_LOCAL, "xcall");
	xcall_compat_unregister_nmi_handler(NMI_UNKNOWN, "xcall");
}

bool xcall_shim_nmi_reason_is_absent(void)
{
	return x86_platform.get_nmi_reason() == 0xff;
}

int xcall_shim_register_nmi_serr_handler(void)
{
	return xcall_compat_register_nmi_handler(NMI_SERR, xcall_shim_nmi_unknown, 0, "xcall");
}

void xcall_shim_unregister_nmi_serr_handler(void)
{
	xcall_compat_unregister_nmi_handler(NMI_SERR, "xcall");
}

noinstr void xcall_shim_send_nmi(unsigned int cpu)
{
	xcall_compat_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}

noinstr unsigned int xcall_shim_cpumask_longs(void)
{
	return BITS_TO_LONGS(xcall_compat_cpumask_bits);
}

noinstr void xcall_shim_send_nmi_mask(const unsigned long *cpus)
{
	xcall_compat_send_IPI_mask(to_cpumask(cpus), NMI_VECTOR);
}

noinstr bool xcall_shim_x2apic_mode(void)
{
	return x2apic_mode;
}

noinstr u32 xcall_shim_cpu_physical_id(unsigned int cpu)
{
	return cpu_physical_id(cpu);
}

/*
 * Not wrmsrl(): that one has a tracepoint. The fences make earlier stores
 * visible first, which a write to this MSR alone does not (Intel SDM volume
 * 3A, 12.12.3).
 */
noinstr void xcall_shim_x2apic_icr_write(u32 low, u32 apic_id)
{
	asm volatile("mfence; lfence; wrmsr"
		     : : "c" (APIC_BASE_MSR + (APIC_ICR >> 4)), "a" (low), "d" (apic_id)
		     : "memory");
}

noinstr u32 xcall_shim_xapic_read(u32 reg)
{
	return READ_ONCE(*(volatile u32 *)(APIC_BASE + reg));
}

noinstr void xcall_shim_xapic_write(u32 reg, u32 value)
{
	WRITE_ONCE(*(volatile u32 *)(APIC_BASE + reg), value);
}

/* ---- maskable IPI --------------------------------------------------------------------- */

/*
 * A CPU that idles by polling runs this from its idle loop, interrupts off, but
 * not in an interrupt. That is as good as one: nothing below it had them off
 * for a lock. So let it look like one.
 */
static noinstr void xcall_shim_ipi_rung(void *unused)
{
	bool from_idle = !in_hardirq();

	if (from_idle)
		__irq_enter_raw();
	xcall_ipi_rung();
	if (from_idle)
		__irq_exit_raw();
}

static noinstr void xcall_shim_irq_work_rung(struct irq_work *unused)
{
	xcall_ipi_rung();
}

static DEFINE_PER_CPU(call_single_data_t, xcall_ring_csd);
static DEFINE_PER_CPU(struct irq_work, xcall_ring_irq_work);

noinstr int xcall_shim_smp_call_function_single_async(unsigned int cpu)
{
	return smp_call_function_single_async(cpu, per_cpu_ptr(&xcall_ring_csd, cpu));
}

noinstr void xcall_shim_irq_work_queue_ring(void)
{
	irq_work_queue(this_cpu_ptr(&xcall_ring_irq_work));
}

void xcall_shim_irq_work_sync_rings(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		irq_work_sync(per_cpu_ptr(&xcall_ring_irq_work, cpu));
}

/* ---- posted calls --------------------------------------------------------------------- */

static DEFINE_PER_CPU(struct timer_list, xcall_posts_timer);

static noinstr void xcall_shim_posts_timer(struct timer_list *unused)
{
	xcall_posts_due();
}

static noinstr void xcall_shim_posts_irq_work(struct irq_work *unused)
{
	xcall_posts_due();
}

static DEFINE_PER_CPU(struct irq_work, xcall_posts_irq_work);

noinstr void xcall_shim_posts_irq_work_queue(void)
{
	irq_work_queue(this_cpu_ptr(&xcall_posts_irq_work));
}

noinstr void xcall_shim_posts_mod_timer(u64 delay_ns)
{
	mod_timer(this_cpu_ptr(&xcall_posts_timer), jiffies + nsecs_to_jiffies(delay_ns) + 1);
}

void xcall_shim_posts_stop(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		irq_work_sync(per_cpu_ptr(&xcall_posts_irq_work, cpu));
		timer_shutdown_sync(per_cpu_ptr(&xcall_posts_timer, cpu));
	}
}

/*
 * The per-CPU objects above hold pointers to functions, which a module cannot
 * have in its per-CPU data: 6.12 does not relocate that section.
 */
void xcall_shim_init(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		INIT_CSD(per_cpu_ptr(&xcall_ring_csd, cpu), xcall_shim_ipi_rung, NULL);
		*per_cpu_ptr(&xcall_ring_irq_work, cpu) =
			IRQ_WORK_INIT_HARD(xcall_shim_irq_work_rung);
		*per_cpu_ptr(&xcall_posts_irq_work, cpu) =
			IRQ_WORK_INIT_HARD(xcall_shim_posts_irq_work);
		timer_setup(per_cpu_ptr(&xcall_posts_timer, cpu), xcall_shim_posts_timer,
			    TIMER_PINNED);
	}
}

/* ---- reports -------------------------------------------------------------------------- */

static void xcall_shim_reports_irq_work(struct irq_work *unused)
{
	xcall_reports_due();
}

static struct irq_work xcall_reports_irq_work = IRQ_WORK_INIT(xcall_shim_reports_irq_work);

noinstr void xcall_shim_reports_irq_work_queue(void)
{
	irq_work_queue(&xcall_reports_irq_work);
}

void xcall_shim_reports_irq_work_sync(void)
{
	irq_work_sync(&xcall_reports_irq_work);
}

/* ---- CPU hotplug, panic --------------------------------------------------------------- */

static int xcall_cpuhp_state;

int xcall_shim_cpuhp_setup(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "xcall:online", xcall_cpu_online,
				      xcall_cpu_offline);

	xcall_cpuhp_state = state;
	return state < 0 ? state : 0;
}

void xcall_shim_cpuhp_remove_cpuslocked(void)
{
	__cpuhp_remove_state_cpuslocked(xcall_cpuhp_state, true);
}

static int xcall_shim_panicked(struct notifier_block *nb, unsigned long action, void *data)
{
	xcall_panic();
	return NOTIFY_DONE;
}

static struct notifier_block xcall_panic_notifier = {
	.notifier_call = xcall_shim_panicked,
	.priority = INT_MAX,
};

int xcall_shim_panic_notifier_register(void)
{
	return atomic_notifier_chain_register(&panic_notifier_list, &xcall_panic_notifier);
}

void xcall_shim_panic_notifier_unregister(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &xcall_panic_notifier);
}
