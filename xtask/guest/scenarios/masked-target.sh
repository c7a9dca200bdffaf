#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A CPU that masks everything for a while: the timeouts name it, and when it comes back it does
# not run the withdrawn calls.
# timeout: 600

stress guest --mask-target 2 --seconds 20 --json >/tmp/report
status=$?
cat /tmp/report
grep -q '"first_timeout":{"cpu":2,' /tmp/report || { echo "no timeout named CPU 2" >&2; exit 3; }
dmesg | grep 'xcall: call #' | tail -n 5
exit $status
