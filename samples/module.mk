# SPDX-License-Identifier: GPL-2.0
# xcall_sample.ko, beside the modules it is a sample for.
obj-m += samples/xcall_sample.o
CFLAGS_samples/xcall_sample.o := -I$(src)/xcall/kernel/include
