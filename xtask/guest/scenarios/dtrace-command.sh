#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The dtrace command as its users know it: forms of output, buffers, aggregations, what ends it, and what
# it says when it cannot.
# platform: native
# timeout: 900

fail() {
	echo "dtrace-command: $*" >&2
	head -n 40 /tmp/out /tmp/err >&2
	rmmod dtrace
	exit 3
}

# says TEXT FILE
says() { grep -q -e "$1" "$2" || fail "nothing like: $1"; }

# run STATUS ARGUMENTS: output to /tmp/out, messages to /tmp/err
run() {
	wanted=$1
	shift
	rm -f /tmp/out
	: >/tmp/out
	dtrace "$@" -o /tmp/out 2>/tmp/err
	status=$?
	[ $status = "$wanted" ] || fail "dtrace $*: status $status"
}

calls=syscall:vmlinux:getppid:entry

# example ARGUMENTS: as run 0, and shown as docs/dtrace-command.md has it
example() {
	run 0 "$@"
	echo "# dtrace $*"
	head -n 16 /tmp/out
}

dtrace -V | grep -q "^dtrace [0-9.]* (DOF 2, DIF 2)$" || fail "-V: $(dtrace -V)"
[ "$(dtrace -x help | grep -c -e "^bufsize=SIZE " -e "^aggsortrev ")" = 2 ] || fail "-x help"
dtrace -l 2>/tmp/err && exit 3
says "hint: the module is not loaded: modprobe dtrace" /tmp/err
insmod /modules/dtrace.ko || exit
cpus=$(grep -c ^processor /proc/cpuinfo)

run 0 -l -P dtrace
[ "$(wc -l </tmp/out)" = 4 ] || fail "a list of dtrace's own probes"
says "^    1     dtrace .* BEGIN$" /tmp/out

run 0 -l -n tick-7s
says "  profile .* tick-7s$" /tmp/out
run 0 -l -f getppid -m vmlinux --json
says '"function":"getppid","name":"entry"}$' /tmp/out

run 0 -n BEGIN -n END -n $calls -c "calls getppid 2"
says "description 'BEGIN' matched 1 probe$" /tmp/err
says "pid [0-9]* has exited$" /tmp/err
[ "$(head -n 1 /tmp/out)" = "CPU     ID                    FUNCTION:NAME" ] || fail "its heading"
[ "$(grep -c getppid:entry /tmp/out)" = $((2 * cpus)) ] || fail "its records"
says ":END$" /tmp/out
tail -n 1 /tmp/out | grep -q ":END$" || fail "END is not last"

run 0 -q -n syscall:vmlinux:openat:entry --record "execname,copyinstr(arg1)" -c "cat /proc/version"
says "^cat /proc/version$" /tmp/out

run 0 -n $calls --record "copyinstr(arg1)" -c "calls getppid 1"
says "error on enabled probe ID 2 (ID [0-9]*: $calls): invalid address (0x0) in action #1 at DIF offset" /tmp/err

run 0 -F -f getppid --only-target --record pid -c "sh -c true"
says "^CPU FUNCTION  *PID$" /tmp/out
run 0 -F -n syscall::getppid: --only-target -c "calls getppid 2"
[ "$(grep -c "^  [0-9]  => getppid$" /tmp/out)" = $((2 * cpus)) ] || fail "its entries"
[ "$(grep -c "^  [0-9]  <= getppid$" /tmp/out)" = $((2 * cpus)) ] || fail "its returns"

# Formats, with what each conversion takes.
run 0 -q -n $calls --printf '%s [%5d] %#x %-4u|%o%% %p %S\n' execname,pid,arg0,uid,arg1,curthread,probefunc \
	-c "calls getppid 1"
says "^calls \[ *[0-9]*\] 0 0   |0% 0xff[0-9a-f]* getppid$" /tmp/out
run 0 -q -n $calls --printf '%Y %a%k\n' walltimestamp,caller,stack -c "calls getppid 1"
says "^20[0-9][0-9] [A-Z][a-z][a-z]  *[0-9]* [0-9:]* .*\`.*+0x" /tmp/out
says "^              vmlinux\`" /tmp/out
run 0 -q -n $calls --printf '%k' stack --printf ' in %*d %s\n' ipl,pid,execname -c "calls getppid 1"
says "^ in [0-9]* calls$" /tmp/out
run 0 --json -n $calls --printf '%s\n' execname -c "calls getppid 1"
says '"printf":"calls\\n"}$' /tmp/out
run 0 -q -n $calls --count --by execname,uid --printa '%-8s %@6d of %d\n' -c "calls getppid 5"
says "^calls  *$((5 * cpus)) of 0$" /tmp/out
grep -q "^  calls" /tmp/out && fail "a table too"
run 0 -q -n $calls --quantize arg5 --by execname --printa '%s:%@d\n' -c "calls getppid 5"
says "^calls:$" /tmp/out
says "Distribution" /tmp/out
for wrong in "--printf %q pid" "--printf %s pid" "--printf %d" "--count --printa %d" "--printf %"; do
	run 2 -n BEGIN $wrong
	says "^dtrace: --print[fa] '" /tmp/err
