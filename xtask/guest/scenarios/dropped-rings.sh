#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# 30 % of the rings dropped: nothing lost, calls rung for again.
# timeout: 600

for doorbell in $(stress guest --list-doorbells); do
	stress guest --doorbell $doorbell --irqs off --drop 30 --seconds 5 --json >/tmp/report
	status=$?
	cat /tmp/report
	[ $status = 0 ] || exit $status
	grep -q '"rerings":[1-9]' /tmp/report || { echo "$doorbell: no re-ring" >&2; exit 3; }
	grep -q '"faults":[1-9]' /tmp/report || { echo "$doorbell: no ring dropped" >&2; exit 3; }
done
