// SPDX-License-Identifier: GPL-2.0
//! shim.h, for Rust. Contexts are told there.

use kernel::prelude::*;

/// Bytes of a task's name, with its NUL.
pub(crate) const COMM: usize = 16;

/// For `dtrace_shim_timer_start`: wherever.
pub(crate) const ANY_CPU: c_uint = c_uint::MAX;

extern "C" {
    pub(crate) fn dtrace_shim_smp_processor_id() -> c_uint;
    pub(crate) fn dtrace_shim_nr_cpu_ids() -> c_uint;
    pub(crate) fn dtrace_shim_local_irq_save() -> c_ulong;
    pub(crate) fn dtrace_shim_local_irq_restore(flags: c_ulong);

    pub(crate) fn dtrace_shim_capable() -> bool;
    pub(crate) fn dtrace_shim_locked_down() -> c_int;
    pub(crate) fn dtrace_shim_in_compat_syscall() -> bool;
    pub(crate) fn dtrace_shim_is_killed() -> bool;
    pub(crate) fn dtrace_shim_lock();
    pub(crate) fn dtrace_shim_unlock();
    pub(crate) fn dtrace_shim_cpus_read_lock();
    pub(crate) fn dtrace_shim_cpus_read_unlock();
    pub(crate) fn dtrace_shim_cpu_online(cpu: c_uint) -> bool;
    pub(crate) fn dtrace_shim_msleep(ms: c_uint);
    pub(crate) fn dtrace_shim_kvzalloc(size: usize) -> *mut c_void;
    pub(crate) fn dtrace_shim_kvfree(memory: *const c_void);

    pub(crate) fn dtrace_shim_current() -> u64;
    pub(crate) fn dtrace_shim_tgid() -> u32;
    pub(crate) fn dtrace_shim_pid() -> u32;
    pub(crate) fn dtrace_shim_ppid() -> u32;
    pub(crate) fn dtrace_shim_uid() -> u32;
    pub(crate) fn dtrace_shim_gid() -> u32;
    pub(crate) fn dtrace_shim_is_progeny(tgid: u32, generations: c_uint) -> bool;
    pub(crate) fn dtrace_shim_in_interrupt() -> bool;
    pub(crate) fn dtrace_shim_start_time() -> u64;
    pub(crate) fn dtrace_shim_runtime() -> u64;
    pub(crate) fn dtrace_shim_comm(comm: *mut u8);
    pub(crate) fn dtrace_shim_walltimestamp() -> u64;

    pub(crate) fn dtrace_shim_copy_from_kernel(to: *mut c_void, from: u64, size: c_ulong)
        -> c_long;
    pub(crate) fn dtrace_shim_copy_from_user(to: *mut c_void, from: u64, size: c_ulong) -> c_long;
    pub(crate) fn dtrace_shim_stack(addresses: *mut u64, count: c_uint) -> c_uint;
    pub(crate) fn dtrace_shim_is_own(address: u64) -> bool;
    pub(crate) fn dtrace_shim_this_chip() -> u32;
    pub(crate) fn dtrace_shim_this_node() -> u32;
    pub(crate) fn dtrace_shim_user_register(number: u64, value: *mut u64) -> bool;
    pub(crate) fn dtrace_shim_user_frame(pc: *mut u64, frame: *mut u64);

    pub(crate) fn dtrace_shim_syscall_name(abi: c_uint, number: c_uint) -> *const u8;
    pub(crate) fn dtrace_shim_sys_enter_register() -> c_int;
    pub(crate) fn dtrace_shim_sys_exit_register() -> c_int;
    pub(crate) fn dtrace_shim_sys_enter_unregister();
    pub(crate) fn dtrace_shim_sys_exit_unregister();

    pub(crate) fn dtrace_shim_idt_frame(regs: *const c_void, frame: *mut dtrace_idt::Frame);
    pub(crate) fn dtrace_shim_xen_pv() -> bool;
    pub(crate) fn dtrace_shim_idt_has(source: c_uint) -> bool;
    pub(crate) fn dtrace_shim_idt_register(source: c_uint) -> c_int;
    pub(crate) fn dtrace_shim_idt_unregister(source: c_uint);
    pub(crate) fn dtrace_shim_idt_end_steps(regs: *mut c_void, dr6: c_long);
    pub(crate) fn dtrace_shim_idt_own_int3() -> u64;
    pub(crate) fn dtrace_shim_idt_own_step() -> u64;
    pub(crate) fn dtrace_shim_idt_own_traps();

    pub(crate) fn dtrace_shim_timer_start(cpu: c_uint, probe: u32, period_ns: u64) -> c_int;
    pub(crate) fn dtrace_shim_timers_stop(probe: u32);
    pub(crate) fn dtrace_shim_timers_follow_cpus() -> c_int;
    pub(crate) fn dtrace_shim_timers_leave_cpus(state: c_int);

    pub(crate) fn dtrace_shim_param_deadman_ms() -> c_uint;
    pub(crate) fn dtrace_shim_deadman_arm(ms: c_uint);
    pub(crate) fn dtrace_shim_deadman_stop();
    pub(crate) fn dtrace_shim_cleaner_arm(ms: c_uint);
    pub(crate) fn dtrace_shim_cleaner_stop();
}
