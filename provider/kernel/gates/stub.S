/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What hooked gates lead to. A stub counts and goes on to the kernel's own
 * handler. It runs before that has set up anything: GS, CR3 and what guards
 * against speculation may be user space's. So: no call, no indirect branch,
 * nothing that faults, one word of stack; and no probe may be put here, which
 * .noinstr.text sees to.
 *
 * The jump to the kernel's handler is a static call's trampoline, which is
 * written before the gate is.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/ibt.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

	.data
	.balign 8
/*
 * Counters: 256 bytes for each of 4,096 CPUs, a quad for each vector. Set before
 * a gate is hooked. Any number that COUNT_NATIVE makes is one of these.
 */
SYM_DATA(dtrace_gates_counters, .quad 0)

/*
 * The CPU's number is the lower 12 bits of a segment's limit, which the kernel
 * asks in its own entries too: neither GS nor RDPID, which KVM may have changed.
 */
.macro COUNT_NATIVE vector
	pushq	%rax
	movl	$__CPUNODE_SEG, %eax
	lsl	%eax, %eax
	andl	$VDSO_CPUNODE_MASK, %eax
	shll	$8, %eax
	addq	dtrace_gates_counters(%rip), %rax
	incq	(8 * \vector)(%rax)
	popq	%rax
.endm

/*
 * Under Xen GS is the kernel's when a handler is called (Linux's own rely on it),
 * and only the first CPU's segment has its number.
 */
.macro COUNT_XEN vector
	incq	PER_CPU_VAR(dtrace_gates_xen_counters + 8 * \vector)
.endm

/*
 * A trampoline as arch/x86/include/asm/static_call.h has it: a jump, and a mark
 * that is looked for and traps, to which the jump leads until it is written.
 */
.macro CHAIN
	.byte	0xe9
	.long	0
	.byte	0x0f, 0xb9, 0xcc
.endm

.macro STUB vector has_error_code=0
/* Natively: the processor's frame is on the stack. */
SYM_CODE_START(dtrace_gate_native_\vector)
	UNWIND_HINT_IRET_REGS offset=\has_error_code*8
	ENDBR
	COUNT_NATIVE \vector
.Lnative_chain_\vector:
	CHAIN
SYM_CODE_END(dtrace_gate_native_\vector)

/* Under Xen: rcx and r11 are on top of it, and Linux's handler wants them taken off. */
SYM_CODE_START(dtrace_gate_xen_\vector)
	UNWIND_HINT_IRET_REGS offset=16+\has_error_code*8
	ENDBR
	COUNT_XEN \vector
	popq	%rcx
	popq	%r11
.Lxen_chain_\vector:
	CHAIN
SYM_CODE_END(dtrace_gate_xen_\vector)
.endm

.macro ENTRY vector
	.quad	dtrace_gate_native_\vector
	.quad	.Lnative_chain_\vector - dtrace_gate_native_\vector
	.quad	dtrace_gate_xen_\vector
	.quad	.Lxen_chain_\vector - dtrace_gate_xen_\vector
.endm

.macro NONE count=1
	.fill	4 * \count, 8, 0
.endm

	.section .noinstr.text, "ax"
	STUB	0
	STUB	3
	STUB	4
	STUB	5
	STUB	6
	STUB	7
	STUB	9
	STUB	10, 1
	STUB	11, 1
	STUB	12, 1
	STUB	13, 1
	STUB	14, 1
	STUB	15
	STUB	16
	STUB	17, 1
	STUB	19
	STUB	21, 1

	.section .rodata
	.balign 8
/*
 * By vector: native stub, and how far into it its trampoline is; the same under
 * Xen; zeros: never hooked. gates/mod.rs says the same.
 */
SYM_DATA_START(dtrace_gates_stubs)
	ENTRY	0
	NONE	2
	ENTRY	3
	ENTRY	4
	ENTRY	5
	ENTRY	6
	ENTRY	7
	NONE
	ENTRY	9
	ENTRY	10
	ENTRY	11
	ENTRY	12
	ENTRY	13
	ENTRY	14
	ENTRY	15
	ENTRY	16
	ENTRY	17
	NONE
	ENTRY	19
	NONE
	ENTRY	21
	NONE	10
SYM_DATA_END(dtrace_gates_stubs)

	.section .note.GNU-stack, "", %progbits
