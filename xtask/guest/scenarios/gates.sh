#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Gates of the IDT: known numbers of exceptions on all CPUs are counted, each once; the table is to the last byte
# what it was when they are unhooked, on every CPU; while CPUs come and go, and again and again under faults,
# breakpoints and cross-calls: 50 times with --all.
# also-all: xen-pv-domu
# timeout: 600
# timeout-all: 3600

fair-servers-off || exit
many=6 few=2
[ "$all" ] && many=50 few=10
file=/sys/kernel/debug/dtrace/gates
cpus=$(grep -c ^processor /proc/cpuinfo)
switches=/sys/devices/system/cpu
[ -e /sys/hypervisor/guest_type ] && [ "$(cat /sys/hypervisor/guest_type)" = PV ] && xen=1

fail() {
	echo "gates: $*" >&2
	cat $file >&2
	rm -f /tmp/going
	echo none >$file
	rmmod dtrace
	exit 3
}

load() { insmod /modules/dtrace.ko gates_unproven=1 "$@"; }
value() { sed -n "s/^$1: //p" $file; }
table() { value table; }
# Of an exception: how often it came, on all CPUs together; on CPU $2.
total() { awk -v name=$1 '$1 == name { for (n = 3; n < 3 + cpus; n++) sum += $n; print sum }' cpus=$cpus $file; }
on_cpu() { awk -v name=$1 -v at=$(($2 + 3)) '$1 == name { print $at }' $file; }
hooked() { awk '$2 == "hooked"' $file | wc -l; }

# The table is what it was before any gate was hooked. Natively every CPU is asked for a digest of what it reads.
# Under Xen that cannot be read: no CPU may have our handlers, and exceptions on each of them are not counted.
restored() {
	[ "$(table)" = "$before" ] || { echo "the table is $(table), not $before"; return 1; }
	[ "$xen" ] || [ "$(value 'table CPUs')" = $cpus ] || { echo "$(value 'table CPUs') CPUs read that table"; return 1; }
	[ -z "$xen" ] || [ "$(value 'hooked CPUs')" = 0 ] || { echo "$(value 'hooked CPUs') CPUs have our handlers"; return 1; }
	was=$(total int3)/$(total divide_error)
	traps int3 20 >/dev/null && traps divide_error 20 >/dev/null || return
	[ "$(total int3)/$(total divide_error)" = "$was" ] || { echo "a gate counts that is not hooked"; return 1; }
}

# $2 of exception $1 on each CPU are counted, each once, on its CPU. Text that is patched meanwhile may raise int3 as
# well, and is told.
exactly() {
	for cpu in $(seq 0 $((cpus - 1))); do
		eval was$cpu=$(on_cpu $1 $cpu)
	done
	traps $1 $2 || fail "traps $1"
	sum=0
	for cpu in $(seq 0 $((cpus - 1))); do
		came=$(($(on_cpu $1 $cpu) - was$cpu))
		sum=$((sum + came))
		[ $came = $2 ] || { [ $1 = int3 ] && [ $came -gt $2 ] && [ $came -lt $(($2 + 100)) ]; } ||
			fail "$1 on CPU $cpu: $came, not $2"
	done
	echo "$1: $sum at the gates, of which ours $(($2 * cpus))"
}

# What cannot be hooked is named, and the module works without.
for lack in fred no-free-slot no-cmpxchg16b no-kallsyms; do
	[ "$xen" ] && [ $lack != no-kallsyms ] && continue
	load gates=all gates_pretend=$lack || exit
	[ "$(value backend)/$(hooked)" = none/0 ] || fail "$lack: backend $(value backend), $(hooked) hooked"
	echo "$lack: $(value reason)"
	dmesg | grep -qF "gates: not hooked: $(value reason)" || fail "$lack: the log does not say why"
	echo int3 >$file 2>/dev/null && fail "$lack: hooked all the same"
	dtrace -l | grep -q profile || fail "$lack: no probes"
	traps int3 20 && [ "$(total int3)" = 0 ] || fail "$lack: something is counted"
	rmmod dtrace || exit
done

# What goes wrong when gates are hooked or restored is told; what stubs need stays, and the next try succeeds.
if [ -z "$xen" ]; then
	load || exit
	before=$(table)
	rmmod dtrace || exit
	load gates_pretend=unseen,left || exit
	for turn in 1 2; do
		echo all >$file 2>/dev/null && fail "hooked though a gate was not seen"
		case $turn-$(value failure)-$(hooked) in
		"1-"*"does not read as it was written"-[1-9]*) ;;
		"2-"*"does not read as it was written"-0) ;;
		*) fail "unseen, $turn: $(value failure), $(hooked) hooked" ;;
		esac
		echo none >$file || fail "not restored after a failure"
		why=$(restored) || fail "after a failure: $why"
	done
	rmmod dtrace || exit
	load gates=all gates_pretend=left || exit
	echo none >$file 2>/dev/null && fail "let go though a CPU had our gates"
	echo "left: $(value failure)"
	[ "$(hooked)" -gt 10 ] || fail "what is left is not shown"
	echo none >$file || fail "not restored the second time"
	why=$(restored) || fail "the second time: $why"
	rmmod dtrace || exit
	load gates=all gates_pretend=left && rmmod dtrace || exit
	dmesg | grep -q "gates: still hooked: a CPU may" || fail "the module did not stay"
	echo "failures: told, and restored the next time"
else
	load gates_pretend=refused || exit
	before=$(table)
	echo all >$file 2>/dev/null && fail "hooked though Xen refused"
	echo "refused: $(value failure)"
	case $(value failure) in
	"Xen refused"*) ;;
	*) fail "refused: $(value failure)" ;;
	esac
	why=$(restored) || fail "after Xen refused: $why"
	rmmod dtrace || exit
