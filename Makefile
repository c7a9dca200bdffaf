# SPDX-License-Identifier: GPL-2.0
# xcall.ko, dtrace.ko and xcall_stress.ko for one kernel, the running one unless KDIR says otherwise, and
# the command dtrace.
# To try them in virtual machines instead: cargo xtask run
KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
# Static, so that it serves any distribution.
target := x86_64-unknown-linux-gnu
DTRACE ?= target/command/$(target)/release/dtrace
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) XCALL_TO_INSTALL=1 $1

.PHONY: modules command install install-command clean clippy help

modules: vendor
	+$(call kbuild,modules)

# The command dtrace; takes cargo.
command:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release --target $(target) \
		--target-dir target/command --package dtrace

# As root. Then: modprobe xcall, modprobe dtrace
install:
	+$(call kbuild,modules_install)
	depmod -a "$$($(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease)"
	+@if [ -x $(DTRACE) ]; then $(MAKE) install-command; \
		else echo 'dtrace, the command, is not installed: make command, with cargo, builds it'; fi

install-command:
	install -D -m 755 $(DTRACE) $(DESTDIR)$(PREFIX)/sbin/dtrace
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man8 bash-completion/completions \
		zsh/site-functions fish/vendor_completions.d)
	$(DTRACE) --generate man >$(DESTDIR)$(PREFIX)/share/man/man8/dtrace.8
	$(DTRACE) --generate bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/dtrace
	$(DTRACE) --generate zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dtrace
	$(DTRACE) --generate fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dtrace.fish

clean:
	+$(call kbuild,clean)

clippy: vendor
	+$(call kbuild,CLIPPY=1 modules)

# The crates that go into the modules, in the versions of Cargo.lock.
vendor:
	cargo vendor --locked --quiet vendor

help:
	@echo 'make              build the modules for the running kernel'
	@echo 'make command      build the command dtrace, with cargo'
	@echo 'make install      install them, as root; then: modprobe dtrace'
	@echo 'make clean        remove what was built'
	@echo 'make clippy       build with clippy, every warning an error'
	@echo 'make KDIR=DIR     for another kernel: its headers, /usr/src/linux-headers-VERSION'
	@echo 'Needs: linux-headers, rustc 1.85 or newer, rust-src, gcc, make; cargo for the crates.'
	@echo 'Without Rust: the package xcall-dkms, made by cargo xtask package'
