#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# make-install.sh RELEASE
# `make && make install` on a user's machine, with rustc, from the sources that the package carries.
# Run in a copy of the sysroot, with source.tar.xz in /build. Leaves xcall.ko and dtrace.ko there.
set -eu
release=$1
headers=/lib/modules/$release/build
cd /tmp
tar -xJf /build/source.tar.xz
cd xcall-*
# They have the crates with them.
! command -v cargo || { echo "make-install.sh: there is a cargo" >&2; exit 1; }
make "KDIR=$headers" >/build/make.log 2>&1 || { cat /build/make.log; exit 1; }
make "KDIR=$headers" install
installed=$(find "/lib/modules/$release/updates" -name '*.ko*' | sed 's,.*/,,; s,\..*,,' | sort | tr '\n' ' ')
[ "$installed" = "dtrace xcall xcall_stress " ] || { echo "make-install.sh: installed: $installed" >&2; exit 1; }
sh /repo/xtask/package/take-installed.sh "$release"
