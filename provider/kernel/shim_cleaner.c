// SPDX-License-Identifier: GPL-2.0
/* What has variables cleaned that probes gave up. See shim.h for contexts. */
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "shim.h"

static void dtrace_shim_cleaner_work(struct work_struct *work)
{
	dtrace_cleaner_due();
}

static DECLARE_DELAYED_WORK(dtrace_cleaner, dtrace_shim_cleaner_work);

void dtrace_shim_cleaner_arm(unsigned int ms)
{
	schedule_delayed_work(&dtrace_cleaner, msecs_to_jiffies(ms));
}

void dtrace_shim_cleaner_stop(void)
{
	cancel_delayed_work_sync(&dtrace_cleaner);
}
