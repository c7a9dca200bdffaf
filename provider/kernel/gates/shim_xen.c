// SPDX-License-Identifier: GPL-2.0
/* The part of gates that speaks to Xen. See gates/shim.h for contexts. */
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/percpu.h>
#include <asm/desc.h>
#include <asm/segment.h>

#include "../../../xcall/kernel/compat.h"
#include "shim.h"

#if defined(CONFIG_XEN_PV) && XCALL_COMPAT_XEN
#include <xen/xen.h>
#include <asm/xen/interface.h>
#include <asm/xen/hypercall.h>

/* xen_pv.rs says the same of xen-sys's structure. */
static_assert(sizeof(struct trap_info) == 16);
static_assert(offsetof(struct trap_info, flags) == 1);
static_assert(offsetof(struct trap_info, cs) == 2);
static_assert(offsetof(struct trap_info, address) == 8);

noinstr int dtrace_gates_set_trap_table(const void *traps)
{
	return HYPERVISOR_set_trap_table((struct trap_info *)traps);
}
#else
noinstr int dtrace_gates_set_trap_table(const void *traps)
{
	return -EOPNOTSUPP;
}
#endif

/* What stubs under Xen add to. */
DEFINE_PER_CPU(u64 [32], dtrace_gates_xen_counters);

u64 *dtrace_gates_xen_counters_of(unsigned int cpu)
{
	return cpu_possible(cpu) ? per_cpu(dtrace_gates_xen_counters, cpu) : NULL;
}

void dtrace_gates_load_idt(u64 table)
{
	struct desc_ptr descriptor = { .size = IDT_ENTRIES * sizeof(gate_desc) - 1, .address = table };

	load_idt(&descriptor);
}
