#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Probes of exceptions: known numbers of them, of user code and of the kernel, leave as many records with
# the right arguments, with and without a storm of calls; who else lives on int3 and single steps does not
# notice; what cannot be probed is refused by name.
# also-all: xen-pv-domu
# variant: pti=on
# timeout: 900
# timeout-all: 3000

n=1000
many=10000
[ -n "$all" ] && n=$many
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

since=$(cut -d. -f1 /proc/uptime)
# part WHAT: what follows; how long it took is told at the end.
part() {
	now=$(cut -d. -f1 /proc/uptime)
	[ -z "$part" ] || echo "-- $part: $((now - since)) s"
	part=$1
	since=$now
}

# traced PROBES COMMAND: JSON in /tmp/out, what the command said in /tmp/said, whose process is $pid. Every
# firing is accounted for.
traced() {
	rm -f /tmp/out
	dtrace -q --json --accounting -n "$1" --record pid,arg0,arg1,arg2,arg3,arg4,arg5,arg6,arg7 -o /tmp/out \
		-c "$2" >/tmp/said 2>/tmp/told || { cat /tmp/said /tmp/told >&2; fail "$1: $2: status $?"; }
	pid=$(sed -n 's/^pid //p' /tmp/said)
	missing=$(records /tmp/out missing)
	bad=$(records /tmp/out bad)
	[ "$missing" = 0 ] || fail "$1: $2: $missing firings not accounted for"
	[ "$bad" = 0 ] || fail "$1: $2: $bad lines that should not be there"
	dropped=$(records /tmp/out drops)
	[ "$dropped" = 0 ] || echo "drops: $dropped"
}

# count CONDITION...: records, and drops.
count() { echo $(($(records /tmp/out count "$@") + dropped)); }

# User code's frame: its segment (Xen has one of its own beside Linux's), interrupts on.
user() {
	plain=$(records /tmp/out count pid=$pid arg5=1 arg4=0x33 "$@")
	xen=$(records /tmp/out count pid=$pid arg5=1 arg4=0xe033 "$@")
	echo $((plain + xen + dropped))
}

# judge N KIND...: each of `exceptions` has left N records of its probe, with these arguments.
judge() {
	wanted=$1
	shift
	for kind; do
		at=$(sed -n "s/^$kind at //p" /tmp/said)
		pages=$(sed -n "s/^$kind in //p" /tmp/said)
		error=0
		detail=0
		case $kind in
		int3) probe=int3 ;;
		icebp) probe=debug ;;
		steps) probe=debug detail=0x4000 ;;
		divide) probe=divide_error ;;
		invalid) probe=invalid_op ;;
		overflow) probe=overflow ;;
		protection) probe=general_protection ;;
		selector) probe=general_protection error=0x7ff8 ;;
		absent) probe=segment_not_present error=4 ;;
		stack) probe=stack_segment error=4 ;;
		floating) probe=coprocessor_error ;;
		simd) probe=simd_coprocessor_error ;;
		segv) probe=page_fault error=4 detail=8 ;;
		faults)
			same "$kind: pages by idt::page_fault:entry" \
				$(($(records /tmp/out pages pid=$pid function=page_fault arg0=6 arg5=1 arg6=$pages) + dropped)) $wanted
			continue
			;;
		reads)
			same "$kind: pages by idt::page_fault:entry, of the kernel" \
				$(($(records /tmp/out pages pid=$pid function=page_fault arg0=2 arg5=0 arg6=$pages) + dropped)) $wanted
			continue
			;;
		esac
		if grep -q "^$kind: none" /tmp/said; then
			echo "$kind: this processor raises none"
			continue
		fi
		same "$kind by idt::$probe:entry" \
			$(user function=$probe arg0=$error arg1=$at arg6=$detail) $wanted
	done
}
kinds="int3 icebp divide invalid overflow protection selector absent stack floating simd segv"

# At loading there is nobody yet to take them.
insmod /modules/dtrace.ko idt_own_traps=1 2>/dev/null && fail "traps of our own before there is who takes them"
insmod /modules/dtrace.ko || exit
cat $parameters/idt_probes

part "hooks are there while a probe needs them"
same "hooks without a probe" $(cat $parameters/idt_hooks) 0
echo "cat $parameters/idt_hooks" >/tmp/hooks
traced idt::page_fault:entry "sh /tmp/hooks"
same "hooks of page faults" $(cat /tmp/said) 2
traced idt::general_protection:entry "sh /tmp/hooks"
same "hooks of general protection" $(cat /tmp/said) 2

part "exceptions of user code"
traced idt::page_fault:entry "exceptions faults $many"
judge $many faults
traced idt::page_fault:entry "exceptions reads $many"
judge $many reads
traced idt::int3:entry "exceptions int3 $many"
judge $many int3
same "and no more" $(count pid=$pid) $many
traced idt::debug:entry "exceptions steps $many"
judge $many steps
traced idt:::entry "exceptions mixed $n"
judge $n faults reads steps $kinds

# Signals that a process sends are no exceptions, whatever it says of them.
traced idt:::entry "exceptions killed $n"
same "signals sent" $(sed -n 's/^killed: //p' /tmp/said) $((3 * n))
same "of which general protection" $(count pid=$pid function=general_protection) 1
same "or of the floating point" $(($(count pid=$pid function=coprocessor_error) + \
	$(count pid=$pid function=simd_coprocessor_error))) 0

