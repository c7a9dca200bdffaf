#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The system calls, page faults and breakpoints of a workload on every CPU, counted by program while CPUs
# call each other in every way xcall has; then where each firing went. What `cargo xtask run` ends with.
seconds=$1

insmod /modules/dtrace.ko || exit
stress guest --pattern mixed --seconds "$seconds" --json >/tmp/storm &
storm=$!
cat >/bin/workload <<'END'
#!/bin/sh
# On each CPU: programs started, folders listed, files read and written. And a debugger's breakpoint.
for cpu in $(seq 0 $(($(grep -c ^processor /proc/cpuinfo) - 1))); do
	taskset "$(printf %x $((1 << cpu)))" sh -c '
		for round in 1 2 3; do
			ls -lR /proc/self /sys/bus >/dev/null 2>&1
			find /sys/devices -name uevent | head -n 200 | xargs cat >/dev/null
			dd if=/dev/zero of=/tmp/file.$$ bs=4k count=50 2>/dev/null
		done' &
done
exceptions debugger 100 >/dev/null
wait
END
chmod +x /bin/workload
dtrace -P syscall -n idt::page_fault:entry -n idt::int3:entry -n idt::debug:entry \
	--count --by execname,probefunc,probename --accounting -c workload -o /tmp/trace 2>/tmp/trace.err
traced=$?
wait $storm
stormed=$?
cat /tmp/trace.err >&2
cat /tmp/storm
# What comes most often is last, before the accounting.
accounting=$(grep -n "^CPU  *hits" /tmp/trace | cut -d: -f1)
head -n $((accounting - 1)) /tmp/trace | grep -w entry >/tmp/entries
exceptions='page_fault|int3|debug'
echo "the dozen system calls made most often, by program:"
grep -vwE "$exceptions" /tmp/entries | tail -n 12
echo "page faults and breakpoints (int3, and the single steps over them), by program:"
grep -wE "$exceptions" /tmp/entries | tail -n 12
echo "where each firing went:"
tail -n +"$accounting" /tmp/trace
rmmod dtrace || exit
[ $traced = 0 ] && [ $stormed = 0 ]
