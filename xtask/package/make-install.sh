#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# make-install.sh RELEASE
# `make && make install` on a user's machine, with rustc, from the sources that the package carries.
# Run in a copy of the sysroot, with source.tar.xz in /build, and the command as `make command` makes it,
# which takes cargo. Leaves xcall.ko and dtrace.ko there.
set -eu
release=$1
headers=/lib/modules/$release/build
cd /tmp
tar -xJf /build/source.tar.xz
cd xcall-*
# They have the crates with them.
! command -v cargo || { echo "make-install.sh: there is a cargo" >&2; exit 1; }
make "KDIR=$headers" >/build/make.log 2>&1 || { cat /build/make.log; exit 1; }
make "KDIR=$headers" DTRACE=/build/dtrace install
/usr/local/sbin/dtrace -V
for file in man/man8/dtrace.8 bash-completion/completions/dtrace zsh/site-functions/_dtrace \
	fish/vendor_completions.d/dtrace.fish; do
	[ -s "/usr/local/share/$file" ] || { echo "make-install.sh: no $file" >&2; exit 1; }
done
installed=$(find "/lib/modules/$release/updates" -name '*.ko*' | sed 's,.*/,,; s,\..*,,' | sort | tr '\n' ' ')
[ "$installed" = "dtrace xcall xcall_stress " ] || { echo "make-install.sh: installed: $installed" >&2; exit 1; }
sh /repo/xtask/package/take-installed.sh "$release"
