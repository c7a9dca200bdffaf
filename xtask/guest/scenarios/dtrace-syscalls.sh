#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every system call of this kernel fires its probes: each is made once, by 64-bit code, by `int $0x80` and
# as x32, with arguments that do no harm, and what is recorded of each process is just what it did. Debian
# builds x32 into its kernels and has it switched on at boot.
# platform: native
# also-all: xen-pv
# append: syscall.x32=y
# timeout: 2400

fail() {
	echo "dtrace-syscalls: $*" >&2
	head -n 20 /tmp/said >&2
	rmmod dtrace
	exit 3
}

insmod /modules/dtrace.ko || exit
dtrace -l -P syscall --json >/tmp/probes 2>/tmp/said || fail "no list of probes"
dtrace --json -n syscall:::entry -n syscall:::return --record pid,arg0,arg1,arg2,arg3,arg4,arg5,errno \
	-b 16m -o /tmp/trace -c "drive-syscalls run /tmp/probes /tmp/expected" 2>/tmp/said || fail "status $?"
grep -q "has exited$" /tmp/said || fail "it ended badly"
drive-syscalls check /tmp/probes /tmp/expected /tmp/trace || fail "the trace is another one"
[ "$(cat /sys/module/dtrace/parameters/entries_without_place)" = 0 ] || fail "entries without a place"
rmmod dtrace || exit
