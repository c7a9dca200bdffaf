#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dkms.sh RELEASE VERSION
# What the package xcall-dkms goes through on a user's machine. Run in a copy of the sysroot, with the
# package in /build, and dkms and what it needs in /build/packages. Leaves in /build: the modules as
# dkms built them, the log of that build, and the sample as a user would build it.
set -eu
release=$1 version=$2
export DEBIAN_FRONTEND=noninteractive
headers=/lib/modules/$release/build
kept=/var/lib/dkms/xcall/$version/$release/x86_64

say() {
	echo "== $*"
}

fail() {
	echo "dkms.sh: $*" >&2
	exit 1
}

say "a machine with one kernel, its headers, and no Rust"
# The sysroot does without documentation.
rm -f /etc/dpkg/dpkg.cfg.d/*
for modules in /lib/modules/*; do
	[ "$modules" = "/lib/modules/$release" ] || rm -r "$modules"
done
rm -rf /usr/lib/rustlib /usr/bin/rust* /usr/bin/cargo* /usr/bin/clippy* /usr/bin/bindgen*
! command -v rustc || fail "there is a rustc"
# Where the sysroot has a kernel without its modules.
[ -e "/lib/modules/$release/modules.dep" ] || depmod "$release"
apt-get install --yes --no-install-recommends /build/packages/*.deb
dkms --version

files() {
	find / -xdev | sort
}
files >/tmp/before

say "install"
apt-get install --yes --no-install-recommends /build/*.deb
dkms status
dkms status -m xcall -v "$version" -k "$release" | grep -q installed || fail "not installed"
cp "$kept/log/make.log" /build/make.log
sh /repo/xtask/package/take-installed.sh "$release"

say "the command"
[ "$(command -v dtrace)" = /usr/sbin/dtrace ] || fail "no dtrace"
dtrace -V
ldd /usr/sbin/dtrace 2>&1 | grep -E 'statically|not a dynamic' || fail "dtrace is not static"
! grep -q -a -e /repo/ -e /.cargo/ /usr/sbin/dtrace || fail "dtrace tells where it was built"
zcat /usr/share/man/man8/dtrace.8.gz | grep '^\.TH dtrace 8' || fail "no manual page"
for file in bash-completion/completions/dtrace zsh/vendor-completions/_dtrace fish/vendor_completions.d/dtrace.fish; do
	grep -q dtrace "/usr/share/$file" || fail "no $file"
done
bash -n /usr/share/bash-completion/completions/dtrace || fail "completions for bash"
! dpkg -L xcall-dkms | grep -E '/(udev|modules-load\.d|modprobe\.d|systemd)(/|$)' || fail "it changes what is loaded"
cp /usr/sbin/dtrace /build/dtrace

say "the sample, as README.Debian has it"
cp -r /usr/share/doc/xcall-dkms/examples/xcall_sample /tmp
make -C /tmp/xcall_sample KDIR="$headers" XCALL="/usr/src/xcall-$version" \
	SYMVERS="$kept/module/Module.symvers" 2>&1 | tee --append /build/make.log
cp /tmp/xcall_sample/xcall_sample.ko /build

say "kernels that are refused"
dkms unbuild -m xcall -v "$version" -k "$release"
cp -r "$headers/.config" "$headers/include/config/auto.conf" /tmp
# refused NAME CHANGE: with CHANGE made to the configuration, by dkms and by make, and NAME is said.
refused() {
	sed -i "$2" "$headers/.config" "$headers/include/config/auto.conf"
	status=0
	dkms build -m xcall -v "$version" -k "$release" >/tmp/said 2>&1 || status=$?
	cat /tmp/said
	[ "$status" = 77 ] || fail "$1: dkms build: status $status, not 77"
	grep -q "not for kernel $release: .*$1" /tmp/said || fail "$1: dkms does not say it"
	# Must not stop apt from installing such a kernel, but see dkms.conf.
	dkms --version | grep -qF 3.0.10 ||
		dkms autoinstall -k "$release" >/tmp/said 2>&1 || fail "$1: dkms autoinstall fails"
	status=0
	make -C "$headers" "M=/usr/src/xcall-$version" modules >/tmp/said 2>&1 || status=$?
	[ "$status" != 0 ] || fail "$1: make does not stop"
	grep "xcall: this kernel is not served.*$1" /tmp/said || { cat /tmp/said; fail "$1: make does not say it"; }
	cp /tmp/.config "$headers/.config"
	cp /tmp/auto.conf "$headers/include/config/auto.conf"
}
refused CONFIG_CFI '$aCONFIG_CFI_CLANG=y'
refused CONFIG_MITIGATION_RETPOLINE '/RETPOLINE=y/d'
refused CONFIG_MITIGATION_RETHUNK '/RETHUNK=y/d'
refused CONFIG_FRAME_POINTER '$aCONFIG_FRAME_POINTER=y'
refused CONFIG_X86_64 '/CONFIG_X86_64=y/d'
unfit=$("/usr/src/xcall-$version/unfit" "$headers/.config" 5.10.0-9-amd64)
echo "$unfit" | grep 'older than 6.1' || fail "5.10: not refused"
[ -z "$("/usr/src/xcall-$version/unfit" "$headers/.config" "$release")" ] || fail "refused: $release"
dkms autoinstall -k "$release"
dkms status -m xcall -v "$version" -k "$release" | grep -q installed || fail "not installed again"

say "remove"
dpkg --remove xcall-dkms
files >/tmp/after
# dkms signs modules with a key that it makes for the first one and keeps; depmod's tables, dpkg's
# own records and logs are rewritten.
others='^/var/lib/dkms/mok|^/(usr/)?lib/modules/[^/]+/modules\.|^/var/(log|lib/dpkg|lib/apt|cache)/'
left=$(comm -13 /tmp/before /tmp/after | grep -Ev "$others" || true)
[ -z "$left" ] || fail "left behind: $left"
gone=$(comm -23 /tmp/before /tmp/after | grep -Ev "$others" || true)
[ -z "$gone" ] || fail "taken away: $gone"
if grep -l xcall "/lib/modules/$release"/modules.* 2>/dev/null; then
	fail "depmod's tables still have it"
fi
! dpkg --status xcall-dkms >/dev/null 2>&1 || fail "dpkg still knows it"
[ -z "$(dkms status)" ] || fail "dkms still knows it"
say "nothing is left"
