#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# An NMI of somebody else's is not swallowed: one that comes a while after a storm of ours is
# reported as unknown, and during the storm none of ours is.
# ignore: Uhhuh
# ignore: Dazed

unknown() {
	dmesg | grep -c 'NMI received for unknown reason'
}

doorbell=$(stress guest --list-doorbells | grep 'nmi$')
stress guest --doorbell $doorbell --irqs off --seconds 5 || exit
[ $(unknown) = 0 ] || { echo "an NMI of ours was reported as unknown" >&2; exit 3; }
sleep 1
echo @inject-nmi
for turn in $(seq 150); do
	[ $(unknown) = 0 ] || { echo "the foreign NMI was reported"; exit 0; }
	usleep 200000
done
echo "the foreign NMI was swallowed" >&2
exit 3
