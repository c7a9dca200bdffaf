#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# /sys/kernel/debug/xcall: root's alone, readable, and the self-test passes, beside a storm too.
# stress report makes a page of a storm, stress top reads what the guest counts.
# timeout: 600

folder=/sys/kernel/debug/xcall
fail() {
	echo "$1" >&2
	exit 3
}

for file in doorbells stats latency selftest; do
	mode=$(stat -c %a $folder/$file)
	[ "$mode" = 400 ] || fail "$file: mode $mode"
	echo "$file:"
	cat $folder/$file >/tmp/$file || fail "$file: cannot be read"
	cat /tmp/$file
done
tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || fail "the self-test failed"
doorbells=$(stress guest --list-doorbells)
for doorbell in $doorbells; do
	grep -q "^$doorbell, .* ok " /tmp/selftest || fail "$doorbell: not tried"
done

stress report guest --pattern mixed --seconds 3 --output /tmp/page || fail "stress report"
grep -q 'every call ran exactly once' /tmp/page || fail "stress report: no verdict"
# A histogram at least, and two heat maps.
[ $(grep -o '<svg' /tmp/page | wc -l) -ge 3 ] || fail "stress report: no charts"

# Beside a storm with posted calls, which may take every slot for a while.
stress guest --detach --pattern mixed --seconds 3600 >/dev/null || fail "no storm"
for round in 1 2 3; do
	cat $folder/selftest >/tmp/selftest
	tail -n 1 /tmp/selftest | grep -q ' 0 failed$' || { cat /tmp/selftest; fail "beside a storm"; }
done
# A busy host may stop a guest for longer than an interval.
for round in $(seq 20); do
	stress top --once --json --every 3 >/tmp/top || fail "stress top"
	grep -q '"calls_per_s":[1-9]' /tmp/top && grep -q '"p50_ns":[1-9]' /tmp/top && break
done
cat /tmp/top
grep -q '"calls_per_s":[1-9]' /tmp/top || fail "stress top saw no calls"
grep -q '"p50_ns":[1-9]' /tmp/top || fail "stress top saw no latencies"
# The storm ends with its module, and its calls with it.
rmmod xcall_stress || exit
grep -q '^all ' $folder/stats
