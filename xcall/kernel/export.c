// SPDX-License-Identifier: GPL-2.0
/* The exported symbols. Rust defines them, in export.rs. */
#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/stddef.h>

#include "include/xcall.h"

EXPORT_SYMBOL_GPL(xcall_call);
EXPORT_SYMBOL_GPL(xcall_call_many);
EXPORT_SYMBOL_GPL(xcall_call_all);
EXPORT_SYMBOL_GPL(xcall_post);
EXPORT_SYMBOL_GPL(xcall_post_many);
EXPORT_SYMBOL_GPL(xcall_flush);
EXPORT_SYMBOL_GPL(xcall_now_ns);
EXPORT_SYMBOL_GPL(xcall_cpu_stats);
EXPORT_SYMBOL_GPL(xcall_total_stats);
EXPORT_SYMBOL_GPL(xcall_doorbell);
EXPORT_SYMBOL_GPL(xcall_latency);
EXPORT_SYMBOL_GPL(xcall_select_doorbells);
EXPORT_SYMBOL_GPL(xcall_set_ring_filter);
EXPORT_SYMBOL_GPL(xcall_nmi_counts);

/* interface/lib.rs says the same. */
static_assert(sizeof(struct xcall_work) == 32);
static_assert(offsetof(struct xcall_work, within_ns) == 24);
static_assert(sizeof(struct xcall_cpus) == 36);
static_assert(sizeof(struct xcall_report) == 104);
static_assert(offsetof(struct xcall_report, age_ns) == 80);
static_assert(sizeof(struct xcall_stats) == 400);
static_assert(sizeof(struct xcall_doorbell) == 40);
static_assert(sizeof(struct xcall_nmi_counts) == 24);
