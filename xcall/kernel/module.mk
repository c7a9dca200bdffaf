# SPDX-License-Identifier: GPL-2.0
# xcall.ko: the engine's crate, its kernel glue in Rust, and the C shim.
rust-modules += xcall
module-xcall-root := xcall/kernel/xcall_main
module-xcall-crates := xcall xcall_interface crossbeam_utils static_assertions xen_sys
module-xcall-c := xcall/kernel/shim.o xcall/kernel/shim_xen.o \
	xcall/kernel/shim_debugfs.o xcall/kernel/export.o

# make XCALL_WITHOUT="XEN DEBUGFS": as if the kernel had not those optional APIs, see compat.h.
xcall-apis := NMI_IPI NMI_HANDLER KALLSYMS DEBUGFS XEN XEN_EVENT_CHANNEL XEN_NMI XEN_RESUME
ifneq ($(filter-out $(xcall-apis),$(XCALL_WITHOUT)),)
$(error xcall: XCALL_WITHOUT=$(XCALL_WITHOUT): the optional APIs are $(xcall-apis))
endif
ccflags-y += $(addprefix -DXCALL_WITHOUT_,$(XCALL_WITHOUT))

# How compat.h registers for what comes first after a suspend: no version tells.
xcall-syscore := $(shell grep -sw register_syscore $(srctree)/include/linux/syscore_ops.h)
ccflags-y += $(if $(xcall-syscore),-DXCALL_HAVE_REGISTER_SYSCORE)

# Probes make calls: none may be put into the shim.
$(foreach object,$(module-xcall-c),$(eval CFLAGS_REMOVE_$(object) := $(CC_FLAGS_FTRACE)))
