#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What save-restore would see if event channels were not made anew: modules that do not hear of the
# restore. Ordinary calls time out then, NMI-safe ones climb to Xen's NMI.
# platform: xen-pv-domu
# memory: 256
# without: XEN_RESUME
# timeout: 1200

fail() {
	echo "$*" >&2
	exit 3
}

suspends() {
	dmesg | grep -c 'suspending xenstore'
}

stress guest --doorbell event-channel --calls 500 --json || exit
echo @save-restore
for turn in $(seq 900); do
	[ $(suspends) = 0 ] || break
	usleep 200000
done
[ $(suspends) = 1 ] || fail "nothing came of it"

cat /sys/kernel/debug/xcall/selftest >/tmp/selftest
cat /tmp/selftest
grep -q '^event-channel, .* FAILED ' /tmp/selftest || fail "event channels serve all the same"
# Callers answer each other while they wait: the first CPU here never calls.
stress guest --doorbell event-channel --pattern hotspot --deadline-ms 500 --calls 12 --json >/tmp/report
status=$?
cat /tmp/report
[ $status = 1 ] || fail "event channels serve all the same: exit status $status"
grep -q '"timeouts":[1-9]' /tmp/report || fail "no timeout was reported"
for doorbell in ipi xen-nmi; do
	stress guest --doorbell $doorbell --pattern mixed --calls 500 --json || exit
done
stress guest --pattern hotspot --irqs off --calls 200 --json >/tmp/report
status=$?
cat /tmp/report
[ $status = 0 ] || exit $status
grep -q '"escalations":[1-9]' /tmp/report || fail "no call climbed"
