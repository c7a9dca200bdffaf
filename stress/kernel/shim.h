/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What xcall_stress.ko's Rust side asks of the kernel's headers. Context: any,
 * unless it says otherwise; "task" means that it may sleep.
 */
#ifndef XCALL_STRESS_SHIM_H
#define XCALL_STRESS_SHIM_H

#include <linux/types.h>

/* ---- this CPU ---- */
unsigned int xcall_stress_shim_smp_processor_id(void);
bool xcall_stress_shim_in_nmi(void);
unsigned long xcall_stress_shim_local_irq_save(void);
void xcall_stress_shim_local_irq_restore(unsigned long flags);
u64 xcall_stress_shim_now_ns(void);
void xcall_stress_shim_cpu_relax(void);

/* ---- task ---- */
void xcall_stress_shim_breathe(void);
void xcall_stress_shim_msleep(unsigned int ms);
bool xcall_stress_shim_capable(void);
void xcall_stress_shim_lock(void);
void xcall_stress_shim_unlock(void);
void xcall_stress_shim_online_cpus(unsigned long *words, unsigned int count);
void xcall_stress_shim_symbol(char *name, size_t size, const void *address);

/* A thread on cpu that runs xcall_stress_thread(seat); NULL: none could be made. */
void *xcall_stress_shim_start_thread(unsigned int cpu, void *seat);
/* Waits until it has returned. */
void xcall_stress_shim_stop_thread(void *thread);

/* ---- NMIs of our own ---- */
int xcall_stress_shim_register_nmi_handler(void);
void xcall_stress_shim_unregister_nmi_handler(void);
/* From a task. */
void xcall_stress_shim_send_nmi(unsigned int cpu);

/* ---- in Rust ---- */
int xcall_stress_thread(void *seat);
/* Whether this NMI was ours: NMI_HANDLED or NMI_DONE. */
int xcall_stress_nmi_local(void);

#endif
