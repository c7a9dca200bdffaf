#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# enter.sh SYSROOT REPOSITORY BUILD CACHE [NAME=VALUE]... PROGRAM [ARGUMENT]...
# Runs a program in the sysroot. To be started in mount and process namespaces of its own: the
# mounts made here vanish with them.
set -eu
root=$1 repository=$2 build=$3 cache=$4
shift 4
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$cache" "$root/cache"
exec "$(dirname "$0")/run-in.sh" "$root" "$repository" "$build" "$@"