fi

load || exit
cat $file
before=$(table)
[ "$before" ] || fail "no table"
[ "$(hooked)" = 0 ] || fail "gates are hooked though nobody asked"
why=$(restored) || fail "at first: $why"

echo nmi >$file 2>/dev/null && fail "the gate of NMIs is hooked"
echo intro >$file 2>/dev/null && fail "a gate that is none is hooked"
dmesg | grep -q "gates: nmi: never hooked" || fail "the kernel does not say why"

# One gate that is left behind is told: the check can fail.
echo int3 >$file || fail "int3 is not hooked"
why=$(restored) && fail "the check sees no gate that is left"
echo "with a gate left: $why"
echo none >$file || fail "int3 is not unhooked"

echo all >$file || fail "not hooked"
for what in divide_error overflow invalid_op general_protection; do
	exactly $what 1000
done
exactly int3 2500

# Page faults: no fewer than pages, and no fewer than ftrace sees in between.
events=/sys/kernel/tracing/events/exceptions
traced() { cat $events/page_fault_*/hist | sed -n 's/^ *Hits: //p' | awk '{ sum += $1 } END { print sum + 0 }'; }
for event in page_fault_user page_fault_kernel; do
	echo hist:keys=common_pid >$events/$event/trigger || fail "no histogram of $event"
done
outer=$(total page_fault)
inner=$(traced)
traps page_fault 2500 || fail "traps page_fault"
inner=$(($(traced) - inner))
outer=$(($(total page_fault) - outer))
for event in page_fault_user page_fault_kernel; do
	echo '!hist:keys=common_pid' >$events/$event/trigger
done
echo "page_fault: $outer at the gate, $inner seen by ftrace meanwhile, $((2500 * cpus)) pages"
[ $inner -ge $((2500 * cpus)) ] || fail "ftrace saw fewer faults than pages"
[ $outer -ge $inner ] || fail "fewer faults at the gate than ftrace saw"

# CPUs go and come back while gates are hooked: those of a CPU that is back are.
for cpu in $(seq 1 $((cpus - 1))); do
	echo 0 >$switches/cpu$cpu/online || fail "CPU $cpu stays"
	[ -z "$xen" ] || [ "$(value 'hooked CPUs')" = $((cpus - 1)) ] || fail "$(value 'hooked CPUs') CPUs are hooked without CPU $cpu"
	echo 1 >$switches/cpu$cpu/online || fail "CPU $cpu does not come back"
done
[ -z "$xen" ] || [ "$(value 'hooked CPUs')" = $cpus ] || fail "$(value 'hooked CPUs') CPUs are hooked"
exactly divide_error 500
exactly int3 500

# Hooked and unhooked while one is away.
away=$((cpus - 1))
echo none >$file && why=$(restored) || fail "unhooked: $why"
echo 0 >$switches/cpu$away/online
echo all >$file || fail "not hooked while a CPU is away"
echo 1 >$switches/cpu$away/online
exactly divide_error 500
echo 0 >$switches/cpu$away/online
echo none >$file || fail "not unhooked while a CPU is away"
echo 1 >$switches/cpu$away/online
why=$(restored) || fail "unhooked while a CPU was away: $why"
rmmod dtrace || exit
echo "CPUs came and went"

# Each of a storm's calls is accounted for. The engine's own counters are not asked: dtrace.ko calls too.
storm() {
	stress guest --pattern mixed --seconds 3 --json >/tmp/storm 2>&1
	for count in lost duplicated wrong_timeouts refused; do
		grep -q "\"$count\":0[,}]" /tmp/storm || { cat /tmp/storm; return 1; }
	done
}

# Loaded, hooked, counted, unloaded, while everything goes on: $1 times.
rounds() {
	for round in $(seq $1); do
		load gates=all || exit
		[ "$(hooked)" -gt 10 ] || fail "round $round: not hooked: $(value failure)"
		usleep $((round % 5 * 40000 + 20000))
		[ $(($(total page_fault) + $(total int3))) -gt 0 ] || fail "round $round: nothing is counted"
		rmmod dtrace || exit
	done
}

touch /tmp/going
while [ -e /tmp/going ]; do traps int3 2000 >/dev/null || touch /tmp/failed; done &
while [ -e /tmp/going ]; do traps page_fault 3000 >/dev/null || touch /tmp/failed; done &
while [ -e /tmp/going ]; do storm || touch /tmp/failed; done &
rounds $many
rm /tmp/going
wait
[ -e /tmp/failed ] && { echo "gates: a load failed" >&2; exit 3; }
load || exit
why=$(restored) || fail "after $many rounds: $why"
rmmod dtrace || exit
echo "$many rounds, and the table is what it was: $before"

# The same while CPUs go and come. Who wants to run on one that is away fails, which is no matter.
touch /tmp/going
while [ -e /tmp/going ]; do traps int3 500; traps page_fault 500; done >/dev/null 2>&1 &
while [ -e /tmp/going ]; do
	for switch in $switches/cpu[1-9]*/online; do
		echo 0 >$switch
		usleep 50000
		echo 1 >$switch
	done
	echo turned >>/tmp/turns
done &
rounds $few
rm /tmp/going
wait
[ -s /tmp/turns ] || { echo "gates: no CPU went and came" >&2; exit 3; }
insmod /modules/dtrace.ko gates=all || exit
[ "$(hooked)" -gt 10 ] || fail "not hooked without gates_unproven: $(value failure)"
rmmod dtrace || exit
load || exit
why=$(restored) || fail "after $few rounds while CPUs came and went: $why"
rmmod dtrace || exit
echo "$few rounds while CPUs came and went, all of them $(wc -l </tmp/turns) times"
