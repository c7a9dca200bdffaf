# SPDX-License-Identifier: GPL-2.0
# xcall.ko: the engine's crate, its kernel glue in Rust, and the C shim.
rust-modules += xcall
xcall-root := xcall/kernel/xcall_main
xcall-crates := xcall crossbeam_utils xen_sys
xcall-c := xcall/kernel/shim.o
