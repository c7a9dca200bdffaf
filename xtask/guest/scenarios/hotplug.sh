#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# CPUs go offline and come back, in random order, during storms: no call is lost or runs twice, one
# that is offline refuses calls, one that is back takes them at once; on every doorbell. Then what
# ends a storm while CPUs are away: Ctrl-C, the tool killed, the modules unloaded.
# timeout: 1500
# timeout-all: 3600

fair-servers-off || exit
cpus=/sys/devices/system/cpu
everybody=$(cat $cpus/online)

fail() {
	echo "$*" >&2
	exit 3
}

# Cycles, then options of the storm.
cycle() {
	cycles=$1
	shift
	stress guest --hotplug $cycles --pattern mixed --json "$@" >/tmp/report
	status=$?
	cat /tmp/report
	[ $status = 0 ] || exit $status
	grep -q "\"hotplug\":{\"cycles\":$cycles," /tmp/report || fail "not $cycles cycles"
	[ "$(cat $cpus/online)" = "$everybody" ] || fail "not all CPUs are back"
}

# Offline and online, one after the other, while the file /tmp/turning is there.
turn() {
	while [ -e /tmp/turning ]; do
		for switch in $cpus/cpu[1-9]*/online; do
			echo 0 >$switch
		done
		for switch in $cpus/cpu[1-9]*/online; do
			echo 1 >$switch
		done
	done
}

# Shorter than in earnest, for an emulated machine.
cycle $([ "$all" ] && echo 200 || echo 8)
for doorbell in $(stress guest --list-doorbells); do
	cycle 5 --doorbell $doorbell --irqs off --seed 2
	# Targets that came back hear it: the first CPU here never looks by itself.
	for targets in 1-3 2-3; do
		stress guest --doorbell $doorbell --pattern hotspot --cpus $targets \
			--seconds 2 --json || exit
	done
done
cycle 5 --drop 20 --seed 3

# Ctrl-C brings all back.
stress guest --hotplug --pattern mixed --seconds 600 --json >/tmp/report &
sleep 3
kill -INT $!
wait $! || fail "Ctrl-C: exit status $?"
cat /tmp/report
[ "$(cat $cpus/online)" = "$everybody" ] || fail "Ctrl-C: not all CPUs are back"

# The tool is killed: its storm ends, whoever is away.
stress guest --hotplug --pattern mixed --seconds 600 --json >/dev/null &
sleep 3
kill -KILL $!
wait $!
for switch in $cpus/cpu[1-9]*/online; do
	echo 1 >$switch
done
stress guest --pattern mixed --seconds 2 --json || exit

# The modules go while CPUs do.
touch /tmp/turning
turn &
for round in 1 2 3; do
	# Refused while all but one are away.
	for try in $(seq 30); do
		stress guest --detach --pattern posted --seconds 600 >/dev/null && break
		[ $try -lt 30 ] || fail "round $round: no storm"
	done
	sleep 1
	rmmod xcall_stress || fail "round $round: xcall_stress stays"
	rmmod xcall || fail "round $round: xcall stays"
	insmod /modules/xcall.ko nmi_credit_ms=3000 nmi_deadline_ms=5000 || exit
	insmod /modules/xcall_stress.ko || exit
done
rm /tmp/turning
wait
[ "$(cat $cpus/online)" = "$everybody" ] || fail "not all CPUs are back"
echo "all CPUs are back"
