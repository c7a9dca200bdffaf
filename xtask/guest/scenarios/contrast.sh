#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The tool sees failure: with a maskable doorbell alone, interrupts off and waiters that do not
# drain their own mailboxes, calls time out.
# platform: xen-pv
# status: 1

stress guest --doorbell event-channel --irqs off --no-self-drain --seconds 10 --json >/tmp/report
status=$?
cat /tmp/report
grep -q '"timeouts":[1-9]' /tmp/report || { echo "no timeout was reported" >&2; exit 3; }
exit $status
