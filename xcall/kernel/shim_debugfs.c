// SPDX-License-Identifier: GPL-2.0
/* The part of the shim that shows files. See shim.h for contexts. */
#include "compat.h" /* First: it may take debugfs away. */

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "shim.h"

int xcall_shim_seq_write(struct seq_file *m, const void *text, size_t len)
{
	return seq_write(m, text, len);
}

static int stats_show(struct seq_file *m, void *unused)
{
	xcall_show_stats(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int doorbells_show(struct seq_file *m, void *unused)
{
	xcall_show_doorbells(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(doorbells);

static int latency_show(struct seq_file *m, void *unused)
{
	xcall_show_latency(m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(latency);

static int selftest_show(struct seq_file *m, void *unused)
{
	xcall_show_selftest(m);
	return 0;
}

/* With room for all it says: a buffer that is too small would have it run twice. */
static int selftest_open(struct inode *inode, struct file *file)
{
	return single_open_size(file, selftest_show, NULL, 4 * PAGE_SIZE);
}

static const struct file_operations selftest_fops = {
	.owner = THIS_MODULE,
	.open = selftest_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

static struct dentry *xcall_debugfs;

/* Without debugfs these do nothing; its errors need no check, says its documentation. */
void xcall_shim_debugfs_create(void)
{
	xcall_debugfs = debugfs_create_dir("xcall", NULL);
	debugfs_create_file("stats", 0400, xcall_debugfs, NULL, &stats_fops);
	debugfs_create_file("doorbells", 0400, xcall_debugfs, NULL, &doorbells_fops);
	debugfs_create_file("latency", 0400, xcall_debugfs, NULL, &latency_fops);
	debugfs_create_file("selftest", 0400, xcall_debugfs, NULL, &selftest_fops);
}

void xcall_shim_debugfs_remove(void)
{
	debugfs_remove(xcall_debugfs);
}
