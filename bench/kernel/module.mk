# SPDX-License-Identifier: GPL-2.0
# xcall_bench.ko: xcall beside the kernel's own cross-calls. C only; it takes xcall's functions when it
# needs them, so that it can also measure a kernel without xcall.
obj-m += xcall_bench.o
xcall_bench-y := bench/kernel/bench_main.o bench/kernel/run.o bench/kernel/ways.o
