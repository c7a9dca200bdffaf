#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dom0 saves this guest to a file and makes it anew, then saves it and lets it go on, with calls
# under way. None is lost, runs twice or times out, and every doorbell serves afterwards, event
# channels made anew among them. Then the modules go and come back. With --all it is made anew twice
# more: with posted calls under way, and while a CPU is away.
# platform: xen-pv-domu
# memory: 256
# timeout: 1800

fail() {
	echo "$*" >&2
	exit 3
}

suspends() {
	dmesg | grep -c 'suspending xenstore'
}

# Has dom0 do it; returns when this guest has been suspended and goes on.
wish() {
	before=$(suspends)
	echo "@$1"
	for turn in $(seq 900); do
		[ $(suspends) = $before ] || return 0
		usleep 200000
	done
	fail "$1: nothing came of it"
}

# Each doorbell serves. Callers of a storm answer each other while they wait; in the self-test, and
# where a CPU never calls, only a ring will do.
storms() {
	cat /sys/kernel/debug/xcall/selftest >/tmp/selftest
	tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || { cat /tmp/selftest; exit 3; }
	for doorbell in $doorbells; do
		grep -q "^$doorbell, .* ok " /tmp/selftest || fail "$doorbell: not tried"
		for pattern in hotspot mixed; do
			stress guest --doorbell $doorbell --irqs off --pattern $pattern \
				--calls 200 --json || exit
		done
	done
}

# What is wished for, then options of the storm meanwhile.
through() {
	wish=$1
	shift
	stress guest --seconds 3600 --json "$@" >/tmp/report &
	sleep 2
	wish $wish
	sleep 2
	kill -INT $! || fail "$wish: the storm has ended by itself"
	wait $!
	status=$?
	cat /tmp/report
	[ $status = 0 ] || exit $status
	[ "$(cat /proc/sys/kernel/random/boot_id)" = $boot ] || fail "$wish: not this boot any more"
	echo "$wish: done"
	storms
}

boot=$(cat /proc/sys/kernel/random/boot_id)
doorbells=$(stress guest --list-doorbells)
echo "$doorbells" | grep -q event-channel || fail "no event channels"
through save-restore --pattern mixed
through save-cancel --pattern mixed --doorbell event-channel

# Loading tries each doorbell on each CPU.
rmmod xcall_stress || exit
rmmod xcall || exit
insmod /modules/xcall.ko nmi_credit_ms=3000 nmi_deadline_ms=5000 || exit
insmod /modules/xcall_stress.ko || exit
[ "$(stress guest --list-doorbells)" = "$doorbells" ] || fail "not all doorbells are back"

if [ "$all" ]; then
	through save-restore --pattern posted --cpus 0-1 --doorbell event-channel
	# The channel of a CPU that is away is made anew when it comes back.
	last=$(ls -d /sys/devices/system/cpu/cpu[1-9] | tail -n 1)
	echo 0 >$last/online || exit
	wish save-restore
	echo 1 >$last/online || exit
	storms
fi
dmesg | grep 'suspending\|xcall:' | tail -n 12
