#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What a getppid costs, in instructions: dtrace.ko with nothing enabled costs none, and a record of a
# process and an argument fewer than ftrace's event of the same tracepoint.
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
after=$(cost)
show "dtrace.ko, nothing enabled any more" $after

[ "$loaded" = "$without" ] || fail "nothing enabled costs $loaded, not $without"
[ "$after" = "$without" ] || fail "nothing enabled any more costs $after, not $without"
[ "$record" ] || fail "no record: $(cat /tmp/err)"
# Programs that leave the process and an argument of each getppid. Each must have left n records.
bpf() {
	raw_tracepoint $1 calls cost $n >/tmp/bpf 2>/tmp/err || fail "bpf, $1: $(cat /tmp/err)"
	grep -q "^$1: $((n * 16)) bytes" /tmp/bpf || fail "bpf, $1: $(tail -n 1 /tmp/bpf)"
	sed -n 's/^cost: //p' /tmp/bpf
}
output=$(bpf output) || exit
show "BPF: bpf_ringbuf_output" $output
submit=$(bpf submit) || exit
show "BPF: bpf_ringbuf_reserve and _submit" $submit
show "BPF: an array's only element, no stream" $(bpf array)

rmmod dtrace || exit
rmmod xcall
