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
void xcall_stress_shim_cpu_relax(void);

/* ---- task ---- */
void xcall_stress_shim_breathe(void);
void xcall_stress_shim_msleep(unsigned int ms);
bool xcall_stress_shim_capable(void);
void xcall_stress_shim_lock(void);
void xcall_stress_shim_unlock(void);
void xcall_stress_shim_online_cpus(unsigned long *words, unsigned int count);
void xcall_stress_shim_symbol(char *name, size_t size, const void *address);

/* A thread on each CPU that is or comes online, which calls xcall_stress_run(). */
int xcall_stress_shim_register_threads(void);
/* Waits until they have returned. */
void xcall_stress_shim_unregister_threads(void);
/* In one of those: it is to return, its CPU goes offline. */
bool xcall_stress_shim_should_park(void);

/* ---- NMIs of our own ---- */
/* Whether this kernel lets modules send and hear them. */
bool xcall_stress_shim_has_nmis(void);
int xcall_stress_shim_register_nmi_handler(void);
void xcall_stress_shim_unregister_nmi_handler(void);
/* From a task. */
void xcall_stress_shim_send_nmi(unsigned int cpu);

/* ---- in Rust ---- */
int xcall_stress_should_run(unsigned int cpu);
void xcall_stress_run(unsigned int cpu);
/* Whether this NMI was ours: NMI_HANDLED or NMI_DONE. */
int xcall_stress_nmi_local(void);

#endif
