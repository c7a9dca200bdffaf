#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Gates of the IDT where user space has page tables of its own: stubs in the cpu_entry_area.
# like: gates
# platform: native
# append: pti=on
# timeout: 600
# timeout-all: 3600
