#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Gates of the IDT: known numbers of exceptions on all CPUs are counted, each once; the table is to the last byte
# what it was when they are unhooked, 20 times under faults, breakpoints and cross-calls.
# timeout: 900

file=/sys/kernel/debug/dtrace/gates
cpus=$(grep -c ^processor /proc/cpuinfo)

fail() {
	echo "gates: $*" >&2
	cat $file >&2
	echo none >$file
	rmmod dtrace
	exit 3
}

table() { sed -n 's/^table: //p' $file; }
# Of an exception: how often it came, on all CPUs together; on CPU $2.
total() { awk -v name=$1 '$1 == name { for (n = 3; n < 3 + cpus; n++) sum += $n; print sum }' cpus=$cpus $file; }
on_cpu() { awk -v name=$1 -v at=$(($2 + 3)) '$1 == name { print $at }' $file; }

insmod /modules/dtrace.ko gates_unproven=1 || exit
cat $file
before=$(table)
[ "$before" ] || fail "no table"
grep -q ' hooked ' $file && fail "gates are hooked though nobody asked"

echo nmi >$file 2>/dev/null && fail "the gate of NMIs is hooked"
echo intro >$file 2>/dev/null && fail "a gate that is none is hooked"
dmesg | grep -q "gates: nmi: never hooked" || fail "the kernel does not say why"

echo all >$file || fail "not hooked"
[ "$(table)" != "$before" ] || [ "$1" ] || grep -q xen-set $file || fail "the table is what it was"

# Each exactly once. Text that is patched meanwhile may raise int3 as well, and is told.
for what in divide_error overflow invalid_op general_protection int3; do
	was=$(total $what)
	traps $what 1000 || fail "traps $what"
	came=$(($(total $what) - was))
	want=$((1000 * cpus))
	case $what in
	int3) [ $came -ge $want ] && [ $came -lt $((want + 100)) ] ;;
	*) [ $came = $want ] ;;
	esac || fail "$what: $came, not $want"
	echo "$what: $came, of which ours $want"
done
for cpu in $(seq 0 $((cpus - 1))); do
	[ "$(on_cpu divide_error $cpu)" = 1000 ] || fail "divide_error on CPU $cpu: $(on_cpu divide_error $cpu)"
done

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

# Unhooked, nothing is counted any more on any CPU, and the table is what it was.
echo none >$file || fail "not unhooked"
was=$(total int3)
traps int3 100 || fail "traps int3"
[ "$(total int3)" = "$was" ] || fail "a gate counts that is not hooked"
[ "$(table)" = "$before" ] || fail "the table is $(table), not $before"
rmmod dtrace || exit

# While everything goes on.
touch /tmp/going
while [ -e /tmp/going ]; do traps int3 2000 >/dev/null || touch /tmp/failed; done &
while [ -e /tmp/going ]; do traps page_fault 3000 >/dev/null || touch /tmp/failed; done &
while [ -e /tmp/going ]; do stress guest --pattern mixed --seconds 3 --json >>/tmp/storms || touch /tmp/failed; done &
for round in $(seq 20); do
	insmod /modules/dtrace.ko gates_unproven=1 gates=all || exit
	[ "$(awk '$2 == "hooked"' $file | wc -l)" -gt 10 ] || fail "round $round: not hooked"
	usleep $((round % 5 * 100000 + 50000))
	[ $(($(total page_fault) + $(total int3))) -gt 0 ] || fail "round $round: nothing is counted"
	rmmod dtrace || exit
done
rm /tmp/going
wait
[ -e /tmp/failed ] && { echo "gates: a load failed" >&2; exit 3; }
insmod /modules/dtrace.ko gates_unproven=1 || exit
[ "$(table)" = "$before" ] || fail "after 20 rounds the table is $(table), not $before"
echo "20 rounds, and the table is what it was: $before"
rmmod dtrace
