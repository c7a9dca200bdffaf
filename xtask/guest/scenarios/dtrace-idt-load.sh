#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dtrace.ko comes and goes while exceptions do: user code raises all kinds without an end, a debugger steps,
# perf watches, a kprobe is armed and disarmed, calls are stormed, CPUs go off line and come back. Each time
# the module is there, known exceptions leave as many records; nobody else notices.
# platform: native
# also-all: xen-pv
# also-all: xen-pv-domu
# timeout: 900
# timeout-all: 3600

fair-servers-off || exit
turns=6
[ -n "$all" ] && turns=50
tracing=/sys/kernel/tracing
parameters=/sys/module/dtrace/parameters
cpus=$(cat /sys/devices/system/cpu/online)
cd /tmp || exit

failed=
fail() {
	echo "dtrace-idt-load: $*" >&2
	failed=1
}

# ---- the load

touch on
# load WHAT: 20 of it at a time, of which the program sees all or fails.
load() {
	rounds=0
	while [ -e on ]; do
		exceptions $1 20 >load.$1 2>&1 || { cat load.$1 >&2; touch broken; }
		rounds=$((rounds + 1))
	done
	echo "$1: $rounds times 20" >rounds.$1
}
load mixed &
load debugger &
load perf &

kprobe=
if [ -e $tracing/kprobe_events ]; then
	echo 0 >/proc/sys/debug/kprobes-optimization
	echo 'p:own_k __x64_sys_getppid+9' >$tracing/kprobe_events ||
		echo 'p:own_k __x64_sys_getppid+5' >$tracing/kprobe_events || fail "no kprobe"
	kprobe=1
fi
kprobes() {
	while [ -e on ]; do
		before=$(awk '/own_k/ { print $2 + $3 }' $tracing/kprobe_profile)
		echo 1 >$tracing/events/kprobes/own_k/enable
		calls cost 20 >calls || touch broken
		echo 0 >$tracing/events/kprobes/own_k/enable
		hits=$(($(awk '/own_k/ { print $2 + $3 }' $tracing/kprobe_profile) - before))
		[ $hits -ge 20 ] || { echo "a kprobe was hit $hits times, not 20" >&2; touch broken; }
	done
}
[ -z "$kprobe" ] || kprobes &

# CPUs come and go in it.
stress guest --pattern mixed --hotplug 100000 >storm 2>&1 &
storm=$!

# ---- the module

# traced OPTION...: `exceptions`, whose pid is $pid; every firing is accounted for.
traced() {
	rm -f out
	dtrace -q --json --accounting -n idt:::entry "$@" -o out -c "exceptions mixed $n" >said 2>told ||
		{ cat said told >&2; fail "turn $turn: status $?"; }
	pid=$(sed -n 's/^pid //p' said)
	for what in missing bad; do
		found=$(records out $what)
		[ "$found" = 0 ] || fail "turn $turn: $what: $found"
	done
}

n=50
for turn in $(seq $turns); do
	insmod /modules/dtrace.ko || fail "turn $turn: insmod"
	traced --only-target --record pid,arg1,arg5,arg6
	# A CPU that comes online has no buffer at first.
	dropped=$(records out drops)
	seen=
	lost=0
	for pair in int3:int3 icebp:debug steps:debug divide:divide_error invalid:invalid_op overflow:overflow \
		protection:general_protection selector:general_protection absent:segment_not_present \
		stack:stack_segment floating:coprocessor_error segv:page_fault; do
		at=$(sed -n "s/^${pair%:*} at //p" said)
		found=$(records out count pid=$pid arg5=1 function=${pair#*:} arg1=$at)
		[ $found -le $n ] || fail "turn $turn: ${pair%:*}: $found, not $n"
		lost=$((lost + n - found))
		seen="$seen $found"
	done
	for kind in faults reads; do
		found=$(records out pages pid=$pid function=page_fault arg6=$(sed -n "s/^$kind in //p" said))
		[ $found -le $n ] || fail "turn $turn: $kind: $found, not $n"
		lost=$((lost + n - found))
		seen="$seen $found"
	done
	[ $lost -le $dropped ] || fail "turn $turn: $lost are lost, $dropped dropped"
	# All that the load raises as well, and where from.
	traced --record execname,stack,ustack
	everybody=$(records out count)
	echo $n >$parameters/idt_own_traps || fail "turn $turn: own traps"
	own=$(cat $parameters/idt_own_traps)
	[ "$own" = $((2 * n)) ] || fail "turn $turn: $own of our own, not $((2 * n))"
	[ "$(cat $parameters/idt_hooks)" = 0 ] || fail "turn $turn: hooks are left"
	rmmod dtrace || fail "turn $turn: rmmod"
	echo "turn $turn:$seen, drops $dropped; of everybody $everybody; CPUs $(cat /sys/devices/system/cpu/online)"
done

# ---- the end

rm on
kill -INT $storm
wait $storm || { cat storm >&2; fail "the storm: status $?"; }
tail -n 4 storm
wait
cat rounds.*
[ -e broken ] && fail "the load noticed"
[ "$(cat /sys/devices/system/cpu/online)" = "$cpus" ] || fail "not all CPUs are back"
[ -z "$kprobe" ] || echo >$tracing/kprobe_events
[ -z "$failed" ] || exit 3
