#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A machine whose TSC is no clock: the scheduler's clock then stands still while interrupts are off,
# and time limits must be kept all the same. A CPU that masks everything makes calls run into them.
# And the HPET, which is the clock then, makes readers wait for each other, except in an NMI: a called
# function that reads it must not wait for one below an NMI that waits for that function.
# platform: native
# append: tsc=unstable
# timeout: 600

source=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
[ "$source" != tsc ] || { echo "the clock source is the TSC all the same" >&2; exit 3; }
for irqs in on off; do
	stress guest --mask-target 2 --irqs $irqs --seconds 10 --json >/tmp/report
	status=$?
	cat /tmp/report
	grep -q '"first_timeout":{"cpu":2,' /tmp/report || { echo "no timeout named CPU 2" >&2; exit 3; }
	[ $status = 0 ] || exit $status
done

for seed in $(seq 12); do
	stress guest --pattern nested --irqs off --doorbell nmi --cpus 0-1 --seconds 3 --seed $seed --json || exit
done
