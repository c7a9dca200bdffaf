#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# run-in.sh ROOT REPOSITORY BUILD [NAME=VALUE]... PROGRAM [ARGUMENT]...
# Mounts what every program in a tree sees, and runs it there: the end of enter.sh and enter-copy.sh.
set -eu
root=$1 repository=$2 build=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$repository" "$root/repo"
mount -o remount,bind,ro "$root/repo"
mount --bind "$build" "$root/build"
exec chroot "$root" /usr/bin/env --ignore-environment "$@"
