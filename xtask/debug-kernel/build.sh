#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build.sh SERIES FOLDER: run in the sysroot, with linux-source-SERIES unpacked in FOLDER/package.
# Builds a kernel with the configuration beside this script, in FOLDER itself.
set -eu
series=$1 folder=$2
cd "$folder"
tar -xJf "package/usr/src/linux-source-$series.tar.xz" --strip-components=1
rm -r package

make -s x86_64_defconfig
scripts/kconfig/merge_config.sh -m .config recipe/config >/dev/null
make -s olddefconfig
grep '^CONFIG' recipe/config | while read -r line; do
	grep -qx "$line" .config || echo "$line"
done >missing
if [ -s missing ]; then
	echo "linux-source-$series cannot have:"
	cat missing
	exit 1
fi

make -j"$(nproc)" bzImage modules

# Module builds need no object of the kernel's own.
find . -path ./scripts -prune -o -path ./tools -prune -o \
	\( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \) -type f -exec rm {} +
