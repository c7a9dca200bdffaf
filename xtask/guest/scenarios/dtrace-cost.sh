#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What a getppid costs, in instructions: dtrace.ko with nothing enabled costs none, and a record of the
# process and an argument fewer than ftrace's event of the same tracepoint, and than a BPF program at it
# that stores the same. And what an instruction of DIF costs.
# platform: native
# load: no
# counted: yes
# timeout: 900

n=400
fail() {
	echo "dtrace-cost: $*" >&2
	rmmod dtrace
	exit 3
}
cost() { calls cost $n | sed -n 's/^cost: //p'; }
traced() { dtrace -q -o /tmp/out -c "calls cost $n" "$@" 2>/tmp/err | sed -n 's/^cost: //p'; }
show() { printf '%-52s %6s\n' "$1" "$2"; }

without=$(cost)
show "without dtrace.ko" $without

events=/sys/kernel/tracing/events/raw_syscalls
echo 1 >$events/sys_enter/enable || exit
ftrace=$(cost)
show "ftrace: raw_syscalls:sys_enter" $ftrace
echo 1 >$events/sys_exit/enable
show "ftrace: raw_syscalls:sys_enter and sys_exit" $(cost)
echo 0 >$events/sys_enter/enable
echo 0 >$events/sys_exit/enable

insmod /modules/xcall.ko || exit
insmod /modules/dtrace.ko || exit
loaded=$(cost)
show "dtrace.ko, nothing enabled" $loaded
show "another call's entry" $(traced -n syscall:vmlinux:mount:entry)
show "another call's return" $(traced -n syscall:vmlinux:mount:return)
show "its entry, no action" $(traced -n syscall:vmlinux:getppid:entry)
record=$(traced -n syscall:vmlinux:getppid:entry --record pid,arg0)
show "its entry, records pid and arg0" $record
show "its entry, counts" $(traced -n syscall:vmlinux:getppid:entry --count)
show "its entry and return, no action" $(traced -n syscall:vmlinux:getppid:)

# DIF: the difference of two programs whose lengths differ by 32.
dif() { dtrace-dif-cost $1 $2 calls cost $n 2>/tmp/err | sed -n 's/^cost: //p'; }
for class in arithmetic comparison argument global load string; do
	short=$(dif $class 8)
	long=$(dif $class 40)
	[ "$short" ] && [ "$long" ] || fail "DIF, $class: $(cat /tmp/err)"
	show "DIF: an instruction, $class" $(((long - short) / 32))
done
after=$(cost)
show "dtrace.ko, nothing enabled any more" $after

# BPF programs that leave the process and an argument of each getppid. Each must have left n records.
bpf() {
	raw_tracepoint $1 calls cost $n >/tmp/bpf 2>/tmp/err || fail "BPF, $1: $(cat /tmp/err)"
	grep -q "^$1: $((n * 16)) bytes" /tmp/bpf || fail "BPF, $1: $(tail -n 1 /tmp/bpf)"
	sed -n 's/^cost: //p' /tmp/bpf
}
output=$(bpf output) || exit
show "BPF: bpf_ringbuf_output" $output
submit=$(bpf submit) || exit
show "BPF: bpf_ringbuf_reserve and bpf_ringbuf_submit" $submit
show "BPF: an array's only element, no stream" $(bpf array)

[ "$record" ] || fail "no record: $(cat /tmp/err)"
show "its record, of ftrace's in percent" $((100 * record / ftrace))
show "its record, of BPF's cheaper ring in percent" $((100 * record / submit))
show "what it adds, of what ftrace adds in percent" $((100 * (record - without) / (ftrace - without)))
show "what it adds, of what that ring adds in percent" $((100 * (record - without) / (submit - without)))
[ "$loaded" = "$without" ] || fail "nothing enabled costs $loaded, not $without"
[ "$after" = "$without" ] || fail "nothing enabled any more costs $after, not $without"
[ "$record" -lt "$ftrace" ] || fail "a record costs $record, ftrace's $ftrace"
[ "$record" -lt "$submit" ] && [ "$record" -lt "$output" ] ||
	fail "a record costs $record, BPF's $submit or $output"
rmmod dtrace || exit
rmmod xcall
