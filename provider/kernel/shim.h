/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What dtrace.ko's Rust side asks of the kernel's headers. Context: any, NMI
 * included, unless it says otherwise; "task" means that it may sleep.
 */
#ifndef DTRACE_SHIM_H
#define DTRACE_SHIM_H

#include <linux/types.h>

struct kernel_param;
struct tracepoint;

/* ---- parameters ---- */
/*
 * For those that are read only: a mode without w keeps sysfs from writing, not
 * insmod and the kernel's command line, which call it unasked. -EPERM.
 */
int dtrace_shim_set_nothing(const char *value, const struct kernel_param *param);

/* ---- this CPU ---- */
unsigned int dtrace_shim_smp_processor_id(void);
unsigned int dtrace_shim_nr_cpu_ids(void);
unsigned long dtrace_shim_local_irq_save(void);
void dtrace_shim_local_irq_restore(unsigned long flags);

/* ---- tasks ---- */
bool dtrace_shim_capable(void);
/* 0, or what kernel lockdown answers to reading kernel memory: -EPERM. */
int dtrace_shim_locked_down(void);
bool dtrace_shim_in_compat_syscall(void);
/* Whether a signal has come that ends the process. */
bool dtrace_shim_is_killed(void);
void dtrace_shim_lock(void);
void dtrace_shim_unlock(void);
void dtrace_shim_cpus_read_lock(void);
void dtrace_shim_cpus_read_unlock(void);
bool dtrace_shim_cpu_online(unsigned int cpu);
void dtrace_shim_msleep(unsigned int ms);
/*
 * Zeroed; aligned to its size where that is a power of two, up to a page. It
 * never faults, from whatever context it is read. NULL: no memory.
 */
void *dtrace_shim_kvzalloc(size_t size);
void dtrace_shim_kvfree(const void *memory);

/* ---- the current task ---- */
u64 dtrace_shim_current(void);
u32 dtrace_shim_tgid(void);
u32 dtrace_shim_pid(void);
/* 0: it was reaped already, and is still on its way out. */
u32 dtrace_shim_ppid(void);
u32 dtrace_shim_uid(void);
u32 dtrace_shim_gid(void);
/* Whether it is that task, or one of its ancestors up to that generation is. */
bool dtrace_shim_is_progeny(u32 tgid, unsigned int generations);
/* Whether an interrupt or NMI has come on top of it. */
bool dtrace_shim_in_interrupt(void);
/* When it began, in nanoseconds of the monotonic clock. */
u64 dtrace_shim_start_time(void);
/* How long it ran on a CPU, in nanoseconds, as of the scheduler's last look. */
u64 dtrace_shim_runtime(void);
#define DTRACE_SHIM_COMM	16
/* DTRACE_SHIM_COMM bytes, ended by a NUL. */
void dtrace_shim_comm(char *comm);
u64 dtrace_shim_walltimestamp(void);

/* ---- memory that may not be there: 0 or -EFAULT ---- */
long dtrace_shim_copy_from_kernel(void *to, u64 from, unsigned long size);
long dtrace_shim_copy_from_user(void *to, u64 from, unsigned long size);
/* Return addresses from the caller on, in the kernel; how many. */
unsigned int dtrace_shim_stack(unsigned long *addresses, unsigned int count);
/* Whether it is an address of dtrace.ko's code or data. */
bool dtrace_shim_is_own(u64 address);

/*
 * Where the current task's user code stands: its next instruction and its frame
 * pointer. Zeros: it has none.
 */
void dtrace_shim_user_frame(u64 *pc, u64 *frame);

/*
 * Word number of the current task's struct pt_regs as it left user code: false if there
 * is no such word, or no user code.
 */
bool dtrace_shim_user_register(u64 number, u64 *value);

/* ---- where this CPU is ---- */
u32 dtrace_shim_this_chip(void);
u32 dtrace_shim_this_node(void);

/* ---- system calls ---- */
/* By the number of an ABI (native, ia32, x32) and a call's in it; NULL: none. */
const char *dtrace_shim_syscall_name(unsigned int abi, unsigned int number);
/* Tracepoints by the names they have in the kernel; task. */
int dtrace_shim_sys_enter_register(void);
int dtrace_shim_sys_exit_register(void);
/* No probe runs any more when they return. */
void dtrace_shim_sys_enter_unregister(void);
void dtrace_shim_sys_exit_unregister(void);

/* ---- timers; task, one caller at a time ---- */
#define DTRACE_SHIM_ANY_CPU	(~0u)
/*
 * Makes a timer of a probe that fires each period_ns: on one CPU, as often as that is
 * online; or wherever. CPUs held. 0 or -ENOMEM.
 */
