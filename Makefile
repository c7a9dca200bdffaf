# SPDX-License-Identifier: GPL-2.0
# xcall.ko and xcall_stress.ko for one kernel, the running one unless KDIR says otherwise.
# To try them in virtual machines instead: cargo xtask run
KDIR ?= /lib/modules/$(shell uname -r)/build
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) XCALL_TO_INSTALL=1 $1

.PHONY: modules install clean clippy help

modules: vendor
	+$(call kbuild,modules)

# As root. Then: modprobe xcall
install:
	+$(call kbuild,modules_install)
	depmod -a "$$($(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)"

clean:
	+$(call kbuild,clean)

clippy: vendor
	+$(call kbuild,CLIPPY=1 modules)

# The crates that go into the modules, in the versions of Cargo.lock.
vendor:
	cargo vendor --locked --quiet vendor

help:
	@echo 'make              build the modules for the running kernel'
	@echo 'make install      install them, as root; then: modprobe xcall'
	@echo 'make clean        remove what was built'
	@echo 'make clippy       build with clippy, every warning an error'
	@echo 'make KDIR=DIR     for another kernel: its headers, /usr/src/linux-headers-VERSION'
	@echo 'Needs: linux-headers, rustc 1.85 or newer, rust-src, gcc, make; cargo for the crates.'
	@echo 'Without Rust: the package xcall-dkms, made by cargo xtask package'
