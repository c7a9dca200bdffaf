#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# enter-copy.sh SYSROOT REPOSITORY BUILD [NAME=VALUE]... PROGRAM [ARGUMENT]...
# As enter.sh, but what the program changes in the sysroot stays in memory and vanishes with it: a
# machine that one may install on. Only /build keeps what is written there.
set -eu
root=$1 repository=$2 build=$3
shift 3
# Empty in every Debian tree, and not in the way of the places above.
memory=$root/mnt
mount -t tmpfs tmpfs "$memory"
mkdir "$memory/changes" "$memory/work" "$memory/root"
mount -t overlay -o "lowerdir=$root,upperdir=$memory/changes,workdir=$memory/work" \
	overlay "$memory/root"
exec "$(dirname "$0")/run-in.sh" "$memory/root" "$repository" "$build" "$@"