int dtrace_shim_timer_start(unsigned int cpu, u32 probe, u64 period_ns);
/* Stops all timers of a probe; none fires any more when this returns. */
void dtrace_shim_timers_stop(u32 probe);
/* Timers end with their CPU and begin anew with it; a number to end that, or an errno. */
int dtrace_shim_timers_follow_cpus(void);
void dtrace_shim_timers_leave_cpus(int state);

/* ---- the deadman; task ---- */
unsigned int dtrace_shim_param_deadman_ms(void);
/* Has dtrace_deadman_due() called once, so much later. */
void dtrace_shim_deadman_arm(unsigned int ms);
/* Waits for it; it may arm anew, and is not called any more all the same. */
void dtrace_shim_deadman_stop(void);

/* ---- the cleaner of variables; task ---- */
/* Has dtrace_cleaner_due() called once, so much later. */
void dtrace_shim_cleaner_arm(unsigned int ms);
/* Returns when it is not called any more. */
void dtrace_shim_cleaner_stop(void);

/* ---- exceptions and interrupts ---- */
/* dtrace_idt's Frame. */
struct dtrace_idt_frame {
	u64 ip, sp, flags, cs, user;
};
void dtrace_shim_idt_frame(const struct pt_regs *regs, struct dtrace_idt_frame *frame);
bool dtrace_shim_xen_pv(void);
/* A source by its number in dtrace_idt; task, as the next two. */
bool dtrace_shim_idt_has(unsigned int source);
/* 0 or an errno; it calls from now on. */
int dtrace_shim_idt_register(unsigned int source);
/* It calls no more when this returns. */
void dtrace_shim_idt_unregister(unsigned int source);
/* Has a single step be the last: of the registers and DR6 that a debug exception came with. */
void dtrace_shim_idt_end_steps(struct pt_regs *regs, long dr6);
/* Behind our own int3, and behind our own instruction that is stepped. */
u64 dtrace_shim_idt_own_int3(void);
u64 dtrace_shim_idt_own_step(void);
/* One of each; task, with the die notifier registered, or they are the kernel's end. */
void dtrace_shim_idt_own_traps(void);

/* ---- in Rust: exceptions and interrupts, with preemption off ---- */
void dtrace_idt_page_fault(const struct pt_regs *regs, u64 address, u64 error);
/* Of the die notifier; whether the trap is over. dr6 is where it lies. */
bool dtrace_idt_int3(struct pt_regs *regs);
bool dtrace_idt_debug(struct pt_regs *regs, long dr6, u64 reasons);
void dtrace_idt_trap(const struct pt_regs *regs, u64 trap, u64 error);
/* Sent to the current task, with what thread_struct notes of its last trap. */
void dtrace_idt_signal(const struct pt_regs *regs, s32 number, s32 code, u64 trap, u64 error);
void dtrace_idt_nmi(const struct pt_regs *regs);
void dtrace_idt_interrupt(u64 source, u64 vector);

/* ---- in Rust: our own traps; task ---- */
int dtrace_idt_make_own_traps(u32 count);
/* Any context, as the next one. */
u64 dtrace_idt_own_traps_ended(void);
u32 dtrace_idt_hooks(void);
/* A probe and its sources, or why it is not there, as a line of text; how long it is, 0: no such line. */
size_t dtrace_idt_line(unsigned int number, char *text, size_t size);

/* ---- in Rust: the cleaner, in a task ---- */
void dtrace_cleaner_due(void);

/* ---- in Rust: the deadman, in a task ---- */
void dtrace_deadman_due(void);

/* ---- in Rust: a timer, in hard interrupt context ---- */
/* Where the interrupt came: in the kernel or in user space, the other is 0. */
void dtrace_timer_fired(u32 probe, u64 pc, u64 user_pc);

/* ---- in Rust: system calls ---- */
/* The probe that is to fire, or 0. In the task whose call it is. */
u32 dtrace_sys_enter(s64 id, bool ia32, u64 task);
/* Fires it, with interrupts off, on that CPU and in that process. */
void dtrace_enter(u32 probe, unsigned int cpu, u32 tgid, u64 arg0, u64 arg1, u64 arg2,
		  u64 arg3, u64 arg4, u64 arg5);
/* With preemption off. */
void dtrace_sys_exit(s64 value, u64 task);
/* 0: returns without an entry; else entries without a place. Any context. */
u64 dtrace_syscall_loss(unsigned long which);


/* ---- in Rust: what is held; task ---- */
/* 0: consumers; 1, 2: their bytes, allocations; 3: all bytes. */
u64 dtrace_held(unsigned long which);

#endif
