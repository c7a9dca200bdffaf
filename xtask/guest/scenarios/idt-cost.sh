#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What an exception costs, in instructions: with nothing enabled as many as without dtrace.ko, a record of a
# page fault fewer than ftrace's event of the kernel's tracepoint, and a few more where its gate counts.
# platform: native
# load: no
# counted: yes
# timeout: 900

n=400
fail() {
	echo "idt-cost: $*" >&2
	rmmod dtrace
	exit 3
}
cost() { exception_cost $1 $n | sed -n 's/^cost: //p'; }
# traced WHAT OPTIONS
traced() {
	what=$1
	shift
	dtrace -q -o /tmp/out -c "exception_cost $what $n" "$@" 2>/tmp/err | sed -n 's/^cost: //p'
}
show() { printf '%-52s %6s\n' "$1" "$2"; }

fault=$(cost fault)
int3=$(cost int3)
show "page fault, without dtrace.ko" $fault
show "int3 and its signal, without dtrace.ko" $int3

event=/sys/kernel/tracing/events/exceptions/page_fault_user/enable
echo 1 >$event || exit
ftrace=$(cost fault)
show "page fault, ftrace: exceptions:page_fault_user" $ftrace
echo 0 >$event

insmod /modules/xcall.ko || exit
insmod /modules/dtrace.ko || exit
loaded=$(cost fault)
loaded_int3=$(cost int3)
show "page fault, dtrace.ko, nothing enabled" $loaded
show "int3, dtrace.ko, nothing enabled" $loaded_int3
show "page fault, no action" $(traced fault -n idt::page_fault:entry)
record=$(traced fault -n idt::page_fault:entry --record arg6,arg1,arg0)
show "page fault, records address, ip and error code" $record
show "page fault, counts" $(traced fault -n idt::page_fault:entry --count)
show "int3, no action" $(traced int3 -n idt::int3:entry)
show "int3, records pid and ip" $(traced int3 -n idt::int3:entry --record pid,arg1)

gates=/sys/kernel/debug/dtrace/gates
echo all >$gates || fail "gates are not hooked"
gate=$(cost fault)
gate_int3=$(cost int3)
show "page fault, counted at its gate" $gate
show "int3, counted at its gate" $gate_int3
echo none >$gates || fail "gates are not restored"
show "page fault, its gate restored" $(cost fault)

[ "$gate" -gt "$fault" ] && [ "$gate" -lt $((fault + 40)) ] || fail "a gate that counts costs $((gate - fault))"
[ "$gate_int3" -gt "$int3" ] && [ "$gate_int3" -lt $((int3 + 40)) ] ||
	fail "int3's gate that counts costs $((gate_int3 - int3))"
[ "$record" ] || fail "no record: $(cat /tmp/err)"
show "its record, of ftrace's in percent" $((100 * record / ftrace))
[ "$loaded" = "$fault" ] || fail "nothing enabled costs $loaded, not $fault"
[ "$loaded_int3" = "$int3" ] || fail "nothing enabled costs an int3 $loaded_int3, not $int3"
[ "$record" -lt "$ftrace" ] || fail "a record costs $record, ftrace's $ftrace"
rmmod dtrace || exit
rmmod xcall
