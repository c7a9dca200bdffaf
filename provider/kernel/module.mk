# SPDX-License-Identifier: GPL-2.0
# dtrace.ko: the framework's crates, their kernel glue in Rust, and the C shim.
rust-modules += dtrace
module-dtrace-root := provider/kernel/dtrace_main
module-dtrace-crates := xcall_interface dtrace_interface dof dif dtrace_provider dtrace_program \
	dtrace_profile dtrace_syscall dtrace_idt dtrace_gates static_assertions xen_sys
module-dtrace-c := provider/kernel/shim.o provider/kernel/shim_syscall.o provider/kernel/shim_timer.o \
	provider/kernel/shim_deadman.o provider/kernel/shim_cleaner.o \
	provider/kernel/shim_held.o provider/kernel/shim_idt.o \
	provider/kernel/gates/shim.o provider/kernel/gates/shim_slot.o provider/kernel/gates/shim_xen.o \
	provider/kernel/gates/stub.o

# The system calls of the kernel that is built for, by its own headers: lines of [number] = "name".
# The words in brackets are x32's, __X32_SYSCALL_BIT + number.
dtrace-syscall-tables := $(addprefix provider/kernel/syscalls_,64.h 32.h x32.h)
quiet_cmd_dtrace_syscalls = GEN     $@
      cmd_dtrace_syscalls = sed -n -e '/^\#define __NR_syscalls[[:space:]]/d' \
	-e 's/^\#define __NR_\([a-z0-9_]*\)[[:space:]]*(\{0,1\}\(__X32_SYSCALL_BIT + \)\{0,1\}\([0-9]*\))\{0,1\}$$/\t[\3] = "\1",/p' $< > $@

$(obj)/provider/kernel/syscalls_%.h: $(objtree)/arch/x86/include/generated/uapi/asm/unistd_%.h FORCE
	$(call if_changed,dtrace_syscalls)
targets += $(dtrace-syscall-tables)
clean-files += $(dtrace-syscall-tables)

CFLAGS_provider/kernel/shim_syscall.o := -I$(obj)/provider/kernel
$(obj)/provider/kernel/shim_syscall.o: $(addprefix $(obj)/,$(dtrace-syscall-tables))

# What probes run: none may be put into the shim.
$(foreach object,$(module-dtrace-c),$(eval CFLAGS_REMOVE_$(object) := $(CC_FLAGS_FTRACE)))
