// SPDX-License-Identifier: GPL-2.0
/*
 * A slot of the cpu_entry_area: its top-level entry, which user space's page
 * tables share (pti_clone_p4d() in arch/x86/mm/pti.c), has room for 512 GiB, in
 * slots of 1 GiB. Linux maps what it wants there at boot, for all CPUs that can
 * be (setup_cpu_entry_areas(); since 6.2 anywhere in those 512 GiB), and nothing
 * later: a slot that is empty then stays so, but for another module that does as
 * we do. Which of two is there settles a compare-and-swap. See gates/shim.h for
 * contexts.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/cpu_entry_area.h>
#include <asm/pgtable.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

#include "shim.h"

static pud_t *dtrace_gates_pud;
static pmd_t *dtrace_gates_pmd;
static pte_t *dtrace_gates_pte;
static void *dtrace_gates_code;

/* The last slot that is free; none: NULL. */
static pud_t *dtrace_gates_slot(u64 *address)
{
	unsigned long base = CPU_ENTRY_AREA_BASE;
	p4d_t *p4d = p4d_offset(pgd_offset(current->active_mm, base), base);
	unsigned long slot;
	pud_t *pud;

	if (p4d_none(*p4d) || !p4d_present(*p4d))
		return NULL;
	for (slot = PTRS_PER_PUD - 1; slot; slot--) {
		pud = pud_offset(p4d, base + (slot << PUD_SHIFT));
		if (pud_none(*pud)) {
			*address = base + (slot << PUD_SHIFT);
			return pud;
		}
	}
	return NULL;
}

bool dtrace_gates_slot_is_free(void)
{
	return dtrace_gates_slot_address();
}

u64 dtrace_gates_slot_address(void)
{
	u64 address;

	return dtrace_gates_slot(&address) ? address : 0;
}

static void dtrace_gates_slot_free(void)
{
	free_page((unsigned long)dtrace_gates_pmd);
	free_page((unsigned long)dtrace_gates_pte);
	free_page((unsigned long)dtrace_gates_code);
}

/* The code is written where the kernel maps all memory, and has no other mapping that may be written. */
u64 dtrace_gates_slot_map(const void *code, void *counters, unsigned int pages)
{
	u64 address;
	pud_t *pud = dtrace_gates_slot(&address);
	unsigned int page;

	if (!pud || pages >= PTRS_PER_PTE)
		return 0;
	dtrace_gates_pmd = (pmd_t *)get_zeroed_page(GFP_KERNEL);
	dtrace_gates_pte = (pte_t *)get_zeroed_page(GFP_KERNEL);
	dtrace_gates_code = (void *)get_zeroed_page(GFP_KERNEL);
	if (!dtrace_gates_pmd || !dtrace_gates_pte || !dtrace_gates_code)
		goto fail;
	memcpy(dtrace_gates_code, code, PAGE_SIZE);
	set_pte(dtrace_gates_pte,
		pfn_pte(__pa(dtrace_gates_code) >> PAGE_SHIFT, PAGE_KERNEL_ROX));
	for (page = 0; page < pages; page++)
		set_pte(dtrace_gates_pte + 1 + page,
			pfn_pte(vmalloc_to_pfn(counters + page * PAGE_SIZE), PAGE_KERNEL));
	set_pmd(dtrace_gates_pmd, __pmd(__pa(dtrace_gates_pte) | _KERNPG_TABLE));
	/* Processors read it as soon as it is there, which the swap orders. */
	if (cmpxchg((pudval_t *)pud, 0, __pa(dtrace_gates_pmd) | _KERNPG_TABLE))
		goto fail;
	dtrace_gates_pud = pud;
	return address;
fail:
	dtrace_gates_slot_free();
	return 0;
}

/* Changing PGE flushes all translations, of all address spaces: Intel SDM volume 3, 4.10.4.1. */
static void dtrace_gates_flush(void *unused)
{
	unsigned long cr4 = __read_cr4();

	asm volatile("mov %0, %%cr4\n\tmov %1, %%cr4"
		     : : "r" (cr4 ^ X86_CR4_PGE), "r" (cr4) : "memory");
}

void dtrace_gates_slot_unmap(void)
{
	/* A CPU that comes online afterwards begins without translations. */
	cpus_read_lock();
	set_pud(dtrace_gates_pud, __pud(0));
	on_each_cpu(dtrace_gates_flush, NULL, 1);
	cpus_read_unlock();
	dtrace_gates_slot_free();
}
