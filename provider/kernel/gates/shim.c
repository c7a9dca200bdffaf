// SPDX-License-Identifier: GPL-2.0
/* See gates/shim.h for contexts. compat.h stands first: it may take debugfs away. */
#include "../../../xcall/kernel/compat.h"
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/debugfs.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/pgtable.h>
#include <asm/processor.h>
#include <asm/segment.h>

#include "shim.h"

static char *gates;
module_param(gates, charp, 0444);
MODULE_PARM_DESC(gates, "Exceptions whose gates in the IDT are hooked and counted: all, none, or names with commas between them (default: none)");

const char *dtrace_gates_param(void)
{
	return gates;
}

static bool gates_unproven;
module_param(gates_unproven, bool, 0444);
MODULE_PARM_DESC(gates_unproven, "Write gates in ways that were not run on a kernel yet: for tests (default: off)");

bool dtrace_gates_param_unproven(void)
{
	return gates_unproven;
}

static char *gates_pretend;
module_param(gates_pretend, charp, 0444);
MODULE_PARM_DESC(gates_pretend, "What the machine lacks, for tests: fred, no-free-slot, no-cmpxchg16b, no-kallsyms; or what goes wrong: unseen, left, refused (default: nothing)");

const char *dtrace_gates_param_pretend(void)
{
	return gates_pretend;
}

static DEFINE_MUTEX(dtrace_gates_mutex);

void dtrace_gates_lock(void)
{
	mutex_lock(&dtrace_gates_mutex);
}

void dtrace_gates_unlock(void)
{
	mutex_unlock(&dtrace_gates_mutex);
}

/* ---- facts ---------------------------------------------------------------------------- */

bool dtrace_gates_is_xen_pv(void)
{
	return boot_cpu_has(X86_FEATURE_XENPV);
}

/* X86_CR4_FRED, since Linux 6.9; earlier ones do not turn it on. */
bool dtrace_gates_has_fred(void)
{
	return __read_cr4() & (1UL << 32);
}

bool dtrace_gates_has_pti(void)
{
	return boot_cpu_has(X86_FEATURE_PTI);
}

bool dtrace_gates_has_cx16(void)
{
	return boot_cpu_has(X86_FEATURE_CX16);
}

bool dtrace_gates_has_symbols(void)
{
	return XCALL_COMPAT_KALLSYMS;
}

/* Intel's Retbleed is about returns without a call before them: not ours. */
bool dtrace_gates_has_trained_returns(void)
{
	return boot_cpu_data.x86_vendor != X86_VENDOR_INTEL &&
	       (boot_cpu_has_bug(X86_BUG_RETBLEED) || boot_cpu_has_bug(X86_BUG_SRSO));
}

u16 dtrace_gates_kernel_cs(void)
{
	return __KERNEL_CS;
}

u8 dtrace_gates_cpu_selector(void)
{
	BUILD_BUG_ON(__CPUNODE_SEG > 0xff || VDSO_CPUNODE_MASK != 0xfff);
	return __CPUNODE_SEG;
}

noinstr unsigned int dtrace_gates_cpu_number(void)
{
	unsigned int limit = __CPUNODE_SEG;

	asm volatile("lsl %0, %0" : "+r" (limit) : : "cc");
	return limit & VDSO_CPUNODE_MASK;
}

noinstr void dtrace_gates_sidt(u64 *base, u16 *limit)
{
	struct desc_ptr table;

	asm volatile("sidt %0" : "=m" (table));
	*base = table.address;
	*limit = table.size;
}

/* ---- symbols -------------------------------------------------------------------------- */

const char *dtrace_gates_symbol(u64 address)
{
	static char text[KSYM_SYMBOL_LEN];

	return xcall_compat_sprint_symbol(text, address) > 0 ? text : "?";
}

/* It fails for data, and has found the address by then. */
u64 dtrace_gates_lookup(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	int ret = register_kprobe(&probe);

	if (!ret)
		unregister_kprobe(&probe);
	return IS_ERR_OR_NULL(probe.addr) ? 0 : (unsigned long)probe.addr;
}

/* ---- writing -------------------------------------------------------------------------- */

void *dtrace_gates_alias(u64 address)
{
	unsigned int level;
	pte_t *pte = lookup_address(address, &level);
	struct page *page;

	if (!pte || level != PG_LEVEL_4K || !pte_present(*pte) || !pfn_valid(pte_pfn(*pte)))
		return NULL;
	page = pte_page(*pte);
	return vmap(&page, 1, VM_MAP, PAGE_KERNEL);
}

void dtrace_gates_unalias(void *alias)
{
	vunmap(alias);
}

noinstr bool dtrace_gates_exchange(void *gate, const void *old, const void *new)
{
	u64 low = ((const u64 *)old)[0], high = ((const u64 *)old)[1];
	bool done;

	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz" (done), "+m" (*(u64 (*)[2])gate), "+a" (low), "+d" (high)
		     : "b" (((const u64 *)new)[0]), "c" (((const u64 *)new)[1])
		     : "memory");
	return done;
}

static struct static_call_key dtrace_gates_keys[32];

void dtrace_gates_chain(unsigned int vector, u64 trampoline, u64 target)
{
	__static_call_update(&dtrace_gates_keys[vector], (void *)trampoline, (void *)target);
}

static void dtrace_gates_nothing(void *unused)
{
}

/*
 * on_each_cpu() asks CPUs that are online. With the lock none is on its way: one
 * that is offline is past its last instruction of Linux's, so past any stub, and
 * begins anew when it comes back.
 */
void dtrace_gates_drain(void)
{
	cpus_read_lock();
	on_each_cpu(dtrace_gates_nothing, NULL, 1);
	cpus_read_unlock();
}

void *dtrace_gates_vzalloc(size_t size)
{
	return vzalloc(size);
}

void dtrace_gates_vfree(const void *memory)
{
	vfree(memory);
}

noinstr void dtrace_gates_relax(void)
{
	cpu_relax();
}

/* ---- CPUs that come and go ------------------------------------------------------------ */

static int dtrace_gates_hp_state;

int dtrace_gates_cpuhp_setup(void)
{
	int ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "dtrace/gates:online",
				    dtrace_gates_cpu_online, dtrace_gates_cpu_offline);

	dtrace_gates_hp_state = ret;
	return ret < 0 ? ret : 0;
}

void dtrace_gates_cpuhp_remove(void)
{
	cpuhp_remove_state(dtrace_gates_hp_state);
}

/* ---- debugfs -------------------------------------------------------------------------- */

int dtrace_gates_seq_write(struct seq_file *m, const void *text, size_t len)
{
	return seq_write(m, text, len);
}

static int gates_show(struct seq_file *m, void *unused)
{
	dtrace_gates_show(m);
	return 0;
}

static int gates_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, gates_show, NULL, 4 * PAGE_SIZE);
}

static ssize_t gates_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	char text[512];
	int ret;

	if (size > sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	ret = dtrace_gates_written(text, size);
	return ret ? ret : size;
}

static const struct file_operations gates_fops = {
	.owner = THIS_MODULE,
	.open = gates_open,
	.read = seq_read,
	.write = gates_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static struct dentry *dtrace_gates_debugfs;

/* Without debugfs these do nothing; its errors need no check, says its documentation. */
void dtrace_gates_debugfs_create(void)
{
	dtrace_gates_debugfs = debugfs_create_dir("dtrace", NULL);
	debugfs_create_file("gates", 0600, dtrace_gates_debugfs, NULL, &gates_fops);
}

void dtrace_gates_debugfs_remove(void)
{
	debugfs_remove(dtrace_gates_debugfs);
}
