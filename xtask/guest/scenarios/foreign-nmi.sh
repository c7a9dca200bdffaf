#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# An NMI of somebody else's is not swallowed: one that comes a while after a storm of ours is
# reported as unknown. With the time real machines have for our NMIs to arrive; an emulated CPU may
# be late with one of ours, so what counts is the line more.
# append: xcall.nmi_credit_ms=100
# ignore: Uhhuh
# ignore: Dazed

unknown() {
	dmesg | grep -c 'NMI received for unknown reason'
}

doorbell=$(stress guest --list-doorbells | grep 'nmi$')
stress guest --doorbell $doorbell --irqs off --seconds 5 || exit
sleep 1
before=$(unknown)
echo @inject-nmi
for turn in $(seq 150); do
	[ $(unknown) = $before ] || { echo "the foreign NMI was reported"; exit 0; }
	usleep 200000
done
echo "the foreign NMI was swallowed" >&2
exit 3
