#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dtrace.ko: known numbers of system calls on all CPUs leave as many records, entries and returns pair
# as docs/dtrace.md says, and 45 consumers (200 with --all) that are killed in all states leave nothing behind.
# timeout: 1800

fail() {
	echo "dtrace: $*" >&2
	rmmod dtrace
	exit 3
}

# What can only be read cannot be set at loading either.
for parameter in held_bytes returns_without_entry idt_hooks idt_probes; do
	insmod /modules/dtrace.ko $parameter=1 2>/tmp/err && exit 3
	grep -q "not permitted" /tmp/err || exit 3
done
insmod /modules/dtrace.ko || exit
[ -c /dev/dtrace/dtrace ] || fail "no /dev/dtrace/dtrace"
mode=$(stat -c %a /dev/dtrace/dtrace)
[ "$mode" = 600 ] || fail "mode $mode"
cpus=$(grep -c ^processor /proc/cpuinfo)

# traced PROBE WHAT N: a JSON line in /tmp/out for each firing, while `calls WHAT N` runs.
traced() {
	rm -f /tmp/out
	dtrace --json -n "$1" --record execname,pid,arg0,errno -o /tmp/out -c "calls $2 $3" ||
		fail "$1: status $?"
}

# How many records of program NAME there are, with TEXT in them.
records() { grep '"type":"record"' /tmp/out | grep "\"execname\":\"$1\"" | grep -c -e "$2"; }

# same WHAT FOUND WANTED
same() {
	[ "$2" = "$3" ] || { head -n 5 /tmp/out >&2; fail "$1: $2, not $3"; }
	echo "$1: $2"
}

traced syscall:vmlinux:getppid:entry getppid 200
same "entries of getppid" $(records calls .) $((200 * cpus))
for cpu in $(seq 0 $((cpus - 1))); do
	same "on CPU $cpu" $(records calls "\"cpu\":$cpu,") 200
done
traced syscall:vmlinux:getppid:return getppid 200
same "returns of getppid" $(records calls '"errno":0[,}]') $((200 * cpus))

# The program opens files of its own, as many each time.
traced syscall:vmlinux:openat:return missing 10
few=$(records calls '"errno":2[,}]')
traced syscall:vmlinux:openat:return missing 110
same "returns of openat with ENOENT" $(($(records calls '"errno":2[,}]') - few)) $((100 * cpus))

traced syscall:vmlinux:clone:entry fork 40
same "entries of fork" $(records calls .) 40
traced syscall:vmlinux:clone:return fork 40
same "returns of fork" $(records calls .) 40

traced syscall:vmlinux:getppid:entry denied 40
same "entries that seccomp refused" $(records calls .) 0
unseen=/sys/module/dtrace/parameters/returns_without_entry
before=$(cat $unseen)
traced syscall:vmlinux:getppid:return denied 40
same "returns of those" $(records calls .) 0
after=$(cat $unseen)
[ $((after - before)) -ge 40 ] || fail "$((after - before)) returns without an entry, not 40"
echo "returns without an entry: $((after - before))"
[ "$(cat ${unseen%/*}/entries_without_place)" = 0 ] || fail "entries without a place"

traced syscall:ia32:getppid: ia32 40
same "entries and returns of 32-bit getppid" $(records calls .) 80
traced syscall:vmlinux:getppid: ia32 40
same "of which 64-bit" $(records calls .) 0

traced syscall:vmlinux:execve:entry exec 20
same "entries of execve" $(records calls .) 20
traced syscall:vmlinux:execve:return exec 20
same "returns of execve" $(records true '"errno":0[,}]') 20

traced syscall:vmlinux:rt_sigreturn:return sigreturn 40
same "returns of rt_sigreturn" $(records calls .) 40

# Everything at once: every hit has an outcome.
dtrace --accounting -q -n syscall::: -o /tmp/all -c "calls exec 20" 2>/tmp/accounting ||
	fail "syscall:::: status $?"
cat /tmp/accounting
tail -n $((cpus + 2)) /tmp/all

rm -f /tmp/ticks
dtrace --json -n profile:::tick-20ms --record arg0 -o /tmp/ticks -c "sleep 2" || fail "tick: status $?"
ticks=$(grep -c '"type":"record"' /tmp/ticks)
[ "$ticks" -ge 10 ] || fail "$ticks ticks in two seconds"
echo "ticks: $ticks"

# A stack begins where the kernel called dtrace.ko, and the caller is that function's.
rm -f /tmp/out
dtrace -n syscall:vmlinux:getppid:entry --record stack -o /tmp/out -c "calls getppid 5" || fail "stack: status $?"
grep -q 'vmlinux`' /tmp/out || { cat /tmp/out; fail "a stack without the kernel"; }
grep 'dtrace`' /tmp/out && fail "a stack with dtrace.ko"
rm -f /tmp/out
dtrace --json -n syscall:vmlinux:getppid:entry --record execname,caller,stackdepth,stack -o /tmp/out \
	-c "calls getppid 5" || fail "caller: status $?"
