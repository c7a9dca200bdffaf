#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In a guest, with xcall.ko and xcall_stress.ko loaded: the self-test, a storm, the sample if it is
# there; then all of them go.

cat /sys/kernel/debug/xcall/selftest >/tmp/selftest || exit
cat /tmp/selftest
tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || exit 3
stress guest --pattern mixed --seconds 3 || exit
if [ -e /modules/xcall_sample.ko ]; then
	insmod /modules/xcall_sample.ko || exit
	dmesg | grep 'xcall_sample: .*: ok, '
	rmmod xcall_sample || exit
fi
rmmod xcall_stress || exit
rmmod xcall || exit
! grep xcall /proc/modules
