#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Probes of exceptions: known numbers of them, of user code and of the kernel, leave as many records, with
# and without a storm of calls; who else lives on int3 and single steps does not notice; what cannot be
# probed is refused by name.
# also: xen-pv-domu
# variant: pti=on
# timeout: 1500
# timeout-all: 3000

n=1000
[ -n "$all" ] && n=10000
tracing=/sys/kernel/tracing
parameters=/sys/module/dtrace/parameters
guest=$(cat /sys/hypervisor/guest_type 2>/dev/null)

failed=
fail() {
	echo "dtrace-idt: $*" >&2
	failed=1
}

# same WHAT FOUND WANTED
same() {
	if [ "$2" = "$3" ]; then
		echo "$1: $2"
	else
		fail "$1: $2, not $3"
		head -n 3 /tmp/out >&2
	fi
}

# traced PROBES COMMAND: JSON in /tmp/out, what the command said in /tmp/said.
traced() {
	rm -f /tmp/out
	dtrace --json -n "$1" --record pid,arg0,arg1,arg2,arg3,arg4,arg5,arg6,arg7 -o /tmp/out -c "$2" >/tmp/said ||
		fail "$1: status $?"
}

# records CONDITION: how many records it holds for, in awk, of those that were traced.
records() {
	awk '
		function field(name) {
			if (!match($0, "\"" name "\":\"?[^,}\"]*")) return ""
			text = substr($0, RSTART, RLENGTH)
			sub("^\"" name "\":\"?", "", text)
			return text
		}
		/"type":"record"/ { print field("function"), field("pid"), field("arg5"), field("arg6") }' /tmp/out |
		awk "{ what = \$1; pid = \$2; user = \$3; detail = \$4 } $1 { n++ } END { print n + 0 }"
}
drops() { sed -n 's/.*"type":"drops".*"count":\([0-9]*\).*/\1/p' /tmp/out | awk '{ n += $1 } END { print n + 0 }'; }

# seen WHAT PROBE [CONDITION]: N of them by `exceptions`, all of them seen.
seen() {
	traced idt::$2:entry "exceptions $1 $n"
	pid=$(sed -n 's/^pid //p' /tmp/said)
	same "$1" $(sed -n "s/^$1: //p" /tmp/said) $n
	same "$1 by idt::$2:entry" $(($(records "pid == $pid && user == 1${3:+ && $3}") + $(drops))) $n
}

faults() {
	traced idt::page_fault:entry "exceptions faults $n"
	pid=$(sed -n 's/^pid //p' /tmp/said)
	from=$(($(sed -n 's/^pages \(0x[0-9a-f]*\) .*/\1/p' /tmp/said)))
	to=$(($(sed -n 's/^pages .* \(0x[0-9a-f]*\)$/\1/p' /tmp/said)))
	grep "\"pid\":$pid," /tmp/out | sed 's/.*"arg6":\([0-9]*\).*/\1/' |
		awk -v from=$from -v to=$to '$1 >= from && $1 < to { print int($1 / 4096) }' >/tmp/pages
	distinct=$(sort -u /tmp/pages | wc -l)
	same "fresh pages, each by a page fault or a drop" $((distinct + $(drops))) $n
	echo "page faults on them: $(wc -l </tmp/pages)"
}

everything() {
	faults
	seen int3 int3
	seen steps debug
	seen icebp debug
	seen divide divide_error
	seen invalid invalid_op
	seen overflow overflow
	seen protection general_protection
	seen floating simd_coprocessor_error
	seen segv page_fault 'detail == 8'
}

insmod /modules/dtrace.ko || exit
cat $parameters/idt_probes

# Hooks are there while a probe needs them.
same "hooks without a probe" $(cat $parameters/idt_hooks) 0
echo "cat $parameters/idt_hooks" >/tmp/hooks
traced idt::page_fault:entry "sh /tmp/hooks"
same "hooks of page faults" $(cat /tmp/said) 2
traced idt::general_protection:entry "sh /tmp/hooks"
same "hooks of general protection" $(cat /tmp/said) 2

everything

# Signals that a process sends are no exceptions.
traced idt:::entry "exceptions killed $n"
pid=$(sed -n 's/^pid //p' /tmp/said)
same "signals sent" $(sed -n 's/^killed: //p' /tmp/said) $((2 * n))
same "of which exceptions" $(records "pid == $pid && what ~ /general_protection|coprocessor_error/") 1

# The kernel's: int3 and single steps in our own text are taken and resumed.
echo "echo $n >$parameters/idt_own_traps" >/tmp/own
traced idt:::entry "sh /tmp/own"
same "int3 of the kernel's" $(($(records 'what == "int3" && user == 0') + $(drops))) $n
same "single steps of the kernel's" $(($(records 'what == "debug" && user == 0') + $(drops))) $n
same "taken and resumed" $(cat $parameters/idt_own_traps) $((2 * n))

# Without a probe the hook is there for as long as they take.
sh /tmp/own || fail "own traps without a probe"
same "taken and resumed without a probe" $(cat $parameters/idt_own_traps) $((4 * n))

# ---- neighbours

