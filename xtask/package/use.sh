#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In a guest, with xcall.ko and xcall_stress.ko loaded: the self-test, a storm, the sample if it is
# there, dtrace.ko and the installed command; then all of them go.

cat /sys/kernel/debug/xcall/selftest >/tmp/selftest || exit
cat /tmp/selftest
tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || exit 3
stress guest --pattern mixed --seconds 3 || exit
if [ -e /modules/xcall_sample.ko ]; then
	insmod /modules/xcall_sample.ko || exit
	dmesg | grep 'xcall_sample: .*: ok, '
	rmmod xcall_sample || exit
fi
insmod /modules/dtrace.ko || exit
dtrace -V || exit
probes=$(dtrace -l -P syscall | grep -c ' syscall ')
echo "probes of system calls: $probes"
[ "$probes" -gt 2000 ] || exit 3
dtrace --json -n syscall:vmlinux:getppid:entry --record pid -o /tmp/records -c "calls getppid 50" || exit
records=$(grep -c '"type":"record"' /tmp/records)
echo "records of getppid: $records"
[ "$records" = $((50 * $(grep -c ^processor /proc/cpuinfo))) ] || exit 3
rm -f /tmp/printed
dtrace -q -n syscall:vmlinux:getppid:entry --printf '%s %d\n' execname,pid -o /tmp/printed -c "calls getppid 1" || exit
grep '^calls [0-9]*$' /tmp/printed || exit 3
rmmod dtrace || exit
rmmod xcall_stress || exit
rmmod xcall || exit
! grep xcall /proc/modules
