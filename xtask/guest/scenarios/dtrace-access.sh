#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Who may open /dev/dtrace/dtrace: root with CAP_SYS_ADMIN in the initial user namespace, as long as the
# kernel is not locked down to confidentiality, which dtrace.ko says in the log.
# platform: native
# timeout: 300

fail() {
	echo "dtrace-access: $*" >&2
	exit 3
}

insmod /modules/dtrace.ko || exit
dtrace-access || exit

mount -t securityfs securityfs /sys/kernel/security || fail "no securityfs"
[ -w /sys/kernel/security/lockdown ] || fail "a kernel without lockdown"
dtrace-access lockdown || exit
dtrace -n BEGIN -c true && fail "dtrace traced"
dmesg | grep -q "dtrace: refused by kernel lockdown" || fail "the log does not name lockdown"
dmesg | grep -i lockdown

# It goes as ever; it does not come again, as it is not signed.
rmmod dtrace || fail "it stays"
insmod /modules/dtrace.ko && fail "an unsigned module was loaded"
dmesg | grep -q "Lockdown: insmod: unsigned module loading is restricted" || fail "not by lockdown"
