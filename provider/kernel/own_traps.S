/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Traps of our own, to show that they are taken and resumed: the die notifier knows
 * them by the addresses behind them.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/processor-flags.h>

	.section .noinstr.text, "ax"

SYM_FUNC_START(dtrace_own_int3)
	int3
SYM_INNER_LABEL(dtrace_own_int3_end, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
	RET
SYM_FUNC_END(dtrace_own_int3)

/* A trap flag that popf sets takes effect behind the next instruction. */
SYM_FUNC_START(dtrace_own_step)
	pushfq
	orq	$X86_EFLAGS_TF, (%rsp)
	popfq
	nop
SYM_INNER_LABEL(dtrace_own_step_end, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
	RET
SYM_FUNC_END(dtrace_own_step)

	.section .note.GNU-stack, "", %progbits