same "callers" $(records calls '"caller":"\(0x[0-9a-f]*\)".*"stack":\["0x[0-9a-f]*","\1"') $((5 * cpus))
same "stacks without depth" $(records calls '"stackdepth":0,') 0

# Where the program stands: orig_rax is the call's number; every record is of the CPU that curcpu tells.
rm -f /tmp/out
dtrace --json -n syscall:vmlinux:getppid:entry \
	--record "execname,uregs[15],uregs[16],curcpu->cpu_id,ucaller,ustackdepth,ustack" -o /tmp/out -c "calls getppid 5" ||
	fail "uregs: status $?"
same "calls by orig_rax" $(records calls '"uregs\[15\]":"0x6e"') $((5 * cpus))
same "user code at rip" $(records calls '"uregs\[16\]":"\(0x[0-9a-f]*\)".*"ustack":\["\1"') $((5 * cpus))
for cpu in $(seq 0 $((cpus - 1))); do
	same "by curcpu on CPU $cpu" $(records calls "\"cpu\":$cpu,.*\"curcpu->cpu_id\":$cpu,") 5
done
same "user stacks without depth" $(records calls '"ustackdepth":0,') 0

# A timer finds tasks at every point of their end, those that were reaped too: they have no parent then.
rm -f /tmp/out
forks=500 hz=251
[ "$all" ] && forks=2000 hz=997
dtrace --json -n profile:::profile-$hz --record execname,pid,ppid -o /tmp/out -c "calls fork $forks" ||
	fail "ppid: status $?"
found=$(records calls .)
[ "$found" -gt 0 ] || fail "no tick in $forks processes"
echo "ticks in processes that end: $found, $(records calls '"ppid":0[,}]') of which without a parent"

# A CPU goes and comes back: what it recorded is there, and what it records then.
last=$((cpus - 1))
rm -f /tmp/out
dtrace --json -n syscall:vmlinux:getppid:entry --record execname -o /tmp/out -c "sleep 15" &
tracer=$!
usleep 2000000
calls getppid 100
echo 0 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays online"
calls getppid 100
echo 1 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays offline"
calls getppid 100
wait $tracer || fail "hotplug: status $?"
same "entries with a CPU that went and came" $(records calls .) $((100 * (3 * cpus - 1)))

# A timer of each CPU: of one that is off line when it is enabled, and of one that goes and comes back.
echo 0 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays online"
rm -f /tmp/out
dtrace --json -n profile:::profile-97 --record execname -o /tmp/out -c "sleep 14" &
tracer=$!
usleep 2000000
echo 1 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays offline"
usleep 4000000
echo 0 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays online"
usleep 2000000
came=$(grep '"type":"record"' /tmp/out | grep -c "\"cpu\":$last,")
[ "$came" -gt 0 ] || fail "no timer on a CPU that came"
echo 1 >/sys/devices/system/cpu/cpu$last/online || fail "CPU $last stays offline"
wait $tracer || fail "timers and hotplug: status $?"
again=$(grep '"type":"record"' /tmp/out | grep -c "\"cpu\":$last,")
[ "$again" -gt "$came" ] || fail "no timer on a CPU that came back"
echo "ticks of a CPU that came: $came, and when it came back: $((again - came))"

# A rate that nobody asked for before is there when it is named.
dtrace -l -n profile:::tick-123ms >/tmp/said || fail "list of tick-123ms: status $?"
grep -q "profile.*tick-123ms" /tmp/said || { cat /tmp/said; fail "no tick-123ms"; }

# Buffers for which there is no memory are refused, and nobody is killed for them.
half=$(awk '/^MemTotal:/ { half = int($2 * 6 / 10); print (half < 1048576 ? half : 1048576) }' /proc/meminfo)
dtrace -q -n BEGIN -x bufresize=manual -x bufsize=${half}k -c true 2>/tmp/said &&
	fail "buffers of $half kB, twice for each CPU"
cat /tmp/said
dmesg | grep -q "oom-killer" && fail "processes were killed for buffers"

# What is in use stays.
rmmod xcall 2>/dev/null && fail "xcall.ko went while it was used"
exec 5<>/dev/dtrace/dtrace
rmmod dtrace 2>/dev/null && fail "dtrace.ko went while it was open"
exec 5>&-

# Nothing is held without consumers, and the module goes at once whatever they were killed in.
for what in consumers held_bytes held_objects timers tracepoints; do
	value=$(cat /sys/module/dtrace/parameters/$what)
	[ "$value" = 0 ] || fail "$what: $value"
done
rmmod dtrace || fail "it stays"
kills=45
[ "$all" ] && kills=200
dtrace-kill $kills || exit 3

# One that does not ask for its status loses its tracing, and nothing else.
insmod /modules/dtrace.ko deadman_ms=2000 || exit
if dtrace -q -n profile:::tick-1s -x statusrate=5s -o /tmp/silent -c "sleep 12" 2>/tmp/said; then
	fail "a silent consumer went on to the end"
fi
cat /tmp/said
dmesg | grep -q "dtrace: ended 1 consumers" || fail "the kernel does not say so"
rmmod dtrace || exit