done

run 0 --json -n syscall:vmlinux:execve:return --record errno,arg0 -c true
says '"function":"execve","name":"return","values":{"errno":0,"arg0":0}}$' /tmp/out

run 0 -n $calls --count --by execname -c "calls getppid 50"
says "^  calls  *$((50 * cpus))$" /tmp/out
run 0 -P syscall --count --by execname -c "calls getppid 50"
[ "$(grep -c "^  calls " /tmp/out)" = 1 ] || fail "more than one count of calls"
run 0 -n $calls --quantize arg4 -c "calls getppid 50"
says "------------- Distribution -------------" /tmp/out
run 0 -n $calls --avg pid --by execname -c "calls getppid 50"
says "^  calls " /tmp/out

# Every firing is a record or a drop, whatever the buffers.
for policy in switch ring fill; do
	run 0 -q -n $calls --record pid -b 1k -x bufpolicy=$policy --accounting --json -c "calls getppid 3000"
	all=$(tail -n 1 /tmp/out)
	echo "$policy: $all"
	says '"cpu":"all"' /tmp/out
	# Full buffers end the tracing: the last calls may come later.
	[ $policy = fill ] || says "\"hits\":$((3000 * cpus))" /tmp/out
	says '"missing":0' /tmp/out
done
run 0 -q -n $calls -b 1k -c "calls getppid 3000"
says "[0-9]* drops on CPU [0-9]" /tmp/err

# A full buffer ends it, and nothing else does.
rm -f /tmp/out
dtrace -q -n $calls --record pid -b 1k -x bufpolicy=fill -x statusrate=10hz -o /tmp/out -c "sleep 100" 2>/tmp/err &
tracer=$!
until pidof sleep >/dev/null; do usleep 100000; done
calls getppid 3000
wait $tracer || fail "full buffers: status $?"
says "^dtrace: a buffer is full$" /tmp/err
killall sleep
[ "$(wc -l </tmp/out)" -ge 50 ] || fail "$(wc -l </tmp/out) records in full buffers"

for signal in INT TERM; do
	rm -f /tmp/out
	dtrace -n END -o /tmp/out 2>/tmp/err &
	tracer=$!
	until grep -q "matched 1 probe" /tmp/err; do sleep 0.1; done
	sleep 1
	kill -$signal $tracer
	wait $tracer || fail "SIG$signal: status $?"
	says ":END$" /tmp/out
done

sleep 2 &
run 0 -n END -p $!
says "has exited$" /tmp/err
run 0 -n tick-1s -c "sleep 3"
says ":tick-1s$" /tmp/out

run 1 -n syscall::opennat:entry
says "does not match any probes" /tmp/err
says "did you mean .syscall::openat:entry.?" /tmp/err
run 0 -n bogus -Z -c true
run 1 -n BEGIN -b 100g
says "option bufsize=107374182400 is refused" /tmp/err
run 2 -n "BEGIN { exit(0); }"
says "no D compiler yet" /tmp/err
run 0 -e -n BEGIN
[ -s /tmp/out ] && fail "-e traced"

# A consumer whose output is closed ends. The traced program writes a line of its own among it.
dtrace -n $calls -c "calls getppid 100000" 2>/tmp/err | head -n 5 >/tmp/out
says "FUNCTION:NAME" /tmp/out

# The examples of docs/dtrace-command.md.
example -n syscall::openat:entry --record pid,execname,"copyinstr(arg1)" -c "cat /proc/version"
example -n syscall:::entry --count --by execname,probefunc -c "cat /proc/version"
example -q -n syscall::openat:return --printf '%-8s %5d openat = %d, errno %d\n' execname,pid,arg0,errno -c "cat /none"
example -q -n syscall:::entry --count --by execname --printa '%-10s %@6d calls\n' -c "sh -c true"
example -n syscall::read:return --quantize arg0 --by execname -c "cat /proc/version"
example -F -P syscall --only-target -c true
example --json -n syscall::execve:return --record execname,errno -c true

# The kernel ends it, and what is traced ends before anyone asks: it is told all the same.
rmmod dtrace && insmod /modules/dtrace.ko deadman_ms=2000 || exit
run 1 -q -n profile:::tick-1s -x statusrate=1h -c "sleep 8"
says "the kernel ended it" /tmp/err
says "has exited$" /tmp/err

rmmod dtrace || exit
echo "the dtrace command: well"
