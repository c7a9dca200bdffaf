# SPDX-License-Identifier: GPL-2.0
# xcall.ko: the engine's crate, its kernel glue in Rust, and the C shim.
rust-modules += xcall
module-xcall-root := xcall/kernel/xcall_main
module-xcall-crates := xcall xcall_interface crossbeam_utils static_assertions xen_sys
module-xcall-c := xcall/kernel/shim.o xcall/kernel/shim_xen.o \
	xcall/kernel/shim_debugfs.o xcall/kernel/export.o

# Probes make calls: none may be put into the shim.
$(foreach object,$(module-xcall-c),$(eval CFLAGS_REMOVE_$(object) := $(CC_FLAGS_FTRACE)))
