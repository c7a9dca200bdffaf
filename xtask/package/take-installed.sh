#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# take-installed.sh RELEASE: copies xcall.ko, as modprobe finds it, to /build.
set -eu
release=$1
modprobe --set-version "$release" --show-depends xcall
module=$(modinfo -k "$release" -n xcall)
case $module in
*.xz) xz --decompress --stdout "$module" >/build/xcall.ko ;;
*) cp "$module" /build/xcall.ko ;;
esac
