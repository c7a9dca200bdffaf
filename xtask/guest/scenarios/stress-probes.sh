#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# System calls and exceptions in known numbers on all CPUs: dtrace.ko accounts for each, with room for all records and
# without, while one enabling lasts and while others come and go, CPUs go offline and come back, storms
# blow, and the module goes and comes back. Buffers are switched while their CPU has interrupts off. A
# tool that spoils what it reads must say so.
# also: xen-pv-domu
# variant: preempt=full
# variant: nohz_full=1
# timeout: 900
# timeout-all: 1800

fair-servers-off || exit
cpus=$(cat /sys/devices/system/cpu/online)

fail() {
	echo "stress-probes: $*" >&2
	rmmod dtrace
	exit 3
}

# Whether the kernel took the argument that it is run with.
for word in $(cat /proc/cmdline); do
	case $word in
	preempt=full) grep -q '(full)' /sys/kernel/debug/sched/preempt || fail "$word: not so" ;;
	nohz_full=1) [ "$(cat /sys/devices/system/cpu/nohz_full)" = 1 ] || fail "$word: not so" ;;
	*) continue ;;
	esac
	echo "with $word"
done

insmod /modules/dtrace.ko || exit
if [ "$all" ]; then
	stress probes --seconds 60 --calls 4000 --masked 10 --consumers 3 --hotplug --storm \
		--reload /modules/dtrace.ko || fail "status $?"
	stress probes --seconds 10 --calls 2000 --buffer 4k --hotplug --storm \
		--reload /modules/dtrace.ko || fail "small buffers: status $?"
else
	stress probes --seconds 1 --calls 1000 --exceptions-every 4 --masked 2 --hotplug --storm \
		--reload /modules/dtrace.ko || fail "status $?"
	stress probes --seconds 1 --calls 2000 --exceptions-every 4 --buffer 4k || fail "small buffers: status $?"
fi
[ "$(cat /sys/devices/system/cpu/online)" = "$cpus" ] || fail "not all CPUs are back"

# Buffers so small and so seldom read that there are drops.
for fault in lose unseen double stale silent; do
	stress probes --seconds 0 --calls 500 --consumers 0 --buffer 2k --switch-us 1000000 \
		--fault $fault >/tmp/found
	[ $? = 1 ] || fail "the fault $fault was not found"
	echo "fault $fault: $(tail -n 1 /tmp/found)"
done
rmmod dtrace
