// SPDX-License-Identifier: GPL-2.0
/*
 * What is held, in /sys/module/dtrace/parameters. See shim.h for contexts. Root's to
 * read: reading waits for what ioctls are at.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

#include "shim.h"

int dtrace_shim_set_nothing(const char *value, const struct kernel_param *param)
{
	return -EPERM;
}

static int dtrace_shim_get_held(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%llu\n", dtrace_held((unsigned long)param->arg));
}

static const struct kernel_param_ops dtrace_held_ops = {
	.set = dtrace_shim_set_nothing,
	.get = dtrace_shim_get_held,
};

module_param_cb(consumers, &dtrace_held_ops, (void *)0UL, 0400);
MODULE_PARM_DESC(consumers, "To be read: open files of /dev/dtrace/dtrace");

module_param_cb(held_bytes, &dtrace_held_ops, (void *)1UL, 0400);
MODULE_PARM_DESC(held_bytes, "To be read: memory that consumers hold, in bytes; 0 when there are none");

module_param_cb(held_objects, &dtrace_held_ops, (void *)2UL, 0400);
MODULE_PARM_DESC(held_objects, "To be read: the same, in allocations");

module_param_cb(memory_bytes, &dtrace_held_ops, (void *)3UL, 0400);
MODULE_PARM_DESC(memory_bytes, "To be read: all memory, that of probes too, in bytes");
