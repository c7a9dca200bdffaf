#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Ioctls that make little sense, 100,000 of them (a million with --all): dtrace.ko answers each with a
# value or an errno, and keeps no memory of them.
# timeout: 900
# timeout-all: 7200

insmod /modules/dtrace.ko || exit
kilobytes() { awk '/^(Slab|VmallocUsed):/ { sum += $2 } END { print sum }' /proc/meminfo; }
calls=100000
[ "$all" ] && calls=1000000
dtrace-ioctl-fuzz 1000 7 >/dev/null || exit
before=$(kilobytes)
dtrace-ioctl-fuzz $calls 1 || exit
after=$(kilobytes)
echo "kernel memory: $before kB, then $after kB"
[ $((after - before)) -lt 8192 ] || { echo "it grew" >&2; exit 3; }
rmmod dtrace
