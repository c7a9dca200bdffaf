#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# CPUs that idle by polling run the maskable IPI's function from their idle loop, not in an interrupt:
# ordinary calls to them must run all the same. Here the CPUs called are idle.
# append: idle=poll

grep -q 'idle=poll' /proc/cmdline || exit 3
for round in $(seq 10); do
	insmod /modules/xcall_sample.ko || { dmesg | grep xcall_sample: | tail -n 3; exit 3; }
	rmmod xcall_sample || exit
done
dmesg | grep 'xcall_sample: ' | tail -n 8
cat /sys/kernel/debug/xcall/selftest >/tmp/selftest
tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || { cat /tmp/selftest; exit 3; }
