// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/xcall_bench/run: root writes a plan, and reads what came of
 * it: a line of counters, then a sample a line.
 *
 *   WAY DOORBELL call|send|drain one|all idle|busy alone|crowd PENDING ROUNDS
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "bench.h"

#define BENCH_MOST_ROUNDS	100000

static DEFINE_MUTEX(bench_mutex);
static struct bench_samples bench_samples;
static struct dentry *bench_folder;

static int bench_parse(const char *text, struct bench_plan *plan)
{
	char way[24], what[8], whom[8], load[8], callers[8];
	static const char * const whats[] = { "call", "send", "drain" };
	static const char * const whoms[] = { "one", "all" };
	static const char * const loads[] = { "idle", "busy" };
	static const char * const crowds[] = { "alone", "crowd" };
	int what_at, whom_at, load_at, crowd_at;

	if (sscanf(text, "%23s %15s %7s %7s %7s %7s %u %u", way, plan->doorbell, what, whom, load,
		   callers, &plan->pending, &plan->rounds) != 8)
		return -EINVAL;
	plan->way = bench_way(way);
	what_at = match_string(whats, ARRAY_SIZE(whats), what);
	whom_at = match_string(whoms, ARRAY_SIZE(whoms), whom);
	load_at = match_string(loads, ARRAY_SIZE(loads), load);
	crowd_at = match_string(crowds, ARRAY_SIZE(crowds), callers);
	if (!plan->way || what_at < 0 || whom_at < 0 || load_at < 0 || crowd_at < 0)
		return -EINVAL;
	plan->what = what_at;
	plan->all = whom_at;
	plan->busy = load_at;
	plan->crowd = crowd_at;
	if (!plan->rounds || plan->rounds > BENCH_MOST_ROUNDS || plan->pending > BENCH_PENDING)
		return -EINVAL;
	/* Those send or drain by descriptors that one caller has. */
	if (plan->crowd && plan->what != BENCH_CALL)
		return -EINVAL;
	return 0;
}

static ssize_t bench_write(struct file *file, const char __user *buffer, size_t length,
			   loff_t *offset)
{
	struct bench_plan plan = {};
	char text[128] = {};
	int ret;

	if (length >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, length))
		return -EFAULT;
	ret = bench_parse(text, &plan);
	if (ret)
		return ret;
	mutex_lock(&bench_mutex);
	vfree(bench_samples.cycles);
	ret = bench_run(&plan, &bench_samples);
	mutex_unlock(&bench_mutex);
	return ret ? ret : length;
}

static int bench_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	mutex_lock(&bench_mutex);
	seq_printf(m, "calls %llu rings %llu\n", bench_rings.calls, bench_rings.rings);
	for (i = 0; i < bench_samples.count; i++)
		seq_printf(m, "%u\n", bench_samples.cycles[i]);
	mutex_unlock(&bench_mutex);
	return 0;
}

static int bench_open(struct inode *inode, struct file *file)
{
	return single_open(file, bench_show, NULL);
}

static const struct file_operations bench_operations = {
	.owner = THIS_MODULE,
	.open = bench_open,
	.read = seq_read,
	.write = bench_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init bench_init(void)
{
	bench_folder = debugfs_create_dir("xcall_bench", NULL);
	debugfs_create_file("run", 0600, bench_folder, NULL, &bench_operations);
	return 0;
}

static void __exit bench_exit(void)
{
	debugfs_remove(bench_folder);
	vfree(bench_samples.cycles);
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The xcall authors");
MODULE_DESCRIPTION("The price of a cross-CPU call, by xcall and by the kernel's own means");
