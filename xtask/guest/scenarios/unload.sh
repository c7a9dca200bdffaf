#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# 50 times load and unload: every time clean.
# load: no

for round in $(seq 50); do
	insmod /modules/xcall.ko || exit
	rmmod xcall || exit
done
echo "50 rounds"
