// SPDX-License-Identifier: GPL-2.0
/* What looks after consumers that have gone silent. See shim.h for contexts. */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#include "shim.h"

static unsigned int deadman_ms = 30000;
module_param(deadman_ms, uint, 0444);
MODULE_PARM_DESC(deadman_ms, "How long a consumer may go without asking for its status before its tracing is ended, in milliseconds (default: 30000; 0: for ever)");

unsigned int dtrace_shim_param_deadman_ms(void)
{
	return deadman_ms;
}

static void dtrace_shim_deadman_work(struct work_struct *work)
{
	dtrace_deadman_due();
}

static DECLARE_DELAYED_WORK(dtrace_deadman, dtrace_shim_deadman_work);

void dtrace_shim_deadman_arm(unsigned int ms)
{
	schedule_delayed_work(&dtrace_deadman, msecs_to_jiffies(ms));
}

void dtrace_shim_deadman_stop(void)
{
	cancel_delayed_work_sync(&dtrace_deadman);
}
