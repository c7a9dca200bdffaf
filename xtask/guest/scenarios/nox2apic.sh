#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# xAPIC mode, where two register writes make one IPI: calls from NMIs beside TLB shootdowns from
# every CPU; nothing is lost on either side.
# platform: native
# append: nox2apic
# timeout: 600

shootdown 10 >/tmp/shootdown &
stress guest --pattern from-nmi --doorbell nmi --seconds 10 || exit
wait $! || { echo "shootdown: failed" >&2; exit 3; }
cat /tmp/shootdown
grep -q '^[1-9]' /tmp/shootdown
