#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Ioctls that make little sense, 25,000 of them (100,000 with --all), of two threads on the same files:
# dtrace.ko answers each with a value or an errno, holds nothing afterwards, and goes.
# timeout: 900
# timeout-all: 3600

fail() {
	echo "dtrace-ioctls: $*" >&2
	exit 3
}

insmod /modules/dtrace.ko || exit
kilobytes() { awk '/^(Slab|VmallocUsed):/ { sum += $2 } END { print sum }' /proc/meminfo; }
calls=25000
[ "$all" ] && calls=100000
dtrace-ioctl-fuzz 1000 7 >/dev/null || exit
before=$(kilobytes)
dtrace-ioctl-fuzz $calls 1 || exit
after=$(kilobytes)
for what in consumers held_bytes held_objects timers tracepoints memory_bytes; do
	echo "$what: $(cat /sys/module/dtrace/parameters/$what)"
done
# What the kernel counts, beside our own counters.
echo "kernel memory: $before kB, then $after kB"
[ $((after - before)) -lt 8192 ] || fail "it grew"
rmmod dtrace || fail "it stays"
dmesg | grep "dtrace: leaked" && fail "it leaked"
exit 0
