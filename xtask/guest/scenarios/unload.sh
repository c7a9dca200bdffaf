#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# 50 times: the storm module goes in mid-storm, with posted calls outstanding, and xcall.ko at
# once after it; before that, while it is used, xcall.ko must stay.
# load: no
# timeout: 900

for round in $(seq 50); do
	insmod /modules/xcall.ko || exit
	insmod /modules/xcall_stress.ko || exit
	stress guest --detach --pattern posted --seconds 60 >/dev/null || exit
	usleep 200000
	if rmmod xcall 2>/dev/null; then
		echo "round $round: xcall.ko went while it was used" >&2
		exit 1
	fi
	rmmod xcall_stress || exit
	rmmod xcall || exit
done
echo "50 rounds"
