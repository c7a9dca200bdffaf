# SPDX-License-Identifier: GPL-2.0
# xcall_stress.ko: storms of calls, on xcall.ko's public interface.
rust-modules += xcall_stress
module-xcall_stress-root := stress/kernel/stress_main
module-xcall_stress-crates := xcall_interface xcall_storm xcall_stress_protocol
module-xcall_stress-c := stress/kernel/shim.o
