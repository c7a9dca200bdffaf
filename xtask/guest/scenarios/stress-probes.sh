#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# System calls in known numbers on all CPUs: dtrace.ko accounts for each, with room for all records and
# without, while one enabling lasts and while enablings come and go.
# timeout: 900
# timeout-all: 1800

seconds=10
[ -n "$all" ] && seconds=60
insmod /modules/dtrace.ko || exit
for buffer in 1m 2k; do
	echo "buffers of $buffer"
	stress probes --calls 20000 --seconds $seconds --buffer $buffer || { status=$?; rmmod dtrace; exit $status; }
done
rmmod dtrace