# int3 and single steps in our own text are taken and resumed.
part "exceptions of the kernel"
echo "echo $n >$parameters/idt_own_traps" >/tmp/own
traced idt:::entry "sh /tmp/own"
same "int3 of the kernel's" $(count function=int3 arg5=0 arg0=0) $n
same "single steps of the kernel's" $(count function=debug arg5=0 arg6=0x4000) $n
same "taken and resumed" $(cat $parameters/idt_own_traps) $((2 * n))
# Without a probe the hook is there for as long as they take.
sh /tmp/own || fail "own traps without a probe"
same "taken and resumed without a probe" $(cat $parameters/idt_own_traps) $((4 * n))

part "neighbours, with all probes enabled and all gates hooked"
gates=/sys/kernel/debug/dtrace/gates
table=$(sed -n 's/^table: //p' $gates)
echo all >$gates || fail "gates are not hooked: $(sed -n 's/^failure: //p' $gates)"
if grep -qw pti=on /proc/cmdline; then
	same "pti=on: the gates' way" "$(sed -n 's/^backend: //p' $gates)" cpu-entry-area
fi
at_gates() { awk -v name=$1 '$1 == name && $2 == "hooked" { for (n = 3; n <= NF; n++) sum += $n } END { print sum + 0 }' $gates; }
# gates_since WHAT KNOWN: what int3 came since the last time. Those that the kernel's text poking takes, for tracepoints
# and kprobes that are switched, nobody else is told of.
were=$(at_gates int3)
gates_since() {
	are=$(at_gates int3)
	more=$((are - were - $2))
	[ $more -ge 0 ] && [ $more -lt 500 ] || fail "$1: $((are - were)) int3 at the gates, not $2"
	echo "$1: int3 at the gates: $((are - were)), of which text poking's: $more"
	were=$(at_gates int3)
}

traced idt:::entry "exceptions debugger $n"
gates_since "a debugger" $n
same "breakpoints of a debugger" $(sed -n 's/^debugger: //p' /tmp/said) $n
same "by idt::int3:entry" $(user function=int3) $n
same "its single steps by idt::debug:entry" $(user function=debug arg6=0x4000) $n

traced idt:::entry "exceptions watch $n"
same "watchpoint of a debugger" $(sed -n 's/^watch: //p' /tmp/said) $n
same "by idt::debug:entry" $(user function=debug arg6=0) $n

traced idt:::entry "exceptions perf $n"
same "breakpoints of perf" $(sed -n 's/^perf: //p' /tmp/said) $n
same "of those by idt::debug:entry" $(count pid=$pid function=debug) 0

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
	same "of those by idt::int3:entry" $(count function=int3) 0
	# One where it was put, and one behind the copy of an instruction that cannot be jumped back from.
	each=1
	[ $(($(at_gates int3) - were)) -ge $((2 * hits)) ] && each=2
	gates_since "a kprobe, $each each" $((each * hits))
	echo 0 >$tracing/events/kprobes/own_k/enable
	echo >$tracing/kprobe_events
fi

if [ -e $tracing/uprobe_events ]; then
	program=$(command -v exceptions)
	at=$(exceptions offset 0 | sed 's/^offset: //')
	echo "p:own_u $program:$at" >$tracing/uprobe_events || fail "no uprobe"
	echo 1 >$tracing/events/uprobes/own_u/enable
	traced idt:::entry "exceptions passes $n"
	same "hits of a uprobe" $(awk '/own_u/ { print $3 }' $tracing/uprobe_profile) $n
	same "by idt::int3:entry" $(user function=int3) $n
	# A process that has one gets its own int3 as well.
	traced idt::int3:entry "exceptions int3 $n"
	judge $n int3
	gates_since "a uprobe, and a process that has it" $((2 * n))
	echo 0 >$tracing/events/uprobes/own_u/enable
	echo >$tracing/uprobe_events
fi

part "text is patched while int3 come"
(
	for turn in $(seq 20); do
		echo 1 >$tracing/events/syscalls/enable
		echo 1 >$tracing/events/sched/enable
		echo 0 >$tracing/events/sched/enable
		echo 0 >$tracing/events/syscalls/enable
	done
) &
patcher=$!
traced idt::int3:entry "exceptions int3 $many"
judge $many int3
traced idt::int3:entry "sh /tmp/own"
same "int3 of the kernel's while text is patched" $(count arg5=0) $n
wait $patcher || fail "events could not be switched"
gates_since_patching=$(($(at_gates int3) - were - many - n))
echo "int3 at the gates that text poking took: $gates_since_patching"
[ $gates_since_patching -ge 0 ] || fail "the gates missed some"

part "NMIs, interrupts, refusals"
counted() {
	rm -f /tmp/out
	dtrace --json -n $1 --count -o /tmp/out -c "$2" >/tmp/said 2>&1
	sed -n 's/.*"value":\([0-9]*\).*/\1/p' /tmp/out
}
nmis=$(counted idt::nmi:entry "stress guest --seconds 1")
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

part "under a storm of calls"
stress guest --pattern mixed --seconds 100000 >/tmp/storm 2>&1 &
storm=$!
usleep 1000000
few=200
[ -n "$all" ] && few=$many
traced idt:::entry "exceptions mixed $few"
judge $few faults reads steps $kinds
traced idt:::entry "sh /tmp/own"
same "int3 of the kernel's" $(count function=int3 arg5=0) $n
kill -INT $storm
wait $storm
tail -n 3 /tmp/storm

part end
echo none >$gates || fail "gates are not restored: $(sed -n 's/^failure: //p' $gates)"
same "the table" "$(sed -n 's/^table: //p' $gates)" "$table"
same "hooks at the end" $(cat $parameters/idt_hooks) 0
rmmod dtrace || exit
[ -z "$failed" ] || exit 3
