#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# take-installed.sh RELEASE: copies xcall.ko and dtrace.ko, as modprobe finds them, to /build.
set -eu
release=$1
modprobe --set-version "$release" --show-depends dtrace
for name in xcall dtrace; do
	module=$(modinfo -k "$release" -n $name)
	case $module in
	*.xz) xz --decompress --stdout "$module" >/build/$name.ko ;;
	*) cp "$module" /build/$name.ko ;;
	esac
done
