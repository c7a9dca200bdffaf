// SPDX-License-Identifier: GPL-2.0
//! gates/shim.h and stub.S, for Rust. Contexts are told there.

use super::Stub;
use core::sync::atomic::AtomicU64;
use kernel::prelude::*;

extern "C" {
    pub(super) static dtrace_gates_counters: AtomicU64;
    pub(super) static dtrace_gates_stubs: [Stub; dtrace_gates::trampoline::STUBS];

    pub(super) fn dtrace_gates_param() -> *const c_char;
    pub(super) fn dtrace_gates_param_unproven() -> bool;
    pub(super) fn dtrace_gates_param_pretend() -> *const c_char;
    pub(super) fn dtrace_gates_lock();
    pub(super) fn dtrace_gates_unlock();

    pub(super) fn dtrace_gates_is_xen_pv() -> bool;
    pub(super) fn dtrace_gates_has_fred() -> bool;
    pub(super) fn dtrace_gates_has_pti() -> bool;
    pub(super) fn dtrace_gates_has_cx16() -> bool;
    pub(super) fn dtrace_gates_has_symbols() -> bool;
    pub(super) fn dtrace_gates_has_trained_returns() -> bool;
    pub(super) fn dtrace_gates_kernel_cs() -> u16;
    pub(super) fn dtrace_gates_cpu_selector() -> u8;
    pub(super) fn dtrace_gates_cpu_number() -> c_uint;
    pub(super) fn dtrace_gates_sidt(base: *mut u64, limit: *mut u16);

    pub(super) fn dtrace_gates_symbol(address: u64) -> *const c_char;
    pub(super) fn dtrace_gates_lookup(name: *const c_char) -> u64;

    pub(super) fn dtrace_gates_alias(address: u64) -> *mut c_void;
    pub(super) fn dtrace_gates_unalias(alias: *mut c_void);
    pub(super) fn dtrace_gates_exchange(
        gate: *mut c_void,
        old: *const c_void,
        new: *const c_void,
    ) -> bool;
    pub(super) fn dtrace_gates_chain(vector: c_uint, trampoline: u64, target: u64);
    pub(super) fn dtrace_gates_drain();
    pub(super) fn dtrace_gates_vzalloc(size: usize) -> *mut c_void;
    pub(super) fn dtrace_gates_vfree(memory: *const c_void);
    pub(super) fn dtrace_gates_relax();

    pub(super) fn dtrace_gates_slot_is_free() -> bool;
    pub(super) fn dtrace_gates_slot_address() -> u64;
    pub(super) fn dtrace_gates_slot_map(
        code: *const c_void,
        counters: *mut c_void,
        pages: c_uint,
    ) -> u64;
    pub(super) fn dtrace_gates_slot_unmap();

    pub(super) fn dtrace_gates_set_trap_table(traps: *const c_void) -> c_int;
    pub(super) fn dtrace_gates_xen_counters_of(cpu: c_uint) -> *mut u64;
    pub(super) fn dtrace_gates_load_idt(table: u64);

    pub(super) fn dtrace_gates_cpuhp_setup() -> c_int;
    pub(super) fn dtrace_gates_cpuhp_remove();

    pub(super) fn dtrace_gates_debugfs_create();
    pub(super) fn dtrace_gates_debugfs_remove();
    pub(super) fn dtrace_gates_seq_write(m: *mut c_void, text: *const c_void, len: usize) -> c_int;
}
