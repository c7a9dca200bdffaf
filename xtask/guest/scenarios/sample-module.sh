#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A C module on xcall's interface: it loads when every count is right, and does not when one is
# wrong; meanwhile it holds xcall.ko in place.

sample=/modules/xcall_sample.ko
if insmod $sample miscount=1 2>/dev/null; then
	echo "it loaded with a wrong count" >&2
	exit 3
fi
dmesg | grep 'xcall_sample: .* runs, not ' || exit 3

insmod $sample || exit
dmesg | grep 'xcall_sample: ' | tail -n 9
# A line for each kind of call, and none that says otherwise.
good=$(dmesg | grep -c 'xcall_sample: .*: ok, [0-9]* runs')
[ $good = 8 ] || { echo "$good good lines, not 8" >&2; exit 3; }
if rmmod xcall 2>/dev/null; then
	echo "xcall.ko went while it was used" >&2
	exit 3
fi
rmmod xcall_sample
