/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What gates ask of the kernel's headers. Context: a task, unless it says
 * otherwise; "any" includes NMI.
 */
#ifndef DTRACE_GATES_SHIM_H
#define DTRACE_GATES_SHIM_H

#include <linux/types.h>

struct seq_file;

const char *dtrace_gates_param(void);
bool dtrace_gates_param_unproven(void);
const char *dtrace_gates_param_pretend(void);
void dtrace_gates_lock(void);
void dtrace_gates_unlock(void);

/* ---- facts ---- */
bool dtrace_gates_is_xen_pv(void);
/* Whether CR4 says so; natively only. */
bool dtrace_gates_has_fred(void);
bool dtrace_gates_has_pti(void);
bool dtrace_gates_has_cx16(void);
bool dtrace_gates_has_symbols(void);
bool dtrace_gates_has_trained_returns(void);
u16 dtrace_gates_kernel_cs(void);
u8 dtrace_gates_cpu_selector(void);
/* The number that stubs see. Context: any, on one CPU. */
unsigned int dtrace_gates_cpu_number(void);
/* Where this CPU's table is, and its limit. Natively only. Context: any. */
void dtrace_gates_sidt(u64 *base, u16 *limit);

/* ---- symbols ---- */
/* "name+0xoffset/0xsize [module]", or "?"; good until the next one is asked for, with the lock held. */
const char *dtrace_gates_symbol(u64 address);
/* The address of a symbol, or 0. */
u64 dtrace_gates_lookup(const char *name);

/* ---- writing ---- */
/* A writable mapping of the page at an address of the kernel's, or NULL. */
void *dtrace_gates_alias(u64 address);
void dtrace_gates_unalias(void *alias);
/* 16 bytes at once, if they are the old ones. Context: any. */
bool dtrace_gates_exchange(void *gate, const void *old, const void *new);
/* Has a vector's trampoline lead to a function of the kernel's. */
void dtrace_gates_chain(unsigned int vector, u64 trampoline, u64 target);
/* Returns when every CPU has had interrupts on, or is offline. No CPU comes or goes meanwhile. */
void dtrace_gates_drain(void);
/* Zeroed pages. */
void *dtrace_gates_vzalloc(size_t size);
void dtrace_gates_vfree(const void *memory);
/* Context: any. */
void dtrace_gates_relax(void);

/* ---- the cpu_entry_area, with KPTI ---- */
bool dtrace_gates_slot_is_free(void);
/* Where the next is mapped; 0: there is no room. */
u64 dtrace_gates_slot_address(void);
/*
 * Maps a copy of a page there, read-only and to be run, and behind it pages of
 * dtrace_gates_vzalloc(). Returns where, or 0. One at a time.
 */
u64 dtrace_gates_slot_map(const void *code, void *counters, unsigned int pages);
/* And flushes every CPU's translations. */
void dtrace_gates_slot_unmap(void);

/* ---- Xen ---- */
/* Context: any, with interrupts off. */
int dtrace_gates_set_trap_table(const void *traps);
/* A CPU's counters, by vector; NULL: there cannot be one of that number below nr_cpu_ids. Context: any. */
u64 *dtrace_gates_xen_counters_of(unsigned int cpu);
/* Has Linux register that table anew. Context: as above, not NMI. */
void dtrace_gates_load_idt(u64 table);

/* ---- CPUs that come and go ---- */
/* 0, or what dtrace_gates_cpu_online() answered on the CPU that failed. */
int dtrace_gates_cpuhp_setup(void);
void dtrace_gates_cpuhp_remove(void);

/* ---- debugfs ---- */
void dtrace_gates_debugfs_create(void);
void dtrace_gates_debugfs_remove(void);
int dtrace_gates_seq_write(struct seq_file *m, const void *text, size_t len);

/* ---- in Rust ---- */
void dtrace_gates_show(struct seq_file *m);
/* What was written to the file: 0 or an errno. */
int dtrace_gates_written(const char *text, size_t length);
/* On that CPU, with interrupts on. */
int dtrace_gates_cpu_online(unsigned int cpu);
int dtrace_gates_cpu_offline(unsigned int cpu);

#endif