traced idt:::entry "exceptions debugger $n"
pid=$(sed -n 's/^pid //p' /tmp/said)
same "breakpoints of a debugger" $(sed -n 's/^debugger: //p' /tmp/said) $n
same "by idt::int3:entry" $(records "pid == $pid && what == \"int3\"") $n
same "its single steps by idt::debug:entry" $(records "pid == $pid && what == \"debug\"") $n

traced idt:::entry "exceptions watch $n"
pid=$(sed -n 's/^pid //p' /tmp/said)
same "watchpoint of a debugger" $(sed -n 's/^watch: //p' /tmp/said) $n
same "by idt::debug:entry" $(records "pid == $pid && what == \"debug\"") $n

traced idt:::entry "exceptions perf $n"
pid=$(sed -n 's/^pid //p' /tmp/said)
same "breakpoints of perf" $(sed -n 's/^perf: //p' /tmp/said) $n
echo "of those by idt::debug:entry: $(records "pid == $pid && what == \"debug\"")"

if [ -e $tracing/kprobe_events ]; then
	echo 0 >/proc/sys/debug/kprobes-optimization
	echo 'p:own_k __x64_sys_getppid+9' >$tracing/kprobe_events ||
		echo 'p:own_k __x64_sys_getppid+5' >$tracing/kprobe_events || fail "no kprobe"
	echo 1 >$tracing/events/kprobes/own_k/enable
	traced idt:::entry "calls getppid $n"
	made=$(sed -n 's/^getppid: \([0-9]*\) calls.*/\1/p' /tmp/said)
	# The program's own start and the shell's may make some.
	hits=$(awk '/own_k/ { print $2 + $3 }' $tracing/kprobe_profile)
	[ "$hits" -ge "$made" ] || fail "a kprobe was hit $hits times, not $made"
	echo "hits of a kprobe: $hits, calls: $made"
	same "of those by idt::int3:entry" $(records 'what == "int3"') 0
	echo 0 >$tracing/events/kprobes/own_k/enable
	echo >$tracing/kprobe_events
fi

if [ -e $tracing/uprobe_events ]; then
	program=$(command -v exceptions)
	at=$(exceptions offset 0 | sed 's/^offset: //')
	echo "p:own_u $program:$at" >$tracing/uprobe_events || fail "no uprobe"
	echo 1 >$tracing/events/uprobes/own_u/enable
	traced idt:::entry "exceptions passes $n"
	pid=$(sed -n 's/^pid //p' /tmp/said)
	same "hits of a uprobe" $(awk '/own_u/ { print $3 }' $tracing/uprobe_profile) $n
	same "by idt::int3:entry" $(records "pid == $pid && what == \"int3\"") $n
	# A process that has one gets its own int3 as well.
	seen int3 int3
	echo 0 >$tracing/events/uprobes/own_u/enable
	echo >$tracing/uprobe_events
fi

# Text is patched while int3 come.
(
	for turn in $(seq 20); do
		echo 1 >$tracing/events/syscalls/enable
		echo 1 >$tracing/events/sched/enable
		echo 0 >$tracing/events/sched/enable
		echo 0 >$tracing/events/syscalls/enable
	done
) &
patcher=$!
seen int3 int3
traced idt::int3:entry "sh /tmp/own"
same "int3 of the kernel's while text is patched" $(($(records 'user == 0') + $(drops))) $n
wait $patcher || fail "events could not be switched"

# ---- NMIs, interrupts, refusals

counted() {
	rm -f /tmp/out
	dtrace --json -n $1 --count -o /tmp/out -c "$2" >/tmp/said 2>&1
	sed -n 's/.*"value":\([0-9]*\).*/\1/p' /tmp/out
}
nmis=$(counted idt::nmi:entry "stress guest --seconds 2")
echo "NMIs: ${nmis:-0}"
[ "${nmis:-0}" -gt 0 ] || { cat /tmp/said >&2; fail "no NMI"; }

refused() {
	dtrace -n idt::$1:entry -c true >/tmp/said 2>&1 && fail "idt::$1:entry is there"
	cat /tmp/said
	grep -q "idt::$1:entry is refused: $2" /tmp/said || fail "no reason for $1"
}
refused double_fault "the kernel's state"
refused machine_check "it may come at any"
refused device_not_available "the kernel calls nobody"
if [ "$guest" = PV ]; then
	refused local_timer "under Xen"
else
	ticks=$(counted idt::local_timer:entry "sleep 1")
	[ "${ticks:-0}" -gt 0 ] || fail "no timer interrupt"
	echo "timer interrupts: $ticks"
fi

# ---- the same under a storm of calls

stress guest --pattern mixed --seconds 100000 >/tmp/storm 2>&1 &
storm=$!
usleep 1000000
everything
traced idt:::entry "sh /tmp/own"
same "int3 of the kernel's" $(($(records 'what == "int3" && user == 0') + $(drops))) $n
kill -INT $storm
wait $storm
tail -n 3 /tmp/storm

same "hooks at the end" $(cat $parameters/idt_hooks) 0
rmmod dtrace || exit
[ -z "$failed" ] || exit 3
