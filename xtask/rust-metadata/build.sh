#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build.sh KERNEL SERIES OUT: run in the sysroot. Rebuilds what Debian's headers of a kernel with
# CONFIG_RUST lack for Rust modules (rust/*.rmeta, the proc macros, scripts/target.json), from
# the headers and the rust/ folder of linux-source-SERIES. OUT gets rust/ and target.json.
set -eu
kernel=$1 series=$2 out=$3
here=$(dirname "$0")
headers=/usr/src/linux-headers-$kernel
version=${kernel%-amd64}
work=/tmp/rust-metadata

# A writable copy of the three packages' folders, linked as the packages link them.
rm -rf "$work"
mkdir -p "$work/recipe"
cp -a "/usr/lib/linux-kbuild-$version" "$work/kbuild"
cp -a "/usr/src/linux-headers-$version-common" "$work/source"
cp -a "$headers" "$work/object"
rm -rf "$work/object/rust" "$work/kbuild/scripts/target.json"
for folder in source object; do
	for link in scripts tools; do
		ln -sfn "../kbuild/$link" "$work/$folder/$link"
	done
done
printf 'KBUILD_OUTPUT=%s\ninclude %s\n' "$work/object" "$work/source/Makefile" \
	>"$work/object/Makefile"

# Of the source only what rust/ reads.
source=linux-source-$series
tar -xJf "/usr/src/$source.tar.xz" -C "$work/source" --strip-components=1 \
	"$source/rust" \
	"$source/.clippy.toml" \
	"$source/drivers/base/base.h" \
	"$source/include/trace/events/rust_sample.h" \
	"$source/scripts/generate_rust_target.rs" \
	"$source/scripts/rust_is_available_bindgen_libclang.h"

cp "$here/Kbuild" "$work/recipe/"
make -C "$work/object" M="$work/recipe" -j"$(nproc)" modules

# A module links against the running kernel: what it exports must be what we have built.
awk '$2 ~ /^_R/ { print $2 }' "$headers/Module.symvers" | sort -u >"$work/exported"
nm -p --defined-only "$work"/object/rust/*.o | awk 'NF == 3 { print $3 }' | sort -u >"$work/built"
comm -23 "$work/exported" "$work/built" >"$work/missing"
if [ ! -s "$work/exported" ]; then
	echo "kernel $kernel: Module.symvers names no Rust symbol: no CONFIG_RUST?"
	exit 1
fi
if [ -s "$work/missing" ]; then
	echo "kernel $kernel: exported Rust symbols that our build lacks:"
	head -n 20 "$work/missing"
	exit 1
fi
echo "all $(wc -l <"$work/exported") exported Rust symbols match"

mkdir -p "$out/rust"
cp "$work"/object/rust/*.rmeta "$work"/object/rust/*.so "$out/rust/"
cp "$work/kbuild/scripts/target.json" "$out/"
